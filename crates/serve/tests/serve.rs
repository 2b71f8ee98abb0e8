//! The server over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::{
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum::{Router, extract::ConnectInfo, routing::get};
use axum_sockjs::{CloseReason, Session, SockJs, SockJsHandle};
use axum_sockjs_serve::{Listener, Report, Server};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::{Notify, oneshot},
    task::JoinHandle,
};

/// Longer than anything here takes.
const LONG: Duration = Duration::from_secs(60);

struct Running {
    addr: SocketAddr,
    handle: SockJsHandle,
    stop: oneshot::Sender<()>,
    server: JoinHandle<Report>,
}

impl Running {
    /// An endpoint at `/echo` that tells each client its own address first, `/whoami`, `/never`, and `/later` that waits for `/now`.
    async fn start(settings: impl FnOnce(Server) -> Server) -> Self {
        async fn echo(mut session: Session) {
            let peer = session.peer_addr().map_or("unknown".to_owned(), |addr| addr.to_string());
            session.send(peer).await.ok();
            while let Some(message) = session.recv().await {
                session.send(message).await.ok();
            }
            assert!(matches!(
                session.close_reason(),
                Some(CloseReason::Shutdown(_) | CloseReason::Client(_))
            ));
        }
        let now = Arc::new(Notify::new());
        let waits = Arc::clone(&now);
        let sockjs = SockJs::new(echo);
        let handle = sockjs.handle();
        let app = Router::new()
            .nest_service("/echo", sockjs)
            .route("/whoami", get(async |ConnectInfo::<SocketAddr>(addr)| addr.to_string()))
            .route("/never", get(async || std::future::pending::<()>().await))
            .route(
                "/later",
                get(async move || {
                    waits.notified().await;
                    "later"
                }),
            )
            .route("/now", get(async move || now.notify_one()));
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let server = settings(Server::new().endpoint(handle.clone()));
        let (stop, stopped) = oneshot::channel::<()>();
        let server = tokio::spawn(server.serve(listener, app, async { _ = stopped.await }));
        Self { addr, handle, stop, server }
    }

    async fn connect(&self) -> TcpStream {
        TcpStream::connect(self.addr).await.unwrap()
    }

