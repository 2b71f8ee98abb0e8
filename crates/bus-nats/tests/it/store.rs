//! What is NATS's own in streams: one JetStream stream for all of them.

use std::{
    io::{Read, Write},
    net::{Ipv4Addr, TcpListener, TcpStream},
};

use driver_tests::{server::Server, wait::subject};
use sockjs_bus::{Retention, Streams};
use sockjs_bus_nats::Nats;

use crate::engine;

const KEEP: Retention = Retention::entries(10_000);

/// How many bytes the server has sent to its clients, as its monitoring says.
fn sent(monitoring: u16) -> u64 {
    let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, monitoring)).unwrap();
    connection.write_all(b"GET /varz HTTP/1.0\r\n\r\n").unwrap();
    let mut answer = String::new();
    connection.read_to_string(&mut answer).unwrap();
    let (_, number) = answer.split_once("\"out_bytes\": ").unwrap();
    number.split(|c: char| !c.is_ascii_digit()).next().unwrap().parse().unwrap()
}

#[tokio::test]
async fn the_last_entries_are_read_without_those_before_them() {
    const BYTES: usize = 1000;
    let monitoring = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
    let server =
        Server::start_with(&engine::Server, false, |_, _| vec!["-m".to_owned(), monitoring.to_string()]);
    let bus = Nats::connect(&server.address()).await.unwrap();
    let names = ["dense", "sparse", "early"].map(subject);
    let mut texts = [const { Vec::new() }; 3];
    let mut appended = Vec::new();
    // One has most of the numbers, one each twentieth of them, and one none of the last ones.
    for number in 0..4000 {
        let of = match number {
            _ if number % 20 == 0 => 1,
            500..1000 => 2,
            _ => 0,
        };
        let text = format!("{number:0BYTES$}");
        appended.push(bus.append(&names[of], text.clone().into(), KEEP));
        texts[of].push(text);
        if appended.len() == 100 {
            for appended in appended.drain(..) {
                appended.await.unwrap();
            }
        }
    }
    for (name, texts) in names.iter().zip(&texts) {
        for max in [0, 1, 10, 100, 10_000] {
            let before = sent(monitoring);
            let batch = bus.last(name, max).await.unwrap();
            let read: Vec<_> = batch.entries.iter().map(|entry| entry.payload.clone()).collect();
            assert_eq!(read, texts[texts.len().saturating_sub(max)..], "the last {max} of {name}");
            let bytes = usize::try_from(sent(monitoring) - before).unwrap();
            let limit = (2 * max + 70) * BYTES + 100_000;
            assert!(bytes < limit, "{bytes} bytes for the last {max} of {name}");
        }
    }
}
