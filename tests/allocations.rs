//! How often memory is allocated for a message, once everything is under way: the numbers do not depend on how
//! busy the machine is, so a change for the worse fails here.
//!
//! Server and client share one thread and its counter; the client allocates nothing itself. To see the figures:
//! `cargo test --test allocations -- --nocapture`.

// Every function here is a part of a test.
#![allow(clippy::unwrap_used)]

use std::{
    net::{Ipv4Addr, SocketAddr},
    time::Duration,
};

use allocation_counter::measure;
use axum::{
    Router, ServiceExt,
    extract::{Request, State},
};
use axum_sockjs::{Options, Session, SockJs};
use axum_sockjs_rooms::{JoinError, Rooms};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::Runtime,
};
use tower::Layer as _;

/// How many rounds go before those that are measured: buffers have grown by then.
const WARM_UP: usize = 64;

/// A power of two, so that queues which double do not cost one case more than another.
const ROUNDS: usize = 128;

/// No answer takes so long unless it is lost.
const PATIENCE: Duration = Duration::from_secs(10);

const CLEAN: &str = "sixty-four bytes of text in which nothing at all needs an escape";

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

async fn sink(mut session: Session) {
    while session.recv().await.is_some() {}
}

async fn broadcast(State(rooms): State<Rooms>, mut session: Session) -> Result<(), JoinError> {
    let room = rooms.join(&session, "all").await?;
    while let Some(message) = session.recv().await {
        room.send(message);
    }
    Ok(())
}

/// A server, and the client's connections to it.
struct Scene {
    runtime: Runtime,
    addr: SocketAddr,
    connections: Vec<TcpStream>,
}

fn echo_endpoint() -> SockJs {
    SockJs::new(echo).options(Options::new().legacy_transports(true))
}

/// As many allocations, and bytes in them, as a message may take.
#[derive(Debug, Clone, Copy)]
struct Most(f64, f64);

/// What the client does in a round, one after the other.
enum Step {
    Write(usize, Vec<u8>),
    /// Reads from a connection until what has come in this step ends so.
    Read(usize, Vec<u8>),
}

use Step::{Read, Write};

impl Scene {
    fn new() -> Self {
        let app = Router::new()
            .nest_service("/echo", echo_endpoint())
            .nest_service("/sink", SockJs::new(sink))
            .nest_service("/unasked", SockJs::new(sink).options(Options::new().heartbeat(None)))
            .nest_service("/broadcast", SockJs::new(broadcast).with_state(Rooms::new()));
        Self::serving(|listener| axum::serve(listener, app).into_future())
    }

    /// With the endpoint as a layer around the router.
    fn layered() -> Self {
        let app = echo_endpoint().layer("/echo").layer(Router::new());
        let app = ServiceExt::<Request>::into_make_service(app);
        Self::serving(|listener| axum::serve(listener, app).into_future())
    }

    fn serving<F>(serve: impl FnOnce(TcpListener) -> F) -> Self
    where
        F: Future<Output = std::io::Result<()>> + Send + 'static,
    {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let listener = runtime.block_on(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))).unwrap();
        let addr = listener.local_addr().unwrap();
        runtime.spawn(serve(listener));
        Self { runtime, addr, connections: Vec::new() }
    }

    /// A new connection on which something is written and its answer read.
    fn connect(&mut self, request: &[u8], answer_end: &[u8]) -> usize {
        let connection = self.runtime.block_on(TcpStream::connect(self.addr)).unwrap();
        connection.set_nodelay(true).unwrap();
        self.connections.push(connection);
        let number = self.connections.len() - 1;
        self.run(&[Write(number, request.to_owned()), Read(number, answer_end.to_owned())], 1);
        number
    }

    /// Lets time pass at once; what is due happens in the next round.
    #[cfg(feature = "websocket")]
    fn pass(&mut self, time: Duration) {
        self.runtime.block_on(async {
            tokio::time::pause();
            tokio::time::advance(time).await;
            tokio::time::resume();
        });
    }

    /// Lets the server come to the end of what it has.
    #[cfg(feature = "websocket")]
    fn settle(&mut self) {
        self.runtime.block_on(async {
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
        });
    }

    /// Reads so many bytes.
    #[cfg(feature = "websocket")]
    fn skip(&mut self, number: usize, bytes: usize) {
        let Self { runtime, connections, .. } = self;
        runtime.block_on(async {
            let mut buffer = [0; 32 << 10];
            let mut left = bytes;
            while left > 0 {
                let part = left.min(buffer.len());
                let more = connections[number].read(&mut buffer[..part]);
                left -= tokio::time::timeout(PATIENCE, more).await.unwrap().unwrap();
            }
        });
    }

    fn run(&mut self, steps: &[Step], rounds: usize) {
        let Self { runtime, connections, .. } = self;
        let mut buffer = [0; 32 << 10];
        let rounds = async {
            for _ in 0..rounds {
                for step in steps {
                    match step {
                        Write(number, bytes) => connections[*number].write_all(bytes).await.unwrap(),
                        Read(number, end) => {
                            let mut read = 0;
                            while !buffer[..read].ends_with(end) {
                                let more = connections[*number].read(&mut buffer[read..]);
                                match tokio::time::timeout(PATIENCE, more).await {
                                    Ok(Ok(more @ 1..)) => read += more,
                                    end => {
                                        panic!("{end:?} after {:?}", String::from_utf8_lossy(&buffer[..read]))
                                    }
                                }
                            }
                        }
                    }
                }
            }
        };
        runtime.block_on(rounds);
    }

    /// Counts the allocations of a round in which `messages` go to and fro; a buffer that grows once in a long
    /// while makes them a little more than a whole number.
    #[track_caller]
    fn expect(&mut self, name: &str, steps: &[Step], messages: usize, at_most: Most) {
        self.run(steps, WARM_UP);
        let counted = measure(|| self.run(steps, ROUNDS));
        let per = |total: u64| total as f64 / (ROUNDS * messages) as f64;
        let (allocations, bytes) = (per(counted.count_total), per(counted.bytes_total));
        println!("{name}: {allocations:.2} allocations of {bytes:.0} bytes per message");
        assert!(
            allocations <= at_most.0 && bytes <= at_most.1,
            "{name}: {allocations:.2} allocations of {bytes:.0} bytes per message, and {at_most:?} have been enough"
        );
    }
}

