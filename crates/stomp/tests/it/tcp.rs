//! STOMP on real TCP connections.

use std::{net::SocketAddr, time::Duration};

use axum::extract::ConnectInfo;
use axum_stomp::{Login, Stomp, StompServer, TcpServer};
use tokio::{
    net::{TcpListener, TcpStream},
    sync::{mpsc, oneshot},
    task::JoinHandle,
    time::{Instant, sleep, timeout},
};

use crate::support::{Client, Scene};

struct Running {
    addr: SocketAddr,
    stop: oneshot::Sender<()>,
    task: JoinHandle<std::io::Result<()>>,
}

async fn start(server: &StompServer, max_connections: usize) -> Running {
    start_with(server, |tcp| tcp.max_connections(max_connections)).await
}

async fn start_with(server: &StompServer, change: impl FnOnce(TcpServer) -> TcpServer) -> Running {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback is free");
    let addr = listener.local_addr().expect("a port of loopback is free");
    let (stop, stopped) = oneshot::channel();
    let server = change(server.tcp(listener, ())).with_graceful_shutdown(async { _ = stopped.await });
    Running { addr, stop, task: tokio::spawn(server.into_future()) }
}

impl Running {
    async fn open(&self) -> Client {
        Client::of_tcp(TcpStream::connect(self.addr).await.expect("the server accepts"))
    }

    async fn connect(&self) -> Client {
        let mut client = self.open().await;
        client.connect("accept-version:1.2\n").await;
        client
    }
}

#[tokio::test]
async fn clients_of_all_ways_meet() {
    let scene = Scene::new(Stomp::new().on_connect(async |ConnectInfo(peer): ConnectInfo<SocketAddr>| {
        assert!(peer.ip().is_loopback());
        Login::anonymous()
    }));
    let running = start(&scene.server, 10).await;
    let mut one = running.connect().await;
    let mut two = running.connect().await;
    one.subscribe("a", "/topic/a").await;
    two.subscribe("a", "/topic/a").await;
    assert!(scene.registry().sessions().iter().all(|session| session.peer_addr().is_some()));
    scene.messenger().send("/topic/a", vec![0_u8, 255]).await.unwrap();
    for client in [&mut one, &mut two] {
        assert_eq!(client.message().await.body, [0_u8, 255][..]);
    }
    one.send("DISCONNECT\nreceipt:r\n\n^").await;
    one.receipt("r").await;
    one.closed().await;
    drop(two);
    let events = scene.events.after_ends(2).await;
    assert_eq!(
        events.iter().filter(|event| *event == "disconnected: connection-lost").count(),
        1,
        "{events:?}"
    );
}

#[tokio::test]
async fn an_error_arrives_although_the_client_still_sends() {
    let scene = Scene::new(Stomp::new().message("/a", async || ()));
    let running = start(&scene.server, 10).await;
    for _ in 0..10 {
        let mut client = running.connect().await;
        // More than the buffers of the kernel hold, if nobody reads it.
        let more = format!("SEND\ndestination:/app/a\n\n{}^", "x".repeat(60_000));
        client.send("SEND\nreceipt:bad\n\n^").await;
        for _ in 0..100 {
            client.send(&more).await;
        }
        assert_eq!(client.error().await.headers.get("receipt-id"), Some("bad"));
    }
}

#[tokio::test]
async fn a_client_that_has_closed_its_half_gets_its_receipts() {
    let scene = Scene::new(Stomp::new().message("/a", async || sleep(Duration::from_millis(20)).await));
    let running = start(&scene.server, 10).await;
    let mut client = running.connect().await;
    let frames: String =
        (0..5).map(|number| format!("SEND\ndestination:/app/a\nreceipt:{number}\n\n^")).collect();
    client.send(&frames).await;
    client.shut_down().await;
    for number in 0..5 {
        client.receipt(&number.to_string()).await;
    }
    client.closed().await;
}

#[tokio::test]
async fn a_shutdown_tells_those_who_are_connected() {
    let scene = Scene::new(Stomp::new().message("/slow", async || sleep(Duration::from_millis(100)).await));
    let running = start(&scene.server, 10).await;
    let (mut idle, mut busy) = (running.connect().await, running.connect().await);
    let mut early = running.open().await;
    busy.send("SEND\ndestination:/app/slow\nreceipt:r\n\n^").await;
    sleep(Duration::from_millis(20)).await;
    running.stop.send(()).unwrap();
    assert_eq!(idle.refusal().await, "the server is shutting down: ");
    // What is in work is finished.
    busy.receipt("r").await;
    assert_eq!(busy.refusal().await, "the server is shutting down: ");
    early.closed().await;
    drop((idle, busy, early));
    timeout(Duration::from_secs(5), running.task).await.expect("it stops").unwrap().unwrap();
    let events = scene.events.after_ends(2).await;
    assert_eq!(events.iter().filter(|event| *event == "disconnected: server").count(), 2, "{events:?}");
    assert!(TcpStream::connect(running.addr).await.is_err());
}

#[tokio::test]
async fn a_shutdown_waits_for_a_bounded_time() {
    let (started, mut is_started) = mpsc::unbounded_channel();
    let scene = Scene::new(Stomp::new().message("/never", move || {
        started.send(()).expect("the test waits for it");
        std::future::pending::<()>()
    }));
    let running = start_with(&scene.server, |tcp| tcp.shutdown_timeout(Duration::from_millis(300))).await;
    let (mut idle, mut busy) = (running.connect().await, running.connect().await);
    busy.subscribe("a", "/topic/a").await;
    busy.send("SEND\ndestination:/app/never\nreceipt:r\n\n^").await;
    is_started.recv().await.expect("it is called");
    let start = Instant::now();
    running.stop.send(()).unwrap();
    assert_eq!(idle.refusal().await, "the server is shutting down: ");
    drop(idle);
    // It has got no receipt, and no ERROR.
    busy.closed().await;
    timeout(Duration::from_secs(5), running.task).await.expect("it stops").unwrap().unwrap();
    assert!(start.elapsed() >= Duration::from_millis(300), "{:?}", start.elapsed());
    // All has been told by then.
    let events = scene.events.all();
    assert!(events.contains(&"disconnected: server".to_owned()), "{events:?}");
    assert_eq!(events[events.len() - 2..], ["unsubscribed /topic/a", "disconnected: cancelled"]);
    assert!(scene.registry().is_empty());
}

#[tokio::test]
async fn a_server_that_is_full_accepts_when_someone_leaves() {
    let scene = Scene::new(Stomp::new());
    let running = start(&scene.server, 2).await;
    let (first, _second) = (running.connect().await, running.connect().await);
    let mut third = running.open().await;
    third.send("CONNECT\n\n^").await;
    assert!(timeout(Duration::from_millis(100), third.next()).await.is_err());
    assert_eq!(scene.registry().len(), 2);
    first.close().await;
    assert_eq!(third.frame().await.command, axum_stomp::Command::Connected);
    // And it can be stopped while it is full.
    let mut fourth = running.open().await;
    running.stop.send(()).unwrap();
    third.refusal().await;
    fourth.closed().await;
    drop((third, fourth, _second));
    timeout(Duration::from_secs(5), running.task).await.expect("it stops").unwrap().unwrap();
}

#[tokio::test]
async fn a_server_that_is_dropped_ends_its_sessions() {
    let scene = Scene::new(Stomp::new());
    let running = start(&scene.server, 10).await;
    let mut client = running.connect().await;
    running.task.abort();
    client.closed().await;
    assert_eq!(scene.events.after_ends(1).await, ["connected", "disconnected: cancelled"]);
    assert!(scene.registry().is_empty());
}
