//! HTTP/2 over real sockets, with TLS and without.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod support;

use std::time::Duration;

use axum::{
    body::Bytes,
    http::{Method, Request, Response, StatusCode, header::CONNECTION},
};
use axum_sockjs_serve::Tls;
use futures_util::{SinkExt as _, StreamExt as _};
use http_body_util::{BodyExt as _, Full};
use hyper::{body::Incoming, client::conn::http2::SendRequest, ext::Protocol};
use hyper_util::rt::{TokioExecutor, TokioIo};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Message, protocol::Role},
};

use support::{Files, LONG, Running, ended, head, read_until};

/// A client of HTTP/2, and the end of its connection.
struct Client {
    requests: SendRequest<Full<Bytes>>,
    end: JoinHandle<hyper::Result<()>>,
}

impl Client {
    async fn new(io: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(io));
        let (requests, connection) = handshake.await.unwrap();
        Self { requests, end: tokio::spawn(connection) }
    }

    async fn request(&mut self, method: Method, path: &str, origin: &str) -> Response<Incoming> {
        let request = Request::builder().method(method).uri(format!("https://localhost{path}"));
        let request = request.header("origin", origin).body(Full::default()).unwrap();
        tokio::time::timeout(LONG, self.requests.send_request(request)).await.unwrap().unwrap()
    }

    async fn text(&mut self, method: Method, path: &str) -> String {
        let body = self.request(method, path, "https://localhost").await.into_body();
        let bytes = tokio::time::timeout(LONG, body.collect()).await.unwrap().unwrap().to_bytes();
        String::from_utf8(bytes.into()).unwrap()
    }

    async fn websocket(&mut self) -> WebSocketStream<TokioIo<hyper::upgrade::Upgraded>> {
        let request = Request::connect("https://localhost/echo/websocket")
            .extension(Protocol::from_static("websocket"))
            .header("sec-websocket-version", "13")
            .body(Full::default())
            .unwrap();
        let response = self.requests.send_request(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        let io = TokioIo::new(hyper::upgrade::on(response).await.unwrap());
        WebSocketStream::from_raw_socket(io, Role::Client, None).await
    }

    /// Waits until the server has ended the connection in order.
    async fn ended(self) {
        tokio::time::timeout(LONG, self.end).await.unwrap().unwrap().unwrap();
    }
}

#[tokio::test]
async fn it_is_spoken_over_tls_with_who_asks_for_it() {
    let files = Files::new("http2_over_tls");
    let certificate = files.renew();
    let tls = Tls::from_pem(&files.certificate, &files.key).unwrap();
    let running = Running::start(|server| server, &[&|listener| listener.tls(&tls).http2(true)]).await;
    let io = running.tls(0, &certificate, &["h2", "http/1.1"]).await;
    assert_eq!(io.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let own = io.get_ref().0.local_addr().unwrap().to_string();
    let mut client = Client::new(io).await;
    assert_eq!(client.text(Method::GET, "/whoami").await, own);
    assert_eq!(client.text(Method::POST, "/echo/000/a/xhr").await, "o\n");
    for (origin, status) in [("https://localhost", 200), ("http://localhost", 403)] {
        let answer = client.request(Method::GET, "/echo/info", origin).await;
        assert_eq!(answer.status(), status, "{origin}");
    }
    let mut socket = client.websocket().await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));

    for alpn in [&["http/1.1"][..], &[]] {
        let mut old = running.tls(0, &certificate, alpn).await;
        old.write_all(head("GET", "/whoami", "").as_bytes()).await.unwrap();
        read_until(&mut old, "HTTP/1.1 200 OK").await;
    }
}

