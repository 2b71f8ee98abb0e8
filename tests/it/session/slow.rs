//! Clients that are slow or dead, on connections whose buffers and clock are the test's own: each deadline is
//! exact, and each byte that the server holds for a client is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::Router;
use axum_sockjs::{CloseKind, CloseReason, Message, Options, Overflow, SendError, SockJs};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream},
    sync::mpsc,
    task::JoinSet,
    time::{Instant, sleep, timeout},
};

use crate::support::{
    client::{Kind, WAYS, Way, on_each},
    fresh_id,
    pipe::{CHUNK, HYPER, PIPE, SECOND, Stage, WEBSOCKET, WRITE, endless, fill, read, streaming},
    settle, soon,
};

#[tokio::test(start_paused = true)]
async fn a_client_that_stops_reading_ends_after_the_write_timeout() {
    on_each(streaming(), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let (mut connection, session) = stage.open(way).await;
        let stopped = Instant::now();
        let held = fill(&session).await;
        let waiting = session.sender();
        let waiting = tokio::spawn(async move { waiting.send("x".repeat(CHUNK)).await });
        assert_eq!(soon("its end", session.closed()).await, CloseReason::WriteTimeout);
        assert_eq!(stopped.elapsed().as_secs(), WRITE.as_secs(), "{:?}", stopped.elapsed());
        assert!(stopped.elapsed() < WRITE + 5 * Duration::from_millis(1), "{:?}", stopped.elapsed());
        assert!(matches!(soon("a refusal", waiting).await, Ok(Err(SendError::Closed(_)))));
        // A stream without an end may take all that is queued into one frame, behind which the queue fills again.
        let buffers = if way.kind == Kind::Socket { WEBSOCKET } else { HYPER + (1 << 20) };
        assert!(held <= (1 << 20) + buffers + PIPE, "{held} bytes were held for it");
        // What had left comes to its end, and so does the connection of a socket.
        if way.kind == Kind::Socket {
            let mut rest = Vec::new();
            soon("the end of the connection", connection.read_to_end(&mut rest)).await.unwrap();
            assert!(rest.len() <= WEBSOCKET + PIPE);
        }
        sleep(6 * SECOND).await;
        drop(session);
        assert_eq!(stage.handle.stats().total().attached, 0);
        assert_eq!(stage.handle.stats().closed[&CloseKind::WriteTimeout], 1);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_slowly_stays() {
    on_each(streaming(), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let (mut connection, session) = stage.open(way).await;
        fill(&session).await;
        // What lets something be seen: a byte on a socket, a chunk of a stream.
        let (enough, too_little) = if way.kind == Kind::Socket { (1, 0) } else { (32 << 10, 1) };
        for _ in 0..10 {
            sleep(WRITE - SECOND).await;
            read(&mut connection, enough + 16).await;
            assert_eq!(session.close_reason(), None);
        }
        let last = Instant::now();
        sleep(WRITE - SECOND).await;
        read(&mut connection, too_little).await;
        assert_eq!(soon("its end", session.closed()).await, CloseReason::WriteTimeout);
        assert_eq!(last.elapsed().as_secs(), WRITE.as_secs());
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn without_a_write_timeout_a_client_may_stop_for_ever() {
    on_each(streaming(), async |way| {
        let mut stage = Stage::new(way, Options::new().write_timeout(None));
        let (_connection, session) = stage.open(way).await;
        fill(&session).await;
        sleep(Duration::from_secs(86_400)).await;
        assert_eq!(session.close_reason(), None);
    })
    .await;
}

/// Nothing is held against a client that has nothing to read, or reads what there is.
#[tokio::test(start_paused = true)]
async fn a_client_that_reads_is_never_given_up() {
    on_each(streaming(), async |way| {
        let mut stage = Stage::new(way, Options::new().pong_timeout(None));
        let (mut connection, session) = stage.open(way).await;
        let reader = tokio::spawn(async move {
            let mut all = Vec::new();
            connection.read_to_end(&mut all).await.map(|_| all)
        });
        for pause in [0, 1, 9, 10, 11, 24, 25, 26, 100, 3600] {
            sleep(Duration::from_secs(pause)).await;
            for _ in 0..20 {
                session.send("x".repeat(1 << pause.min(16))).await.unwrap();
            }
        }
        assert_eq!(session.close_reason(), None);
        drop(session);
        reader.abort();
    })
    .await;
}

/// What was sent before a close arrives, and the close behind it, however slow the client's link is.
#[tokio::test(start_paused = true)]
async fn a_close_waits_for_what_is_on_its_way() {
    const LARGE: usize = 2 << 20;
    const RATE: usize = 128 << 10;
    on_each(WAYS.iter(), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let id = fresh_id();
        let (mut connection, session) = stage.open_as(way, &id).await;
        if way.kind == Kind::Poll {
            connection.write_all(&way.receiving(&id).to_bytes()).await.unwrap();
            settle().await;
        }
        session.send("~".repeat(LARGE)).await.unwrap();
        // By now a receiver has taken it.
        sleep(Duration::from_millis(100)).await;
        session.close(3000, "Go away!");
        drop(session);
        let mut got = Vec::new();
        let mut asked_again = false;
        let mut arrived = 0;
        let close = |got: &[u8]| {
            got.rchunks(200).next().is_some_and(|tail| tail.windows(8).any(|text| text == b"Go away!"))
        };
        while !close(&got) {
            let mut some = vec![0; PIPE];
            let read = soon("more", connection.read(&mut some)).await.unwrap();
            assert!(read > 0, "{arrived} of {LARGE}, and no close");
            got.extend_from_slice(&some[..read]);
            arrived += some[..read].iter().filter(|&&byte| byte == b'~').count();
            sleep(SECOND * u32::try_from(read).unwrap() / u32::try_from(RATE).unwrap()).await;
            if way.kind == Kind::Poll && !asked_again && arrived == LARGE {
                asked_again = true;
                // The rest of the response, then the next one.
                sleep(SECOND).await;
                connection.write_all(&way.receiving(&id).to_bytes()).await.unwrap();
            }
        }
        assert_eq!(arrived, LARGE);
    })
    .await;
}

/// A stream whose network has gone without a word: heartbeats fit the buffers for long, so the kernel is the
/// first to notice, and says so. Here the test does in its place.
#[tokio::test(start_paused = true)]
async fn a_half_open_stream_without_messages_ends_when_the_kernel_gives_up() {
    on_each(WAYS.iter().filter(|way| way.kind == Kind::Stream), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let (connection, session) = stage.open(way).await;
        let (_open, other) = stage.open(way).await;
        sleep(Duration::from_secs(1800)).await;
        assert_eq!(session.close_reason(), None, "no deadline ends it");
        drop(connection);
        settle().await;
        assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost));
        // With a kernel that never gives up, the buffers are full some day.
        assert_eq!(soon("its end", other.closed()).await, CloseReason::WriteTimeout);
    })
    .await;
}

