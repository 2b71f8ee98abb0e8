//! Sockets that are slow or dead, on connections whose buffers and clock are the test's own.

use std::{sync::Arc, time::Duration};

use axum::Router;
use axum_sockjs::{CloseFrame, CloseReason, Options, Session, SockJs, Transport};
use futures_util::{FutureExt as _, StreamExt as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    sync::{Notify, mpsc},
    time::{Instant, sleep, timeout},
};
use tokio_tungstenite::client_async;

use crate::support::{
    client::{on_each, sockets},
    in_process,
    pipe::{PIPE, SECOND, Stage, WRITE, read},
    settle, soon, ws,
};

const HEARTBEAT: Duration = Duration::from_secs(25);

#[tokio::test(start_paused = true)]
async fn a_peer_that_does_not_answer_a_ping_is_given_up() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, Options::new().pong_timeout(7 * SECOND));
        let (mut connection, session) = stage.open(way).await;
        let start = Instant::now();
        assert_eq!(soon("its end", session.closed()).await, CloseReason::PongTimeout);
        assert_eq!(start.elapsed().as_secs(), (HEARTBEAT + 7 * SECOND).as_secs());
        let mut rest = Vec::new();
        soon("the end of the connection", connection.read_to_end(&mut rest)).await.unwrap();
        assert_eq!(start.elapsed().as_secs(), 37, "the disconnect delay later");
        let heartbeat: &[u8] = if way.framed { &[0x81, 1, b'h', 0x89, 0] } else { &[0x89, 0] };
        assert!(rest.starts_with(heartbeat), "{rest:?}");
        assert!(rest.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == 1002_u16.to_be_bytes()));
    })
    .await;
}

/// The ping goes by the session's own heartbeats, and so does the wait for its answer.
#[tokio::test(start_paused = true)]
async fn pings_change_and_stop_with_the_heartbeats() {
    on_each(sockets(), async |way| {
        let heartbeat: &[u8] = if way.framed { &[0x81, 1, b'h', 0x89, 0] } else { &[0x89, 0] };
        let mut stage = Stage::new(way, Options::new().pong_timeout(7 * SECOND));
        let (mut connection, session) = stage.open(way).await;
        session.set_heartbeat(3 * SECOND);
        let start = Instant::now();
        read(&mut connection, heartbeat.len()).await;
        assert_eq!(start.elapsed().as_secs(), 3);
        session.set_heartbeat(None);
        sleep(Duration::from_secs(86_400)).await;
        assert_eq!(session.close_reason(), None, "no answer is expected to a ping that has left");
        assert!(connection.read_u8().now_or_never().is_none(), "nothing is sent");

        session.set_heartbeat(3 * SECOND);
        read(&mut connection, heartbeat.len()).await;
        let start = Instant::now();
        assert_eq!(soon("its end", session.closed()).await, CloseReason::PongTimeout);
        assert_eq!(start.elapsed().as_secs(), 7);
    })
    .await;
}

#[tokio::test(start_paused = true)]
async fn a_peer_that_answers_stays_for_ever() {
    for transport in [Transport::WebSocket, Transport::RawWebSocket] {
        let (mut client, session) = in_process::Stage::new(Options::new()).open(transport).await;
        client.expect_nothing(Duration::from_secs(86_400)).await;
        assert_eq!(session.close_reason(), None, "{transport}");
    }
}

/// The end of the session wakes what the handler has waited for, and nobody is left to be polled.
#[tokio::test(start_paused = true)]
async fn a_handler_that_has_ended_leaves_its_task_nothing_to_do() {
    on_each(sockets(), async |way| {
        let stop = Arc::new(Notify::new());
        let stopped = stop.clone();
        let endpoint = SockJs::new(async move |mut session: Session| {
            tokio::select! {
                _ = session.recv() => {}
                () = stopped.notified() => {}
            }
        });
        let (handle, (_, sessions)) = (endpoint.handle(), mpsc::unbounded_channel());
        let stage = Stage { app: Router::new().nest_service("/app", endpoint), handle, sessions };
        let mut connection = stage.connect();
        let path = if way.framed { "/app/000/session/websocket" } else { "/app/websocket" };
        connection.write_all(&ws::handshake(path).to_bytes()).await.unwrap();
        settle().await;
        assert_eq!(stage.handle.stats().total().open(), 1);
        stop.notify_waiters();
        // The client does not answer the close. Time passes only while no task runs: otherwise this never ends.
        sleep(SECOND).await;
        assert_eq!(stage.handle.stats().total().open(), 0);
    })
    .await;
}