#[tokio::test]
async fn it_is_spoken_without_tls_with_who_begins_with_it() {
    let running =
        Running::start(|server| server, &[&|listener| listener.http2(true), &|listener| listener]).await;
    let mut client = Client::new(running.tcp(0).await).await;
    assert_eq!(client.text(Method::POST, "/echo/000/a/xhr").await, "o\n");
    let mut socket = client.websocket().await;
    socket.send(Message::text("hello")).await.unwrap();
    assert_eq!(socket.next().await.unwrap().unwrap(), Message::text("hello"));
    // That it says `https` proves nothing: its page is of either scheme, but of no other host.
    for (origin, status) in
        [("https://localhost", 200), ("http://localhost", 200), ("https://other.test", 403)]
    {
        let answer = client.request(Method::GET, "/echo/info", origin).await;
        assert_eq!(answer.status(), status, "{origin}");
    }

    let mut old = running.tcp(0).await;
    old.write_all(head("GET", "/whoami", "").as_bytes()).await.unwrap();
    let own = old.local_addr().unwrap().to_string();
    read_until(&mut old, &own).await;
    // A request that begins as the preface does.
    old.write_all(head("PRI", "/whoami", "").as_bytes()).await.unwrap();
    read_until(&mut old, "HTTP/1.1 405").await;
    // Where it is off, nobody speaks it.
    let mut off = running.tcp(1).await;
    off.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n").await.unwrap();
    ended(&mut off).await;
}

#[tokio::test]
async fn a_stop_tells_every_client_and_ends_connections_in_order() {
    let running = Running::start(
        |server| server.close(4001, "restarting").grace(LONG).last_bytes(LONG),
        &[&|listener| listener.http2(true)],
    )
    .await;
    let mut idle = Client::new(running.tcp(0).await).await;
    idle.text(Method::GET, "/whoami").await;
    let mut busy = Client::new(running.tcp(0).await).await;
    let later =
        busy.requests.send_request(Request::get("http://localhost/later").body(Full::default()).unwrap());
    let later = tokio::spawn(later);
    let mut stream =
        busy.request(Method::POST, "/echo/000/a/xhr_streaming", "https://localhost").await.into_body();
    let mut socket = busy.websocket().await;
    let mut poll = Client::new(running.tcp(0).await).await;
    assert_eq!(poll.text(Method::POST, "/echo/000/b/xhr").await, "o\n");
    running.stop.send(()).unwrap();
    let mut text = String::new();
    while let Some(frame) = tokio::time::timeout(LONG, stream.frame()).await.unwrap() {
        text += std::str::from_utf8(frame.unwrap().data_ref().unwrap()).unwrap();
    }
    assert!(text.ends_with("c[4001,\"restarting\"]\n"), "{text:?}");
    assert!(
        matches!(socket.next().await, Some(Ok(Message::Close(Some(frame)))) if frame.code == 4001.into())
    );
    while let Some(Ok(_)) = socket.next().await {}
    // On the same connection as before, or a new one.
    let answer = poll.request(Method::POST, "/echo/000/b/xhr", "https://localhost").await;
    assert!(!answer.headers().contains_key(CONNECTION), "{answer:?}");
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "c[4001,\"restarting\"]\n");
    idle.ended().await;
    poll.ended().await;
    // A request that was under way then still gets its answer.
    running.now.notify_one();
    let answer = tokio::time::timeout(LONG, later).await.unwrap().unwrap().unwrap();
    assert_eq!(answer.into_body().collect().await.unwrap().to_bytes(), "later");
    busy.ended().await;
    let report = tokio::time::timeout(LONG, running.server).await.unwrap().unwrap();
    assert_eq!((report.endpoints[0].closed, report.endpoints[0].lost, report.connections_cut_off), (3, 0, 0));
}

#[tokio::test]
async fn a_client_that_asks_for_nothing_is_given_up() {
    let running = Running::start(
        |server| server.header_read_timeout(Duration::from_millis(50)),
        &[&|listener| listener.http2(true)],
    )
    .await;
    let preface = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    for said in [&b""[..], b"P", &preface[..23], preface, &[&preface[..], &settings].concat()] {
        let mut tcp = running.tcp(0).await;
        tcp.write_all(said).await.unwrap();
        ended(&mut tcp).await;
    }
}