/// Fifty clients that stop reading: what is held for them is bounded, whatever happens to a full queue, and is
/// given back when they are given up; another client is served beside them.
#[tokio::test(start_paused = true)]
async fn what_is_held_for_many_stalled_clients_is_bounded() {
    const STALLED: usize = 50;
    const QUEUE: usize = 256 << 10;
    for policy in [Overflow::Wait, Overflow::Close, Overflow::DropOldest] {
        on_each(streaming(), async |way| {
            let mut stage = Stage::new(way, Options::new().send_queue_bytes(QUEUE).send_overflow(policy));
            let (mut neighbour, reads) = stage.open(way).await;
            let mut stalled = Vec::new();
            for _ in 0..STALLED {
                stalled.push(stage.open(way).await);
            }
            let message = Message::from("x".repeat(CHUNK));
            for _ in 0..2000 / STALLED {
                for (_, session) in &stalled {
                    let _ = session.try_send(message.clone());
                }
                settle().await;
            }
            let stats = stage.handle.stats();
            assert!(stats.send_queue_peak_bytes <= QUEUE, "{}", stats.send_queue_peak_bytes);
            // What has left the queues, and has not been read.
            let buffers = if way.kind == Kind::Socket { WEBSOCKET } else { HYPER };
            let held = stats.total().bytes_sent as usize;
            assert!(held <= STALLED * (buffers + PIPE), "{held}");
            reads.send("for one that reads").await.unwrap();
            read(&mut neighbour, 20).await;
            sleep(WRITE + SECOND).await;
            assert_eq!(reads.close_reason(), None);
            for (_, session) in &stalled {
                let reason = session.close_reason();
                let full = policy == Overflow::Close && reason == Some(CloseReason::SendQueueFull);
                assert!(full || reason == Some(CloseReason::WriteTimeout), "{policy:?}: {reason:?}");
            }
            drop(stalled);
            sleep(6 * SECOND).await;
            assert_eq!(stage.handle.len(), 1);
        })
        .await;
    }
}

