//! Clients that are slow or dead, on connections whose buffers and clock are the test's own: each deadline is
//! exact, and each byte that the server holds for a client is counted.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, body::Body};
#[cfg(feature = "websocket")]
use axum_sockjs::CloseFrame;
use axum_sockjs::{
    CloseReason, Message, Options, Origins, Overflow, SendError, Session, SockJs, SockJsHandle,
};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
    task::{JoinSet, yield_now},
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt as _;

#[cfg(feature = "websocket")]
use crate::support::apps::Endpoint;
use crate::{
    session::service::soon,
    support::{
        client::{Kind, WAYS, Way, on_each},
        fresh_id,
    },
};

const SECOND: Duration = Duration::from_secs(1);
const WRITE: Duration = Duration::from_secs(10);

/// What the connection holds of what the client has not read.
const PIPE: usize = 4 << 10;
/// What hyper holds of a response before it asks for more of it: its default, and one chunk beyond.
const HYPER: usize = (8 << 10) + 100 * (4 << 10) + CHUNK;
/// What the WebSocket library holds before it takes no more, and one frame of the default size beyond.
const WEBSOCKET: usize = (128 << 10) + (128 << 10) + CHUNK;
const CHUNK: usize = 64 << 10;

fn streaming() -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(|way| way.kind != Kind::Poll)
}

/// A stream would come to its end by itself.
fn endless(way: &Way, options: Options) -> Options {
    let options = options.origins(Origins::any());
    if way.kind == Kind::Stream { options.response_limit(1 << 30) } else { options }
}

/// An endpoint in process, whose application is the test.
struct Stage {
    app: Router,
    handle: SockJsHandle,
    sessions: mpsc::UnboundedReceiver<Session>,
}

impl Stage {
    fn new(way: &Way, options: Options) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        let endpoint = SockJs::new(move |session: Session| async move {
            sender.send(session).ok();
        });
        let endpoint = endpoint.options(endless(way, options));
        let handle = endpoint.handle();
        Self { app: Router::new().nest_service("/app", endpoint), handle, sessions }
    }

    /// A connection to the server.
    fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(PIPE);
        let app = self.app.clone();
        let service =
            service_fn(move |request: hyper::Request<Incoming>| app.clone().oneshot(request.map(Body::new)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
        tokio::spawn(connection.with_upgrades());
        client
    }

    /// A session whose client has seen that it opened, and reads only when told.
    async fn open(&mut self, way: &Way) -> (DuplexStream, Session) {
        self.open_as(way, &fresh_id()).await
    }

    async fn open_as(&mut self, way: &Way, id: &str) -> (DuplexStream, Session) {
        let mut connection = self.connect();
        let (request, head) = match way.kind {
            #[cfg(feature = "websocket")]
            Kind::Socket => {
                let path =
                    if way.framed { Endpoint::path(id, way.receive) } else { "/app/websocket".to_owned() };
                // Behind the head, `o` in a frame of one byte; the raw one sends nothing.
                (
                    crate::support::ws::handshake(path),
                    if way.framed { "\r\n\r\n\u{fffd}\u{1}o" } else { "\r\n\r\n" },
                )
            }
            _ => (way.receiving(id), "o"),
        };
        connection.write_all(&request.to_bytes()).await.expect("the server reads");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("\r\n\r\n")
            || !String::from_utf8_lossy(&seen).trim_end_matches(['\r', '\n']).contains(head.trim_end())
        {
            let mut more = vec![0; 512];
            let read =
                soon(&format!("more than {}", String::from_utf8_lossy(&seen)), connection.read(&mut more))
                    .await
                    .expect("the server writes");
            assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&more[..read]);
        }
        let session =
            soon(&format!("a session for {}", String::from_utf8_lossy(&seen)), self.sessions.recv())
                .await
                .expect("the endpoint is alive");
        settle().await;
        (connection, session)
    }
}

