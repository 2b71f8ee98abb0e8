//! A whole STOMP session: any bytes, in pieces, to a server with handlers, topics, queues and users, beside another
//! client.
//!
//! Nothing may panic. The client's end must end its session within bounded time on a paused clock, each event is told
//! once and in order, the other client still gets what it is sent, and nothing is left.

#![no_main]

use std::{
    collections::BTreeMap,
    num::NonZero,
    sync::{Arc, Mutex},
    time::Duration,
};

use axum_stomp::{
    Bytes, ClientSend, Event, Headers, Rejection, SendTo, SendToUser, SessionId, Stomp, StompOptions,
    broker::memory::{MemoryBroker, QueueMode},
    outbox::Overflow,
};
use libfuzzer_sys::fuzz_target;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{sleep, timeout},
};

/// What the first byte of an input chooses.
struct Choice {
    piece: usize,
    reads: bool,
    is_connected: bool,
    overflow: Overflow,
}

impl Choice {
    fn of(byte: u8) -> Self {
        let overflow = [Overflow::Close, Overflow::DropOldest, Overflow::DropNewest, Overflow::KeepNewest];
        Self {
            piece: [1, 7, 64, 4096][usize::from(byte & 3)],
            reads: byte & 4 != 0,
            is_connected: byte & 8 != 0,
            overflow: overflow[usize::from(byte >> 4 & 3)],
        }
    }
}

#[derive(Default)]
struct Told {
    connected: u32,
    disconnected: u32,
    subscriptions: i64,
}

async fn echo(body: Bytes) -> SendToUser<Bytes> {
    SendToUser::new("/queue/echo", body)
}

async fn reply(headers: Headers, body: Bytes) -> Option<SendTo<Bytes>> {
    headers.get("reply-to").map(|name| SendTo::new(name.to_owned(), body))
}

async fn fail() -> Result<(), Rejection> {
    Err(Rejection::new("no"))
}

async fn run(data: &[u8]) {
    let (&first, data) = data.split_first().unwrap_or((&0, &[]));
    let choice = Choice::of(first);
    // Small enough for an input to come to every bound.
    let options = StompOptions::new()
        .client_send(ClientSend::HANDLERS.broker(true).users(true))
        .max_headers(8)
        .max_body_bytes(256)
        .max_subscriptions(4)
        .max_transactions(2)
        .max_transaction_frames(4)
        .max_transaction_bytes(512)
        .max_unacknowledged(NonZero::new(3).expect("more than none"))
        .outbound_bytes(1024)
        .overflow(choice.overflow);
    let broker = MemoryBroker::builder().queue_mode(QueueMode::Competing).max_deliveries(3).build();
    let told: Arc<Mutex<BTreeMap<String, Told>>> = Arc::default();
    let events = told.clone();
    let server = Stomp::<()>::new()
        .options(options)
        .broker(broker.clone())
        .message("/echo", echo)
        .message_parallel("/parallel/{id}", echo)
        .message("/reply", reply)
        .message("/fail", fail)
        .subscribe("/answer/{*rest}", async || "answer")
        .on_event(move |event, _| tell(&mut events.lock().expect("no panic"), event))
        .build();

    let (mut other, end) = tokio::io::duplex(4096);
    let serving = server.clone();
    let other_session = tokio::spawn(async move { serving.serve_stream(end, None, ()).await });
    other.write_all(b"CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:other\ndestination:/topic/other\nreceipt:r\n\n\0")
        .await
        .expect("it is read");
    read_until(&mut other, "receipt-id:r").await;

    let (client, end) = tokio::io::duplex(4096);
    let serving = server.clone();
    let session = tokio::spawn(async move { serving.serve_stream(end, None, ()).await });
    let (mut read, mut write) = tokio::io::split(client);
    let reading = tokio::spawn(async move {
        let mut sink = [0; 1024];
        if !choice.reads {
            std::future::pending::<()>().await;
        }
        while matches!(read.read(&mut sink).await, Ok(count) if count > 0) {}
    });
    if choice.is_connected {
        let connect = b"CONNECT\naccept-version:1.0,1.1,1.2\nheart-beat:0,60000\n\n\0";
        write.write_all(connect).await.ok();
    }
    for piece in data.chunks(choice.piece) {
        let written = timeout(Duration::from_secs(120), write.write_all(piece)).await;
        if !matches!(written, Ok(Ok(()))) || session.is_finished() {
            break;
        }
        tokio::task::yield_now().await;
    }
    sleep(Duration::from_secs(1)).await;

    // Whatever that was, it is nothing to the other client.
    server.messenger().send("/topic/other", "still here").await.expect("the broker takes it");
    read_until(&mut other, "still here").await;

    write.shutdown().await.ok();
    sleep(Duration::from_secs(1)).await;
    reading.abort();
    reading.await.ok();
    drop(write);
    let ended = timeout(Duration::from_secs(600), session).await.expect("the session ends");
    ended.expect("the session does not panic");
    drop(other);
    let ended = timeout(Duration::from_secs(600), other_session).await.expect("the other session ends");
    ended.expect("the other session does not panic");
    sleep(Duration::from_secs(600)).await;

    assert!(server.registry().is_empty());
    let stats = broker.stats();
    assert_eq!((stats.sessions, stats.users, stats.subscriptions, stats.topics, stats.patterns), (0, 0, 0, 0, 0));
    assert_eq!(tokio::runtime::Handle::current().metrics().num_alive_tasks(), 0);
    for (session, told) in &*told.lock().expect("no panic") {
        assert_eq!((told.connected, told.disconnected, told.subscriptions), (1, 1, 0), "{session}");
    }
}

fn tell(told: &mut BTreeMap<String, Told>, event: &Event) {
    let id = |id: SessionId| id.to_string();
    match event {
        Event::Connected(session) => told.entry(id(session.id())).or_default().connected += 1,
        Event::Subscribed(session, _) => {
            let told = told.get_mut(&id(session.id())).expect("connected before");
            assert_eq!(told.disconnected, 0);
            told.subscriptions += 1;
        }
        Event::Unsubscribed(session, _) => {
            let told = told.get_mut(&id(session.id())).expect("connected before");
            assert_eq!(told.disconnected, 0);
            told.subscriptions -= 1;
        }
        Event::Disconnected(session, _) => {
            told.get_mut(&id(session.id())).expect("connected before").disconnected += 1;
        }
        _ => {}
    }
}

async fn read_until(client: &mut (impl tokio::io::AsyncRead + Unpin), end: &str) {
    let mut text = Vec::new();
    while !String::from_utf8_lossy(&text).contains(end) {
        let read = timeout(Duration::from_secs(60), client.read_buf(&mut text)).await;
        assert!(matches!(read, Ok(Ok(1..))), "the other client waits for {end:?}");
    }
}

fuzz_target!(|data: &[u8]| {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build();
    runtime.expect("a runtime can be built").block_on(run(data));
});