/// A part of a message is life enough for one that does not answer pings.
#[tokio::test(start_paused = true)]
async fn a_peer_that_says_anything_stays() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let (connection, session) = stage.open(way).await;
        let (mut reads, mut connection) = tokio::io::split(connection);
        let reads = tokio::spawn(async move { while let Ok(1..) = reads.read(&mut [0; 64]).await {} });
        let payload = if way.framed { "[\"a\"]" } else { "a" };
        let message = ws::frame(ws::FIN | ws::TEXT, payload.as_bytes());
        // Each message within its minute.
        for byte in message.iter().cycle().take(50 * message.len()) {
            sleep(5 * SECOND).await;
            assert_eq!(session.close_reason(), None);
            connection.write_all(&[*byte]).await.unwrap();
        }
        assert_eq!(soon("its end", session.closed()).await, CloseReason::PongTimeout);
        reads.abort();
    })
    .await;
}

/// Who is sent something each second is asked all the same.
#[tokio::test(start_paused = true)]
async fn a_dead_peer_is_found_although_it_is_sent_messages() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let (connection, session) = stage.open(way).await;
        let (mut reads, _writes) = tokio::io::split(connection);
        let reads = tokio::spawn(async move { while let Ok(1..) = reads.read(&mut [0; 64]).await {} });
        let start = Instant::now();
        while session.send("tick").await.is_ok() {
            sleep(SECOND).await;
        }
        assert_eq!(session.close_reason(), Some(CloseReason::PongTimeout));
        assert!(start.elapsed() <= HEARTBEAT + WRITE + 2 * SECOND, "{:?}", start.elapsed());
        reads.abort();
    })
    .await;
}

/// A ping has to get past what is before it on a link that is always full.
#[tokio::test(start_paused = true)]
async fn a_peer_that_reads_all_the_time_is_not_taken_for_dead() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, Options::new());
        let (connection, session) = stage.open(way).await;
        let (mut reads, _writes) = tokio::io::split(connection);
        let reader = tokio::spawn(async move {
            let mut some = [0; 1 << 10];
            // A second for 16 KiB, and no pong.
            while let Ok(1..) = reads.read(&mut some).await {
                sleep(SECOND / 16).await;
            }
        });
        let start = Instant::now();
        while start.elapsed() < Duration::from_secs(600) {
            assert!(session.send("x".repeat(2000)).await.is_ok(), "{:?}", session.close_reason());
            sleep(Duration::from_millis(110)).await;
        }
        drop(session);
        reader.abort();
    })
    .await;
}

/// The answers to a flood of pings are not kept for a peer that does not read them.
#[tokio::test(start_paused = true)]
async fn pings_of_a_peer_that_does_not_read_are_not_read_either() {
    for drips in [false, true] {
        on_each(sockets(), async |way| {
            let mut stage = Stage::new(way, Options::new());
            let (connection, session) = stage.open(way).await;
            let (mut reads, mut writes) = tokio::io::split(connection);
            let ping = ws::frame(ws::FIN | ws::PING, &[b'p'; 125]);
            let mut taken = 0;
            for _ in 0..60 {
                while let Ok(Ok(written @ 1..)) =
                    timeout(SECOND, writes.write(&ping[taken % ping.len()..])).await
                {
                    taken += written;
                    assert!(taken < 1 << 20, "{taken} bytes of pings were taken");
                }
                if drips {
                    reads.read_exact(&mut [0; 16]).await.unwrap();
                } else if session.close_reason().is_some() {
                    break;
                }
            }
            let end = if drips { None } else { Some(CloseReason::WriteTimeout) };
            assert_eq!(session.close_reason(), end);
        })
        .await;
    }
}