    /// A connection on which this request was sent.
    async fn request(&self, method: &str, path: &str) -> TcpStream {
        let mut tcp = self.connect().await;
        let head = format!("{method} {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        tcp
    }
}

async fn read_until(tcp: &mut TcpStream, end: &str) -> String {
    let mut read = Vec::new();
    while !String::from_utf8_lossy(&read).contains(end) {
        let more = tokio::time::timeout(LONG, tcp.read_buf(&mut read)).await.unwrap().unwrap();
        assert_ne!(more, 0, "the connection ended: {}", String::from_utf8_lossy(&read));
    }
    String::from_utf8(read).unwrap()
}

/// Reads until the server closes the connection.
async fn read_to_end(tcp: &mut TcpStream) -> String {
    let mut read = String::new();
    tokio::time::timeout(LONG, tcp.read_to_string(&mut read)).await.unwrap().unwrap();
    read
}

#[tokio::test]
async fn sessions_and_extractors_know_the_peer() {
    let running = Running::start(|server| server).await;
    let mut page = running.request("GET", "/whoami").await;
    let own = page.local_addr().unwrap().to_string();
    assert!(read_until(&mut page, &own).await.starts_with("HTTP/1.1 200"));
    let mut stream = running.request("POST", "/echo/000/s/xhr_streaming").await;
    let own = stream.local_addr().unwrap().to_string();
    read_until(&mut stream, &format!("a[\"{own}\"]")).await;
}

#[tokio::test]
async fn a_head_that_drips_is_given_up() {
    let running = Running::start(|server| server.header_read_timeout(Duration::from_millis(50))).await;
    let mut tcp = running.connect().await;
    tcp.write_all(b"GET /whoami HTT").await.unwrap();
    read_to_end(&mut tcp).await;
    assert_eq!(running.handle.len(), 0);
}

#[tokio::test]
async fn a_stop_tells_every_client_and_waits_for_those_that_poll() {
    let running =
        Running::start(|server| server.close(4001, "restarting").grace(LONG).last_bytes(LONG)).await;
    let mut idle = running.request("GET", "/whoami").await;
    let own = idle.local_addr().unwrap().to_string();
    read_until(&mut idle, &own).await;
    let mut stream = running.request("POST", "/echo/000/stream/xhr_streaming").await;
    read_until(&mut stream, "a[").await;
    let mut poll = running.request("POST", "/echo/000/poll/xhr").await;
    read_until(&mut poll, "o\n").await;
    running.stop.send(()).unwrap();
    assert!(read_until(&mut stream, "c[4001,\"restarting\"]").await.contains("c[4001"));
    // It has no request open: the server still accepts the one that fetches its messages, and the next.
    while !running.handle.is_empty() {
        tokio::task::yield_now().await;
    }
    let connect = async |path| {
        let mut tcp = TcpStream::connect(running.addr).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        tcp
    };
    read_until(&mut connect("/echo/000/poll/xhr").await, "a[").await;
    read_until(&mut connect("/echo/000/poll/xhr").await, "c[4001,\"restarting\"]").await;
    let report = tokio::time::timeout(LONG, running.server).await.unwrap().unwrap();
    assert_eq!(read_to_end(&mut idle).await, "", "an idle connection is closed");
    assert_eq!((report.endpoints.len(), report.endpoints[0].closed, report.endpoints[0].lost), (1, 2, 0));
    assert_eq!(report.connections_cut_off, 0);
    assert!(TcpStream::connect(running.addr).await.is_err(), "nobody listens any more");
}

#[tokio::test]
async fn no_request_is_lost_on_a_connection_that_was_idle_when_the_server_stopped() {
    let running = Running::start(|server| server.last_bytes(LONG)).await;
    let mut idle = running.request("GET", "/whoami").await;
    let own = idle.local_addr().unwrap().to_string();
    assert!(!read_until(&mut idle, &own).await.contains("connection: close"));
    // A session that nobody comes for holds the stop up.
    let mut poll = running.request("POST", "/echo/000/poll/xhr").await;
    read_until(&mut poll, "o\n").await;
    running.stop.send(()).unwrap();
    while !running.handle.is_empty() {
        tokio::task::yield_now().await;
    }
    let request = async |mut tcp: TcpStream, path: &str| {
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        read_to_end(&mut tcp).await
    };
    let connect = async || TcpStream::connect(running.addr).await.unwrap();
    let answer = request(connect().await, "/echo/000/poll/xhr").await;
    assert!(answer.contains("connection: close") && answer.contains("a["), "{answer}");
    let answer = request(connect().await, "/echo/000/poll/xhr").await;
    assert!(answer.contains("c[1001"), "{answer}");
    // The shutdown is over, and nobody is let in any more; this one is.
    while TcpStream::connect(running.addr).await.is_ok() {}
    let answer = request(idle, "/echo/000/late/xhr").await;
    assert!(answer.starts_with("HTTP/1.1 503") && answer.contains("connection: close"), "{answer}");
    let report = tokio::time::timeout(LONG, running.server).await.unwrap().unwrap();
    assert_eq!(report.connections_cut_off, 0);
}

#[tokio::test]
async fn what_does_not_end_is_cut_off_and_counted() {
    let running = Running::start(|server| server.last_bytes(Duration::from_millis(50))).await;
    let mut never = running.request("GET", "/never").await;
    let mut page = running.request("GET", "/whoami").await;
    let own = page.local_addr().unwrap().to_string();
    read_until(&mut page, &own).await;
    running.stop.send(()).unwrap();
    let report = tokio::time::timeout(LONG, running.server).await.unwrap().unwrap();
    assert_eq!(report.connections_cut_off, 1, "{report}");
    assert_eq!(report.to_string(), format!("{}; 1 connections cut off", report.endpoints[0]));
    // Reset or closed: either way it has ended.
    _ = tokio::time::timeout(LONG, never.read(&mut [0; 1])).await.unwrap();
}

#[tokio::test]
async fn a_half_closed_connection_is_answered_where_that_is_on() {
    let running = Running::start(|server| server.half_close(true)).await;
    let mut later = running.request("GET", "/later").await;
    later.shutdown().await.unwrap();
    // The server has had time to see the end by when it has answered ten others.
    for _ in 0..10 {
        let mut page = running.request("GET", "/whoami").await;
        let own = page.local_addr().unwrap().to_string();
        read_until(&mut page, &own).await;
    }
    running.request("GET", "/now").await;
    assert!(read_to_end(&mut later).await.ends_with("later"));
}

#[tokio::test]
async fn one_stop_is_for_every_address_and_for_endpoints_that_came_later() {
    async fn nothing(mut session: Session) {
        while session.recv().await.is_some() {}
    }
    let (first, second): (SockJs, SockJs) = (SockJs::new(nothing), SockJs::new(nothing));
    let (old, new) = (first.handle(), second.handle());
    let endpoints = Arc::new(Mutex::new(vec![old.clone()]));
    let app = Router::new().nest_service("/old", first).nest_service("/new", second);
    let mut listeners = Vec::new();
    let mut addrs = Vec::new();
    for _ in 0..3 {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        addrs.push(listener.local_addr().unwrap());
        listeners.push(Listener::new(listener));
    }
    let known = Arc::clone(&endpoints);
    let server = Server::new().endpoints(move || known.lock().unwrap().clone());
    let server = server.close(4001, "restarting").grace(LONG).last_bytes(LONG);
    let (stop, stopped) = oneshot::channel::<()>();
    let server = tokio::spawn(server.serve_all(listeners, app, async { _ = stopped.await }));
    endpoints.lock().unwrap().push(new.clone());

    let request = async |addr: SocketAddr, path: &str| {
        let mut tcp = TcpStream::connect(addr).await.unwrap();
        let head = format!("POST {path} HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n");
        tcp.write_all(head.as_bytes()).await.unwrap();
        tcp
    };
    let mut stream = request(addrs[0], "/old/000/stream/xhr_streaming").await;
    read_until(&mut stream, "o\n").await;
    read_until(&mut request(addrs[1], "/new/000/poll/xhr").await, "o\n").await;
    stop.send(()).unwrap();
    read_until(&mut stream, "c[4001,\"restarting\"]").await;
    while !new.is_empty() {
        tokio::task::yield_now().await;
    }
    // Each address is open until the last client has been told, which may come anywhere.
    read_until(&mut request(addrs[0], "/old/000/other/xhr").await, "503").await;
    read_until(&mut request(addrs[2], "/new/000/poll/xhr").await, "c[4001,\"restarting\"]").await;
    let report = tokio::time::timeout(LONG, server).await.unwrap().unwrap();
    assert_eq!(report.endpoints.iter().map(|endpoint| endpoint.closed).collect::<Vec<_>>(), [1, 1]);
    assert_eq!(report.connections_cut_off, 0);
    for addr in addrs {
        assert!(TcpStream::connect(addr).await.is_err(), "nobody listens any more");
    }
}
