//! The proxy of the tests does what it says.

use std::time::{Duration, Instant};

use axum_sockjs::{Options, Session};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::mpsc,
    time::{sleep, timeout},
};

use crate::support::{
    Server, echo,
    proxy::{Fault, Proxy},
    soon,
};

const INFO: &str = "GET /app/info HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
const STREAM: &str = "POST /app/000/a/xhr_streaming HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n";
const WEBSOCKET: &str = "GET /app/000/b/websocket HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\n\
                         Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
                         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";

async fn ask(proxy: &Proxy, request: &str) -> TcpStream {
    let mut connection = TcpStream::connect(proxy.addr).await.unwrap();
    // A connection that is refused may be closed already.
    connection.write_all(request.as_bytes()).await.ok();
    connection
}

/// What comes until the connection ends, however it does.
async fn rest(mut connection: TcpStream) -> String {
    let mut bytes = Vec::new();
    soon("the end of a connection", connection.read_to_end(&mut bytes)).await.ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

async fn until(connection: &mut TcpStream, end: &str) {
    let mut bytes = Vec::new();
    while !bytes.ends_with(end.as_bytes()) {
        bytes.push(soon(end, connection.read_u8()).await.unwrap());
    }
}

async fn until_closed(proxy: &Proxy) {
    soon("the end of all connections", async {
        while proxy.open() > 0 {
            sleep(Duration::from_millis(1)).await;
        }
    })
    .await;
}

/// The answer that comes through a proxy with this fault.
async fn answer(server: &Server, request: &str, fault: Fault) -> String {
    let proxy = Proxy::new(server.addr, move |_| fault).await;
    rest(ask(&proxy, request).await).await
}

#[tokio::test]
async fn requests_of_one_connection_pass() {
    let server = Server::new(echo, Options::new()).await;
    let proxy = Proxy::new(server.addr, |_| Fault::Pass).await;
    let keep =
        "POST /app/000/a/xhr HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n0\r\n\r\n";
    let mut connection = ask(&proxy, keep).await;
    until(&mut connection, "o\n").await;
    let send = "POST /app/000/a/xhr_send HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\n[\"m\"]";
    connection.write_all(send.as_bytes()).await.unwrap();
    until(&mut connection, "\r\n\r\n").await;
    assert_eq!((proxy.opened(), proxy.open()), (1, 1));
    connection
        .write_all(b"POST /app/000/a/xhr HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .await
        .unwrap();
    let last = rest(connection).await;
    assert!(last.starts_with("HTTP/1.1 200") && last.contains("a[\"m\"]\n"), "{last}");
    until_closed(&proxy).await;
    let requests = proxy.requests().into_iter();
    let requests: Vec<_> = requests.map(|it| (it.connection, it.method, it.target)).collect();
    assert_eq!(requests[1], (0, "POST".to_owned(), "/app/000/a/xhr_send".to_owned()));
    assert_eq!(requests.len(), 3);
}

#[tokio::test]
async fn answers_are_cut_lost_or_replaced() {
    let server = Server::new(echo, Options::new()).await;
    assert!(answer(&server, INFO, Fault::Pass).await.ends_with('}'));
    assert!(answer(&server, INFO, Fault::Buffer).await.ends_with('}'));
    let begin = Instant::now();
    assert!(answer(&server, INFO, Fault::Delay(Duration::from_millis(20))).await.ends_with('}'));
    assert!(begin.elapsed() >= Duration::from_millis(20));
    assert!(answer(&server, INFO, Fault::CutAfter(2)).await.ends_with("\r\n\r\n{\""));
    assert!(answer(&server, INFO, Fault::Answer(502)).await.starts_with("HTTP/1.1 502 "));
    assert_eq!(answer(&server, INFO, Fault::Close).await, "");
    // Behind the head, the frame of an `o`.
    let websocket = answer(&server, WEBSOCKET, Fault::CutAfter(3)).await;
    assert!(websocket.starts_with("HTTP/1.1 101 ") && websocket.ends_with("\r\n\r\n\u{fffd}\u{1}o"));
    let proxy = Proxy::new(server.addr, |_| Fault::WithoutUpgrade).await;
    until(&mut ask(&proxy, WEBSOCKET).await, "HTTP/1.1 400 ").await;
}

#[tokio::test]
async fn only_a_lost_answer_is_of_a_request_that_arrived() {
    let (sender, mut sessions) = mpsc::unbounded_channel();
    let hand_over = move |session: Session| async move { drop(sender.send(session)) };
    let server = Server::new(hand_over, Options::new()).await;
    assert_eq!(answer(&server, STREAM, Fault::Close).await, "");
    assert!(sessions.try_recv().is_err());
    assert_eq!(answer(&server, STREAM, Fault::LoseAnswer).await, "");
    soon("a session", sessions.recv()).await.unwrap();
}

#[tokio::test]
async fn a_buffered_stream_comes_with_its_end() {
    let (sender, mut sessions) = mpsc::unbounded_channel();
    let hand_over = move |session: Session| async move { drop(sender.send(session)) };
    let server = Server::new(hand_over, Options::new()).await;
    let proxy = Proxy::new(server.addr, |_| Fault::Buffer).await;
    let mut connection = ask(&proxy, STREAM).await;
    let session = soon("a session", sessions.recv()).await.unwrap();
    timeout(Duration::from_millis(20), connection.read_u8()).await.unwrap_err();
    session.close(3000, "Go away!");
    until(&mut connection, "h\n\r\n2\r\no\n\r\n13\r\nc[3000,\"Go away!\"]\n\r\n0\r\n\r\n").await;
}

#[tokio::test]
async fn a_swallowed_request_keeps_its_connection_until_the_client_ends_it() {
    let server = Server::new(echo, Options::new()).await;
    let proxy = Proxy::new(server.addr, |_| Fault::Swallow).await;
    let mut connection = ask(&proxy, INFO).await;
    timeout(Duration::from_millis(20), connection.read_u8()).await.unwrap_err();
    assert_eq!(proxy.open(), 1);
    drop(connection);
    until_closed(&proxy).await;
}

#[tokio::test]
async fn connections_are_refused_and_cut() {
    let server = Server::new(echo, Options::new()).await;
    let proxy =
        Proxy::new(server.addr, |request| if request.is_upgrade { Fault::Answer(400) } else { Fault::Pass })
            .await;
    proxy.refuse(true);
    assert_eq!(rest(ask(&proxy, INFO).await).await, "");
    assert_eq!((proxy.opened(), proxy.requests().len()), (1, 0));
    proxy.refuse(false);
    assert!(rest(ask(&proxy, WEBSOCKET).await).await.starts_with("HTTP/1.1 400 "));
    let mut connection = ask(&proxy, STREAM).await;
    until(&mut connection, "\no\n\r\n").await;
    proxy.cut();
    assert_eq!(rest(connection).await, "");
    until_closed(&proxy).await;
    assert_eq!(proxy.opened(), 3);
}