/// A heartbeat lets an idle connection's buffers go: not those that have something to write.
#[tokio::test(start_paused = true)]
async fn a_heartbeat_before_a_large_message_loses_none_of_it() {
    const LARGE: usize = 300_000;
    let endpoint = SockJs::new(async |mut session: Session| {
        while session.recv().await.is_some() {
            session.send("~".repeat(LARGE)).await.unwrap();
        }
    });
    let handle = endpoint.handle();
    let (_, sessions) = mpsc::unbounded_channel();
    let stage = Stage { app: Router::new().nest_service("/app", endpoint), handle, sessions };
    let (mut client, _) =
        soon("a handshake", client_async("ws://localhost/app/000/a/websocket", stage.connect()))
            .await
            .unwrap();
    soon("`o`", client.next()).await.unwrap().unwrap();
    let connection = client.get_mut();
    let message = ws::frame(ws::FIN | ws::TEXT, br#"["a"]"#);
    connection.write_all(&message).await.unwrap();
    settle().await;
    // Read so slowly that a heartbeat falls due behind it.
    let mut got = 0;
    let mut count = |bytes: &[u8]| got += bytes.iter().filter(|&&byte| byte == b'~').count();
    let frame = 10 + LARGE + r#"a[""]"#.len();
    let mut left = frame - PIPE - 1000;
    for step in [100; 6].into_iter().chain(std::iter::repeat(PIPE)) {
        let mut some = vec![0; step.min(left)];
        connection.read_exact(&mut some).await.unwrap();
        count(&some);
        left -= some.len();
        if left == 0 {
            break;
        }
        if step == 100 {
            sleep(5 * SECOND).await;
        }
    }
    settle().await;
    // In one turn: the rest has room, the heartbeat leaves, and the next message comes.
    let mut some = vec![0; PIPE];
    assert_eq!(connection.read(&mut some).await.unwrap(), PIPE);
    count(&some);
    connection.write_all(&message).await.unwrap();
    while let Ok(read @ 1..) = timeout(SECOND, connection.read(&mut some)).await.unwrap_or(Ok(0)) {
        count(&some[..read]);
    }
    assert_eq!(got, 2 * LARGE);
}

/// A peer that has broken a rule while it is behind with reading is told so when it has caught up.
#[tokio::test(start_paused = true)]
async fn a_violation_of_a_peer_that_is_behind_is_answered() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, Options::new().max_body_bytes(50).max_message_bytes(46));
        let (mut connection, session) = stage.open(way).await;
        session.send("x".repeat(300_000)).await.unwrap();
        settle().await;
        let payload = format!("[\"{}\"]", "a".repeat(100));
        for _ in 0..2 {
            connection.write_all(&ws::frame(ws::FIN | ws::TEXT, payload.as_bytes())).await.unwrap();
            settle().await;
        }
        let mut rest = Vec::new();
        soon("the end of the connection", connection.read_to_end(&mut rest)).await.unwrap();
        assert!(rest.len() > 300_000, "{}", rest.len());
        let tail = &rest[rest.len().saturating_sub(100)..];
        assert!(tail.windows(4).any(|bytes| bytes[0] == 0x88 && bytes[2..] == 1009_u16.to_be_bytes()));
    })
    .await;
}

const MINUTE: Duration = Duration::from_secs(60);

fn too_slow() -> CloseReason {
    CloseReason::ProtocolError(CloseFrame::new(1008, "Message too slow"))
}

/// Without heartbeats, which a client that only writes would not answer.
fn unasked() -> Options {
    Options::new().heartbeat(None)
}

/// Whatever is unfinished, and whatever comes in between.
#[tokio::test(start_paused = true)]
async fn an_unfinished_message_has_a_minute() {
    let long_header = [&[ws::FIN | ws::TEXT, 0xff][..], &100_000_u64.to_be_bytes()].concat();
    let fragment = ws::frame(ws::TEXT, b"[\"");
    let pong = ws::frame(ws::FIN | ws::PONG, b"");
    let empty = ws::frame(ws::CONTINUATION, b"");
    let cases: &[(&[u8], &[u8])] = &[
        // A fragment, and pongs; or empty fragments; or nothing.
        (&fragment, &pong),
        (&fragment, &empty),
        (&fragment, b""),
        // Payload that drips, and none.
        (&[&long_header[..], &[0; 4]].concat(), b"x"),
        (&ws::frame(ws::FIN | ws::TEXT, b"[\"a\"]")[..7], b""),
        // Half a header, and a control frame that is none yet.
        (&long_header[..1], b""),
        (&ws::frame(ws::FIN | ws::PING, b"ping")[..8], b""),
    ];
    on_each(sockets(), async |way| {
        for (unfinished, then) in cases {
            let mut stage = Stage::new(way, unasked());
            let (mut connection, session) = stage.open(way).await;
            // What was before does not count.
            sleep(10 * MINUTE).await;
            let whole = ws::frame(ws::FIN | ws::PONG, b"before");
            connection.write_all(&[&whole, *unfinished].concat()).await.unwrap();
            settle().await;
            let start = Instant::now();
            for _ in 0..59 {
                sleep(SECOND).await;
                connection.write_all(then).await.unwrap();
                settle().await;
                assert_eq!(session.close_reason(), None, "{unfinished:?} at {:?}", start.elapsed());
            }
            assert_eq!(soon("its end", session.closed()).await, too_slow(), "{unfinished:?}");
            assert_eq!(start.elapsed().as_secs(), 60);
            let mut told = [0; 4 + 16];
            soon("a close frame", connection.read_exact(&mut told)).await.unwrap();
            assert_eq!(&told[..4], [0x88, 18, 0x03, 0xf0]);
            assert_eq!(&told[4..], b"Message too slow");
        }
    })
    .await;
}