/// Lets every task run until it waits for something; no time passes.
async fn settle() {
    for _ in 0..100 {
        yield_now().await;
    }
}

/// Sends until nothing moves any more, and says how many bytes went in.
async fn fill(session: &Session) -> usize {
    let message = Message::from("x".repeat(CHUNK));
    let mut taken = 0;
    loop {
        match session.try_send(message.clone()) {
            Ok(()) => taken += CHUNK,
            Err(SendError::Full(_)) => {
                settle().await;
                if let Err(SendError::Full(_)) = session.try_send(message.clone()) {
                    return taken;
                }
                taken += CHUNK;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

async fn read(connection: &mut DuplexStream, bytes: usize) {
    let mut some = vec![0; bytes];
    soon("bytes", connection.read_exact(&mut some)).await.expect("the server writes");
    settle().await;
}

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
        assert_eq!(stage.handle.stats().closed["write-timeout"], 1);
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
        let mut stage = Stage::new(way, Options::new().write_timeout(Duration::ZERO));
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
        let mut stage = Stage::new(way, Options::new().pong_timeout(Duration::ZERO));
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
        let whole = |got: &[u8]| got.iter().filter(|&&byte| byte == b'~').count();
        let close = |got: &[u8]| {
            got.rchunks(200).next().is_some_and(|tail| tail.windows(8).any(|text| text == b"Go away!"))
        };
        while !close(&got) {
            let mut some = vec![0; PIPE];
            let read = soon("more", connection.read(&mut some)).await.unwrap();
            assert!(read > 0, "{} of {LARGE}, and no close", whole(&got));
            got.extend_from_slice(&some[..read]);
            sleep(SECOND * u32::try_from(read).unwrap() / u32::try_from(RATE).unwrap()).await;
            if way.kind == Kind::Poll && !asked_again && whole(&got) == LARGE {
                asked_again = true;
                // The rest of the response, then the next one.
                sleep(SECOND).await;
                connection.write_all(&way.receiving(&id).to_bytes()).await.unwrap();
            }
        }
        assert_eq!(whole(&got), LARGE);
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

#[cfg(feature = "websocket")]
mod sockets {
    use futures_util::StreamExt as _;
    use tokio_tungstenite::client_async;

    use tokio::time::timeout;

    use super::*;
    use crate::support::ws;

    const HEARTBEAT: Duration = Duration::from_secs(25);

    fn sockets() -> impl Iterator<Item = &'static Way> {
        WAYS.iter().filter(|way| way.kind == Kind::Socket)
    }

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

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_answers_stays_for_ever() {
        on_each(sockets(), async |way| {
            let mut stage = Stage::new(way, Options::new());
            let path = if way.framed { "/app/000/a/websocket" } else { "/app/websocket" };
            let (mut client, _) =
                soon("a handshake", client_async(format!("ws://localhost{path}"), stage.connect()))
                    .await
                    .unwrap();
            let session = soon("a session", stage.sessions.recv()).await.unwrap();
            // The library answers each ping that it reads.
            let reads = tokio::spawn(async move { while let Some(Ok(_)) = client.next().await {} });
            sleep(Duration::from_secs(86_400)).await;
            assert_eq!(session.close_reason(), None);
            reads.abort();
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
            let mut stage = Stage::new(way, Options::new().max_body_bytes(50).max_message_bytes(50));
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
        Options::new().heartbeat(Duration::ZERO)
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
                [ws::frame(ws::TEXT, payload.as_bytes()), ws::frame(ws::FIN | ws::CONTINUATION, b"")]
                    .concat();
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
            let mut stage = Stage::new(way, unasked().write_timeout(Duration::ZERO));
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
        let options = Options::new().write_timeout(Duration::ZERO).receive_timeout(10 * SECOND);
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
        let mut stage =
            Stage::new(way, Options::new().write_timeout(Duration::ZERO).disconnect_delay(600 * SECOND));
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