fn request(method: &str, target: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nOrigin: http://localhost\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n\r\n{body}")
        .into_bytes()
}

fn payload(messages: &[&str]) -> String {
    serde_json::to_string(messages).unwrap()
}

/// The end of any answer that has no body.
const HEAD_END: &[u8] = b"\r\n\r\n";

#[cfg(feature = "websocket")]
mod websocket {
    use super::*;

    const QUOTES: &str = r#"{"id":17,"user":"alice","text":"Hello, how are you?","ok":"yes"}"#;

    fn handshake(path: &str) -> Vec<u8> {
        format!(
            "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
             Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: x3JJHMbDL1EzLkh9GBhXDw==\r\n\r\n"
        )
        .into_bytes()
    }

    /// A text frame, masked with zeros.
    fn frame(text: &str) -> Vec<u8> {
        let mut frame = vec![0x81, 0x80 | 126];
        frame.extend(u16::try_from(text.len()).unwrap().to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(text.as_bytes());
        frame
    }

    #[track_caller]
    fn expect_echo(name: &str, path: &str, sent: &str, end: &str, messages: usize, at_most: Most) {
        let mut scene = Scene::new();
        let opened: &[u8] = if path.ends_with("/000/s/websocket") { b"\x81\x01o" } else { HEAD_END };
        let socket = scene.connect(&handshake(path), opened);
        let steps = [Write(socket, frame(sent)), Read(socket, end.into())];
        scene.expect(name, &steps, messages, at_most);
    }

    #[test]
    fn echo() {
        let path = "/echo/000/s/websocket";
        expect_echo("websocket", path, &payload(&[CLEAN]), "\"]", 1, Most(5.0, 260.0));
        expect_echo("websocket, with escapes", path, &payload(&[QUOTES]), "}\"]", 1, Most(7.0, 420.0));
        let sixteen = format!("{}{CLEAN}\"]", format!("{CLEAN}\",\"").repeat(15));
        expect_echo("websocket, 16 at once", path, &payload(&[CLEAN; 16]), &sixteen, 16, Most(2.4, 264.0));
    }

    #[test]
    fn raw() {
        expect_echo("raw websocket", "/echo/websocket", CLEAN, CLEAN, 1, Most(5.0, 260.0));
    }

    /// A frame with any first byte, masked with zeros.
    fn frame_of(first: u8, payload: &[u8]) -> Vec<u8> {
        let mut frame = vec![first, 0x80 | 127];
        frame.extend((payload.len() as u64).to_be_bytes());
        frame.extend([0; 4]);
        frame.extend(payload);
        frame
    }

    /// As much as an array needs, and no message more than fits the frames to the client.
    fn large_array() -> Vec<u8> {
        serde_json::to_string(&vec!["x".repeat(900); 130]).unwrap().into_bytes()
    }

    fn in_fragments(payload: &[u8], size: usize) -> Vec<u8> {
        let mut bytes = frame_of(0x01, b"");
        for part in payload.chunks(size) {
            bytes.extend(frame_of(0x00, part));
        }
        bytes.extend(frame_of(0x80, b""));
        bytes
    }

    /// How a server comes to know that a socket is idle.
    #[derive(Debug, Clone, Copy, PartialEq)]
    enum Quiet {
        Heartbeat,
        /// Heartbeats are off.
        AtOnce,
        /// There are small messages all the time.
        Busy,
    }

    /// Whatever came before, an idle socket keeps little.
    #[test]
    fn idle() {
        // What is measured is what has been added to a socket that has had a message.
        const MOST: i64 = 10 << 10;
        let large = large_array();
        let pong = frame_of(0x8a, b"");
        let bursts: [(&str, Vec<u8>); 8] = [
            ("a thousand at once", frame_of(0x81, payload(&["x".repeat(900).as_str(); 1000]).as_bytes())),
            ("in one frame", frame_of(0x81, &large)),
            (
                "as two fragments, then in one frame",
                [in_fragments(b"[\"a\"]", 5), frame_of(0x81, &large)].concat(),
            ),
            ("in fragments", in_fragments(&large, 50_000)),
            ("in thousands of fragments", in_fragments(&large, 7)),
            (
                "with pongs inside",
                [frame_of(0x01, &large[..70_000]), pong, frame_of(0x80, &large[70_000..])].concat(),
            ),
            ("many messages", frame_of(0x81, &payload(&["a"; 128]).into_bytes()).repeat(30)),
            ("pings", frame_of(0x89, &[b'p'; 125]).repeat(200)),
        ];
        for quiet in [Quiet::Heartbeat, Quiet::AtOnce, Quiet::Busy] {
            for (name, burst) in &bursts {
                let path =
                    if quiet == Quiet::AtOnce { "/unasked/000/s/websocket" } else { "/sink/000/s/websocket" };
                let mut scene = Scene::new();
                let socket = scene.connect(&handshake(path), b"\x81\x01o");
                let ping = |payload: &[u8]| frame_of(0x89, payload);
                let pong = |payload: &[u8]| [&[0x8a, payload.len() as u8], payload].concat();
                scene.run(&[Write(socket, ping(b"before")), Read(socket, pong(b"before"))], 1);
                let kept = measure(|| {
                    scene.run(
                        &[
                            Write(socket, burst.clone()),
                            Write(socket, ping(b"all")),
                            Read(socket, pong(b"all")),
                        ],
                        1,
                    );
                    match quiet {
                        Quiet::Heartbeat => {
                            scene.pass(Duration::from_secs(26));
                            scene.run(&[Read(socket, b"\x89\x00".to_vec())], 1);
                        }
                        Quiet::AtOnce => {}
                        Quiet::Busy => {
                            scene.run(&[Write(socket, ping(b"busy")), Read(socket, pong(b"busy"))], 100);
                        }
                    }
                    scene.settle();
                    // Only pongs from here on.
                    scene.run(&[Write(socket, frame_of(0x8a, b""))], 1);
                    scene.run(&[Write(socket, ping(b"last")), Read(socket, pong(b"last"))], 1);
                });
                let kept = kept.bytes_current;
                println!("{quiet:?}, {name}: {kept} bytes more are kept");
                assert!(kept <= MOST, "{quiet:?}, {name}: {kept} bytes more are kept, and {MOST} are enough");
            }
        }
    }

    /// The same for what was sent.
    #[test]
    fn idle_behind_large_messages_to_the_client() {
        for (name, path, texts) in [
            ("one", "/echo/websocket", vec!["x".repeat(100_000)]),
            ("many", "/echo/websocket", vec!["x".to_owned(); 5000]),
        ] {
            let mut scene = Scene::new();
            let socket = scene.connect(&handshake(path), HEAD_END);
            let burst: Vec<u8> = texts.iter().flat_map(|text| frame_of(0x81, text.as_bytes())).collect();
            let ping = |payload: &[u8]| frame_of(0x89, payload);
            let pong = |payload: &[u8]| [&[0x8a, payload.len() as u8], payload].concat();
            scene.run(&[Write(socket, ping(b"before")), Read(socket, pong(b"before"))], 1);
            let kept = measure(|| {
                scene.run(&[Write(socket, burst.clone())], 1);
                scene.skip(
                    socket,
                    texts.iter().map(|text| text.len() + if text.len() > 125 { 10 } else { 2 }).sum(),
                );
                scene.run(&[Write(socket, ping(b"busy")), Read(socket, pong(b"busy"))], 100);
            });
            println!("{name}: {} bytes more are kept", kept.bytes_current);
            assert!(kept.bytes_current <= 10 << 10, "{name}: {} bytes more are kept", kept.bytes_current);
        }
    }

    #[test]
    fn broadcast() {
        const SESSIONS: usize = 16;
        let mut scene = Scene::new();
        let mut steps = Vec::new();
        for number in 0..SESSIONS {
            scene.connect(&handshake("/broadcast/000/s/websocket"), b"\x81\x01o");
            steps.push(Read(number, b"\"]".to_vec()));
        }
        steps.insert(0, Write(0, frame(&payload(&[QUOTES]))));
        scene.expect("broadcast to 16, per session", &steps, SESSIONS, Most(1.4, 60.0));
    }
}

/// How the endpoint is mounted.
#[derive(Debug, Clone, Copy)]
enum Mount {
    Nested,
    Layered,
}

impl Mount {
    fn scene(self) -> Scene {
        match self {
            Self::Nested => Scene::new(),
            Self::Layered => Scene::layered(),
        }
    }
}

/// A stream on one connection, and sending requests on another.
#[track_caller]
fn expect_stream(mount: Mount, method: &str, name: &str, opened: &str, ends: [&str; 2], at_most: Most) {
    let mut scene = mount.scene();
    let stream = scene.connect(&request(method, &format!("/echo/000/s/{name}"), ""), opened.as_bytes());
    let send = request("POST", "/echo/000/s/xhr_send", &payload(&[CLEAN]));
    let sender = scene.connect(&send, HEAD_END);
    let end = format!("{}{CLEAN}{}\r\n", ends[0], ends[1]).into_bytes();
    scene.run(&[Read(stream, end.clone())], 1);
    let steps = [Write(sender, send), Read(sender, HEAD_END.to_vec()), Read(stream, end)];
    scene.expect(&format!("{mount:?} {name}"), &steps, 1, at_most);
}

#[test]
fn streams() {
    for (mount, allocations, bytes) in [(Mount::Nested, 25.1, 11_600.0), (Mount::Layered, 13.1, 10_900.0)] {
        let most = |more| Most(allocations + more, bytes + 150.0 * more);
        expect_stream(mount, "POST", "xhr_streaming", "o\n\r\n", ["a[\"", "\"]\n"], most(0.0));
        let event = ["data: a[\"", "\"]\r\n\r\n"];
        expect_stream(mount, "GET", "eventsource", "data: o\r\n\r\n\r\n", event, most(1.0));
        let opened = "p(\"o\");\n</script>\r\n\r\n";
        let script = ["p(\"a[\\\"", "\\\"]\");\n</script>\r\n"];
        expect_stream(mount, "GET", "htmlfile?c=callback", opened, script, most(1.0));
    }
}

/// Polls on one connection, each of which waits until a message is sent on another.
#[track_caller]
fn expect_polls(
    mount: Mount,
    name: &str,
    poll: &[u8],
    frame: [&str; 2],
    send: &[u8],
    sent: &[u8],
    at_most: Most,
) {
    let mut scene = mount.scene();
    let answer = |frame_text: &str| format!("{}{frame_text}{}", frame[0], frame[1]).into_bytes();
    let receiver = scene.connect(poll, &answer("o"));
    let end = if name.ends_with("jsonp") {
        answer(&format!("a[\\\"{CLEAN}\\\"]"))
    } else {
        answer(&format!("a[\"{CLEAN}\"]"))
    };
    let sender = scene.connect(send, sent);
    scene.run(&[Write(receiver, poll.to_vec()), Read(receiver, end.clone())], 1);
    let steps = [
        Write(receiver, poll.to_vec()),
        Write(sender, send.to_vec()),
        Read(sender, sent.to_vec()),
        Read(receiver, end),
    ];
    scene.expect(&format!("{mount:?} {name}"), &steps, 1, at_most);
}

#[test]
fn polls() {
    let body = payload(&[CLEAN]);
    for (mount, xhr, jsonp) in [
        (Mount::Nested, Most(46.1, 22_700.0), Most(50.1, 23_000.0)),
        (Mount::Layered, Most(22.1, 21_300.0), Most(25.1, 21_500.0)),
    ] {
        let send = request("POST", "/echo/000/s/xhr_send", &body);
        let poll = request("POST", "/echo/000/s/xhr", "");
        expect_polls(mount, "xhr", &poll, ["", "\n"], &send, HEAD_END, xhr);
        let send = request("POST", "/echo/000/s/jsonp_send", &body);
        let poll = request("GET", "/echo/000/s/jsonp?c=callback", "");
        let call = ["/**/callback(\"", "\");\r\n"];
        expect_polls(mount, "jsonp", &poll, call, &send, b"\r\n\r\nok", jsonp);
    }
}