/// A client that sends and does not read what comes back is stopped itself: the push-back goes all the way.
#[tokio::test(start_paused = true)]
async fn an_echo_is_not_taken_from_a_client_that_does_not_read_it() {
    let http = WAYS.iter().filter(|way| way.kind == Kind::Stream);
    on_each(http, async |way| {
        let options = Options::new().write_timeout(None).receive_timeout(10 * SECOND);
        let options = endless(way, options);
        let endpoint = SockJs::new(crate::support::apps::echo).options(options);
        let handle = endpoint.handle();
        let (_, sessions) = mpsc::unbounded_channel();
        let stage = Stage { app: Router::new().nest_service("/app", endpoint), handle, sessions };
        let mut receiving = stage.connect();
        let id = fresh_id();
        receiving.write_all(&way.receiving(&id).to_bytes()).await.unwrap();
        // Into the frames, but no further.
        read(&mut receiving, 3 << 10).await;
        let payload = serde_json::to_string(&["x".repeat(CHUNK)]).unwrap();
        let mut refused = 0;
        for _ in 0..256 {
            let mut connection = stage.connect();
            connection
                .write_all(&way.sending(&id, &payload).header("Connection", "close").to_bytes())
                .await
                .unwrap();
            let mut answer = Vec::new();
            soon("an answer", connection.read_to_end(&mut answer)).await.unwrap();
            refused += usize::from(answer.starts_with(b"HTTP/1.1 503"));
            if refused == 2 {
                break;
            }
        }
        assert_eq!(refused, 2, "16 MiB were taken from a client that reads none of it");
        let taken = stage.handle.stats().total().bytes_received as usize;
        assert!(taken <= 2 * (1 << 20) + HYPER + PIPE + CHUNK, "{taken}");
    })
    .await;
}

/// Reads for a client that is slow: a little, when all is still.
async fn read_slowly(way: &'static Way, id: String, mut connection: DuplexStream) {
    const STILL: Duration = Duration::from_millis(1);
    let mut some = vec![0; 8 << 10];
    loop {
        if way.kind == Kind::Poll {
            connection.write_all(&way.receiving(&id).to_bytes()).await.expect("the server reads");
        }
        while let Ok(read) = timeout(STILL, connection.read(&mut some)).await {
            assert_ne!(read.expect("the server writes"), 0);
            sleep(STILL).await;
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_large_message_is_not_overtaken_by_senders_without_end() {
    const SENDERS: usize = 4;
    on_each(WAYS, async |way| {
        let id = fresh_id();
        let mut stage = Stage::new(way, Options::new().write_timeout(None).disconnect_delay(600 * SECOND));
        let (connection, session) = stage.open_as(way, &id).await;
        fill(&session).await;
        let sent = Arc::new(AtomicUsize::new(0));
        let mut senders = JoinSet::new();
        for _ in 0..SENDERS {
            let (sender, sent) = (session.sender(), Arc::clone(&sent));
            senders.spawn(async move {
                let message = Message::from("x".repeat(CHUNK));
                while sender.send(message.clone()).await.is_ok() {
                    sent.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        settle().await;
        let (sender, count) = (session.sender(), Arc::clone(&sent));
        let before = sent.load(Ordering::Relaxed);
        let large = tokio::spawn(async move {
            sender.send("L".repeat(900 << 10)).await.expect("the session is open");
            count.load(Ordering::Relaxed)
        });
        settle().await;
        let reader = tokio::spawn(read_slowly(way, id, connection));
        let after = timeout(20 * SECOND, large).await.expect("its turn comes").unwrap();
        assert!(after - before <= SENDERS, "{} messages have overtaken it", after - before - SENDERS);
        reader.abort();
        drop(session);
        while senders.join_next().await.is_some() {}
    })
    .await;
}
