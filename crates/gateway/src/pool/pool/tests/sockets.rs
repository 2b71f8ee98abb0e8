//! Backends that are real servers on loopback, or ports where there is none.

use std::{net::SocketAddr, sync::Arc, time::Duration};

use axum::{extract::ConnectInfo, response::IntoResponse};
use http::{Request, request::Parts};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpListener,
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use super::{OpenError, Pool, upstream};
use crate::{
    backend::{
        connector::Connector,
        dial_error::DialError,
        opening::{Opening, Scheme},
        socket::BackendSocket,
    },
    config::backend::Upstream,
    pool::{lease::Lease, members::Members, snapshot::DialOutcome},
};

const PATIENCE: Duration = Duration::from_secs(20);

/// Accepts WebSockets, and keeps them.
async fn serve(listener: TcpListener) {
    let mut sockets = Vec::new();
    while let Ok((tcp, _)) = listener.accept().await {
        sockets.push(tokio_tungstenite::accept_async(tcp).await.ok());
    }
}

async fn backend() -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    (listener.local_addr().expect("it has one"), tokio::spawn(serve(listener)))
}

/// An address at which nobody listens.
async fn nowhere() -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    listener.local_addr().expect("it has one")
}

fn upstream_of(addresses: &[SocketAddr]) -> Upstream {
    let urls: Vec<String> = addresses.iter().map(|address| format!("ws://{address}/ws")).collect();
    upstream(&urls.iter().map(String::as_str).collect::<Vec<_>>())
}

fn pool(upstream: &Upstream) -> Pool {
    Pool::new("/chat", Members::new(upstream).expect("there is nothing to read"))
}

fn parts() -> Parts {
    let peer = ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 4321)));
    Request::get("/chat/websocket").extension(peer).body(()).expect("a request").into_parts().0
}

async fn open(pool: &Pool) -> Result<(BackendSocket, Lease<Connector>), OpenError<DialError>> {
    let parts = parts();
    let opening =
        Opening { parts: &parts, subprotocols: &[], scheme: Scheme::Http, is_from_trusted_proxy: false };
    pool.open(&opening).await
}

#[tokio::test]
async fn one_is_dead_and_one_alive() {
    let (dead, (alive, _task)) = (nowhere().await, backend().await);
    // As a server's handler does it: on any thread, behind a shared pool.
    let pool = Arc::new(pool(&upstream_of(&[dead, alive])));
    let opens = tokio::spawn({
        let pool = Arc::clone(&pool);
        async move {
            let mut leases = Vec::new();
            for _ in 0..8 {
                leases.push(open(&pool).await.expect("one is alive"));
            }
            leases
        }
    });
    let leases = opens.await.expect("it does not panic");
    let alive = format!("ws://{alive}/ws");
    assert!(leases.iter().all(|(_, lease)| lease.backend() == alive));
    let shown = pool.shown(&format!("ws://{dead}/ws"));
    assert_eq!((shown.up, shown.dials.timed()), (false, 3));
    assert!(shown.last_error.expect("it was told").0.contains("cannot be reached"));
}

/// Answers each connection the same.
async fn answering(answer: &'static str) -> (SocketAddr, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port is free");
    let address = listener.local_addr().expect("it has one");
    let serves = async move {
        while let Ok((mut tcp, _)) = listener.accept().await {
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") && tcp.read_buf(&mut head).await.is_ok_and(|read| read > 0) {}
            tcp.write_all(answer.as_bytes()).await.ok();
        }
    };
    (address, tokio::spawn(serves))
}

#[tokio::test]
async fn a_client_that_makes_backends_fail_takes_none_out() {
    let (a, _a) = answering("HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n").await;
    let (b, _b) = answering("HTTP/1.1 503 Service Unavailable\r\nContent-Length: 0\r\n\r\n").await;
    let pool = pool(&upstream_of(&[a, b]));
    for _ in 0..10 {
        let error = open(&pool).await.expect_err("no WebSocket opens");
        let OpenError::Dial(error @ DialError::Status { .. }) = error else { panic!("{error:?}") };
        assert_eq!(error.into_response().status(), 502);
    }
    assert_eq!(pool.outcomes(&format!("ws://{a}/ws")), [(DialOutcome::Refused, 10)]);
    assert_eq!(pool.outcomes(&format!("ws://{b}/ws")), [(DialOutcome::Unavailable, 9)]);
    let snapshot = pool.snapshot();
    assert!(snapshot.ready && snapshot.backends.iter().all(|(backend, _)| backend.up));
}

#[tokio::test]
async fn all_are_dead() {
    let pool = pool(&upstream_of(&[nowhere().await, nowhere().await]));
    let error = open(&pool).await.expect_err("nobody is there");
    assert!(matches!(error, OpenError::Dial(DialError::Connect(_))), "{error:?}");
}

#[tokio::test]
async fn all_are_slow() {
    // The system accepts for them, and nobody answers.
    let listeners = [
        TcpListener::bind("127.0.0.1:0").await.expect("a port is free"),
        TcpListener::bind("127.0.0.1:0").await.expect("a port is free"),
    ];
    let mut upstream =
        upstream_of(&[listeners[0].local_addr().expect("one"), listeners[1].local_addr().expect("one")]);
    upstream.open_timeout = Duration::from_millis(300);
    upstream.connect_timeout = Duration::from_millis(200);
    let pool = pool(&upstream);
    let began = Instant::now();
    let error = timeout(PATIENCE, open(&pool)).await.expect("it ends").expect_err("nobody answers");
    assert!(matches!(error, OpenError::TimedOut(_)), "{error:?}");
    let took = began.elapsed();
    assert!(took >= upstream.open_timeout && took < Duration::from_secs(5), "{took:?}");
}

#[tokio::test]
async fn it_dies_and_comes_back() {
    let (address, task) = backend().await;
    let mut upstream = upstream_of(&[address]);
    upstream.health.interval = Duration::from_millis(20);
    let pool = pool(&upstream);
    pool.start();
    let name = format!("ws://{address}/ws");
    let until = async |up: bool| {
        let waits = async {
            while pool.shown(&name).up != up {
                sleep(Duration::from_millis(5)).await;
            }
        };
        timeout(PATIENCE, waits).await.expect("the checks notice");
    };
    let (_socket, lease) = open(&pool).await.expect("it is alive");
    task.abort();
    until(false).await;
    assert!(open(&pool).await.is_err());
    assert!(!pool.snapshot().ready);
    let listener = TcpListener::bind(address).await.expect("nobody else has taken it");
    let _task = tokio::spawn(serve(listener));
    until(true).await;
    let (_socket, _second) = open(&pool).await.expect("it is back");
    assert_eq!(pool.shown(&name).sessions, 2, "the first one's end has not been told");
    drop(lease);
    assert_eq!(pool.shown(&name).sessions, 1);
}
