//! What the library has to bear.

use std::{
    io::{BufRead, BufReader, Write},
    net::TcpStream,
    time::{Duration, Instant},
};

use driver_tests::{
    server::Server,
    wait::{connected, limited, subject, subscribe, until},
};
use sockjs_bus::Bus;
use sockjs_bus_nats::Nats;

use crate::engine;

/// The server passes on what is no UTF-8. It costs the connection, which comes back.
#[tokio::test]
async fn a_reply_address_that_is_no_text_is_no_panic() {
    let server = Server::start(&engine::Server);
    let bus =
        Nats::options(&server.address()).ping_interval(Duration::from_secs(60)).connect().await.unwrap();
    let (mut subscription, mut received) = subscribe(&bus, "bytes").await;
    let mut other = TcpStream::connect(server.address().trim_start_matches("nats://")).unwrap();
    BufReader::new(other.try_clone().unwrap()).read_line(&mut String::new()).unwrap();
    other.write_all(b"CONNECT {}\r\nPUB bytes reply.\xff 2\r\nhi\r\n").unwrap();
    let start = Instant::now();
    until("the connection is lost", || bus.stats().reconnects == 1).await;
    assert!(start.elapsed() < Duration::from_secs(5), "it is noticed before a sign of life is missing");
    connected(&bus, true).await;
    limited("it is there again", subscription.ready()).await.unwrap();
    bus.publish(&subject("bytes"), "after".into()).unwrap();
    assert_eq!(limited("a message", received.recv()).await.unwrap(), "after");
}