/// A client that writes without a pause leaves a part of a message behind each read.
#[tokio::test(start_paused = true)]
async fn each_message_has_a_minute_of_its_own() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, unasked());
        let (mut connection, mut session) = stage.open(way).await;
        let payload = if way.framed { "[\"a\"]" } else { "a" };
        let message = ws::frame(ws::FIN | ws::TEXT, payload.as_bytes());
        let fragments =
            [ws::frame(ws::TEXT, payload.as_bytes()), ws::frame(ws::FIN | ws::CONTINUATION, b"")].concat();
        for message in [&message, &fragments] {
            let (first, second) = message.split_at(message.len() / 2);
            connection.write_all(first).await.unwrap();
            for _ in 0..100 {
                sleep(MINUTE - SECOND).await;
                assert_eq!(session.close_reason(), None);
                connection.write_all(&[second, first].concat()).await.unwrap();
                assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");
            }
            connection.write_all(second).await.unwrap();
            soon("a message", session.recv()).await.unwrap();
            // Nothing is unfinished now.
            sleep(10 * MINUTE).await;
            assert_eq!(session.close_reason(), None);
        }
    })
    .await;
}

/// What this side does not read cannot be finished.
#[tokio::test(start_paused = true)]
async fn a_message_that_is_not_read_is_not_too_slow() {
    on_each(sockets(), async |way| {
        let payload = if way.framed { "[\"a\"]" } else { "a" };
        let message = ws::frame(ws::FIN | ws::TEXT, payload.as_bytes());
        let (half, rest) = message.split_at(message.len() / 2);

        // The application does not receive.
        let mut stage = Stage::new(way, unasked().receive_queue_messages(1));
        let (mut connection, mut session) = stage.open(way).await;
        connection.write_all(&[&message[..], &message, half].concat()).await.unwrap();
        sleep(10 * MINUTE).await;
        assert_eq!(session.close_reason(), None);
        for _ in 0..2 {
            assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");
        }
        sleep(MINUTE - SECOND).await;
        assert_eq!(session.close_reason(), None);
        connection.write_all(rest).await.unwrap();
        assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");

        // The peer does not read.
        let mut stage = Stage::new(way, unasked().write_timeout(None));
        let (mut connection, mut session) = stage.open(way).await;
        connection.write_all(half).await.unwrap();
        settle().await;
        session.send("x".repeat(300_000)).await.unwrap();
        sleep(10 * MINUTE).await;
        assert_eq!(session.close_reason(), None);
        let mut some = vec![0; 300_000];
        connection.read_exact(&mut some).await.unwrap();
        settle().await;
        connection.write_all(rest).await.unwrap();
        assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");

        // But pauses do not begin the minute anew.
        connection.write_all(half).await.unwrap();
        settle().await;
        for _ in 0..2 {
            sleep(25 * SECOND).await;
            session.send("x".repeat(300_000)).await.unwrap();
            sleep(10 * MINUTE).await;
            connection.read_exact(&mut some).await.unwrap();
            settle().await;
        }
        sleep(9 * SECOND).await;
        assert_eq!(session.close_reason(), None);
        sleep(2 * SECOND).await;
        assert_eq!(session.close_reason(), Some(too_slow()));
    })
    .await;
}

/// An application that does not receive stops the reading, and the pongs with it.
#[tokio::test(start_paused = true)]
async fn a_slow_application_does_not_make_its_client_look_dead() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::new(way, Options::new().receive_queue_messages(1));
        let (mut connection, mut session) = stage.open(way).await;
        let payload = if way.framed { "[\"a\"]" } else { "a" };
        let message = ws::frame(ws::FIN | ws::TEXT, payload.as_bytes());
        for _ in 0..3 {
            connection.write_all(&message).await.unwrap();
        }
        sleep(Duration::from_secs(600)).await;
        assert_eq!(session.close_reason(), None);
        for _ in 0..3 {
            assert_eq!(soon("a message", session.recv()).await.unwrap(), "a");
        }
        // Now that it is read again, it has to answer.
        assert_eq!(soon("its end", session.closed()).await, CloseReason::PongTimeout);
    })
    .await;
}
