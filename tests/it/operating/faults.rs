//! Connections that break, stall and drip, and handlers that misbehave, on real sockets.
//!
//! After each fault there are three questions: what the client saw, what the application was told, and what
//! is left of it on the server, which has to be nothing. docs/faults.md has the answers in a table.

use std::{convert::Infallible, net::SocketAddr, time::Duration};

use axum::{
    extract::FromRequestParts,
    http::{HeaderMap, HeaderValue, request::Parts},
};
use axum_sockjs::{CloseFrame, CloseReason, Options, SendError, Session, Transport};
use tokio::{runtime::Handle, sync::mpsc, time::sleep};

use crate::support::{
    apps::{Endpoint, Reporting, Stage},
    as_time_passes,
    client::{Client, Frame, Kind, WAYS, Way, http_ways, on_each},
    fresh_id,
    http::{Connection, Request},
    pass,
    server::Server,
    until, until_time_has_passed, within,
};

/// Long enough for nothing to end by itself while a test runs.
const NEVER: Duration = Duration::from_secs(600);

/// How often an idle receiver hears of the server, where a test lets the time pass.
const HEARTBEAT: Duration = Duration::from_secs(60);

/// The way of the client that has no fault, and must not notice the others'.
fn neighbours_way() -> &'static Way {
    WAYS.iter().find(|way| way.kind == Kind::Stream).expect("there is one")
}

fn ways(kind: Kind) -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(move |way| way.kind == kind)
}

/// An endpoint with one client that is fine, whose presence must be all that is left after a fault.
struct Scene {
    reporting: Reporting,
    neighbour: Client,
    tasks: usize,
}

fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

impl Scene {
    async fn start(options: Options) -> Self {
        let reporting = Reporting::start(options).await;
        let mut neighbour = Client::open(&reporting.endpoint, neighbours_way()).await;
        neighbour.send(&["before"]).await;
        assert_eq!(neighbour.messages(1).await, ["before"]);
        Self { tasks: alive_tasks(), reporting, neighbour }
    }

    async fn connect(&self) -> Connection {
        self.reporting.endpoint.server.connect().await
    }

    /// Opens a session by a request on a connection that is used for this only.
    async fn open(&self, way: &Way, id: &str) {
        let answer = self.reporting.endpoint.server.ask(&way.receiving(id)).await;
        assert_eq!(way.read(answer.text()), Frame::Open);
    }

    /// Sends a batch by a request on a connection that is used for this only.
    async fn post(&self, way: &Way, id: &str, payload: &str) {
        way.expect_taken(&self.reporting.endpoint.server.ask(&way.sending(id, payload)).await);
    }

    /// Waits until one receiver beside the neighbour's has come.
    async fn both_wait(&self) {
        let handle = &self.reporting.endpoint.handle;
        until("a second receiver", || handle.stats().total().attached == 2).await;
    }

    /// Expects that of all sessions but the neighbour's there is no trace, and that the neighbour goes on.
    async fn nothing_is_left(&mut self) {
        let handle = self.reporting.endpoint.handle.clone();
        until(format_args!("one session, there are {}", handle.len()), || handle.len() == 1).await;
        // What is over is remembered for the disconnect delay.
        until_time_has_passed("the tasks of the others to end", || alive_tasks() <= self.tasks).await;
        self.neighbour.send(&["still here"]).await;
        let mut frame = Frame::Heartbeat;
        while frame == Frame::Heartbeat {
            frame = self.neighbour.frame().await;
        }
        assert_eq!(frame, Frame::messages(&["still here"]));
        assert!(self.reporting.has_no_more(), "an end that nobody asked about");
    }

    /// The same, where the fault may have come before or after the application heard of the session.
    async fn nothing_is_left_but_ends(&mut self, expected: &CloseReason) {
        let handle = self.reporting.endpoint.handle.clone();
        until(format_args!("one session, there are {}", handle.len()), || handle.len() == 1).await;
        until_time_has_passed("the tasks of the others to end", || alive_tasks() <= self.tasks).await;
        while let Some(end) = self.reporting.try_end() {
            assert_eq!(end, *expected);
        }
        self.nothing_is_left().await;
    }
}

/// How a client goes away.
#[derive(Debug, Clone, Copy)]
enum Exit {
    Close,
    Reset,
    /// Says that it will send no more, and waits for the server to hang up.
    HalfClose,
}

const EXITS: [Exit; 3] = [Exit::Close, Exit::Reset, Exit::HalfClose];

async fn leave(mut connection: Connection, exit: Exit) {
    match exit {
        Exit::Close => drop(connection),
        Exit::Reset => connection.abort(),
        Exit::HalfClose => {
            connection.finish_writing().await;
            connection.until_gone().await;
        }
    }
}

// Cuts in what the server sends. Those in what it receives are in `hostile`.

#[tokio::test]
async fn an_answer_to_a_poll_may_be_cut_at_any_byte() {
    on_each(ways(Kind::Poll), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        let whole = {
            let id = fresh_id();
            scene.open(way, &id).await;
            scene.post(way, &id, "[\"lost\"]").await;
            let mut connection = scene.connect().await;
            connection.send(&way.receiving(&id).header("Connection", "close")).await;
            connection.rest().await.len()
        };
        for cut in 0..whole {
            let id = fresh_id();
            scene.open(way, &id).await;
            scene.post(way, &id, "[\"lost\"]").await;
            let mut connection = scene.connect().await;
            connection.send(&way.receiving(&id).header("Connection", "close")).await;
            connection.exactly(cut).await;
            // A half close is no cut: the answer is on its way already.
            leave(connection, EXITS[cut % 2]).await;
        }
        for _ in 0..=whole {
            assert_eq!(scene.reporting.end_as_time_passes().await, CloseReason::TimedOut);
        }
        scene.nothing_is_left().await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_may_be_cut_at_any_byte() {
    on_each(ways(Kind::Stream), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        // A stream as it comes: its head with the padding, and one chunk for each frame.
        let (before_open, whole) = {
            let mut connection = scene.connect().await;
            let id = fresh_id();
            connection.send(&way.receiving(&id)).await;
            connection.head().await;
            connection.chunk().await;
            let before_open = connection.taken();
            connection.chunk().await;
            scene.post(way, &id, "[\"lost\"]").await;
            connection.chunk().await;
            let whole = connection.taken();
            leave(connection, Exit::Reset).await;
            scene.reporting.end().await;
            (before_open, whole)
        };
        for cut in 0..whole {
            // Within the padding, one byte is like another.
            if (400..before_open - 64).contains(&cut) && cut % 64 != 0 {
                continue;
            }
            let id = fresh_id();
            let mut connection = scene.connect().await;
            connection.send(&way.receiving(&id)).await;
            connection.exactly(cut.min(before_open)).await;
            if cut > before_open {
                // `o` has left, and the application's answer follows it.
                scene.post(way, &id, "[\"lost\"]").await;
                connection.exactly(cut - before_open).await;
            }
            leave(connection, EXITS[cut % 3]).await;
            if cut > before_open {
                assert_eq!(scene.reporting.end().await, CloseReason::ConnectionLost, "at byte {cut}");
            }
        }
        scene.nothing_is_left_but_ends(&CloseReason::ConnectionLost).await;
    })
    .await;
}

// A stream or a poll whose client says that it will write no more is over: a client that wants its answer
// keeps the connection open in both directions.
#[tokio::test]
async fn a_receiver_that_half_closes_is_lost() {
    on_each(http_ways(), async |way| {
        let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
        let id = fresh_id();
        let mut connection = scene.connect().await;
        connection.send(&way.receiving(&id)).await;
        if way.kind == Kind::Poll {
            assert_eq!(way.read(connection.answer(way.method).await.text()), Frame::Open);
            connection.send(&way.receiving(&id)).await;
            // It has been attached when another receiver is refused.
            let refused = scene.reporting.endpoint.server.ask(&way.receiving(&id)).await;
            assert!(matches!(way.read(refused.text()), Frame::Close(2010, _)), "{refused}");
        } else {
            connection.head().await;
            connection.chunk().await;
            assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
        }
        leave(connection, Exit::HalfClose).await;
        assert_eq!(scene.reporting.end().await, CloseReason::ConnectionLost);
        // For the disconnect delay its id tells what has happened, as after any other cut.
        let answer = scene.reporting.endpoint.server.ask(&polling().receiving(&id)).await;
        assert_eq!(polling().read(answer.text()), Frame::Close(1002, "Connection interrupted".to_owned()));
        scene.nothing_is_left().await;
    })
    .await;
}

fn polling() -> &'static Way {
    WAYS.iter().find(|way| way.receive == "xhr").expect("there is one")
}

// Clients that stop.

/// A message for which a full queue has no room, where a small one might find some.
fn pad(text: &str) -> String {
    text.to_owned() + &" ".repeat(64 << 10)
}

/// Sends until the session takes no more, and gives the number of bytes that went in.
async fn fill(session: &Session) -> usize {
    let message = pad("");
    let mut taken = 0;
    let mut tries = 0;
    // The buffers of both ends of the connection fill first; nobody says when.
    while tries < 20 {
        match session.try_send(&message) {
            Ok(()) => (taken, tries) = (taken + message.len(), 0),
            Err(SendError::Full(_)) => {
                tries += 1;
                sleep(Duration::from_millis(10)).await;
            }
            Err(error) => panic!("{error}"),
        }
    }
    taken
}

#[tokio::test]
async fn a_client_that_stops_reading_costs_no_more_than_its_buffers() {
    on_each(WAYS, async |way| {
        // A stream does not come to its end by itself.
        let options =
            Options::new().disconnect_delay(NEVER).response_limit(1 << 30).heartbeat(Duration::ZERO);
        let mut stage = Stage::start(options).await;
        let mut other = Client::open(&stage.endpoint, way).await;
        let mut others = stage.session().await;
        let client = Client::open(&stage.endpoint, way).await;
        let stalled = stage.session().await;
        let taken = fill(&stalled).await;
        assert!(taken < 32 << 20, "{taken} bytes for a client that reads nothing");
        // Who waits for room is told of the end.
        let waiting = stalled.sender();
        let waiting = tokio::spawn(async move { waiting.send(pad("behind all that")).await });
        others.send("for one that reads").await.unwrap();
        assert_eq!(other.messages(1).await, ["for one that reads"]);
        if way.kind == Kind::Poll {
            other.down.request().await;
            until("its poll", || stage.endpoint.handle.stats().total().attached == 1).await;
        }
        client.abort(true);
        if way.kind == Kind::Poll {
            pass(NEVER).await;
        }
        let reason = within("the end of the stalled session", stalled.closed()).await;
        let expected = match way.kind {
            // Between two polls there is no connection that could be lost.
            Kind::Poll => CloseReason::TimedOut,
            Kind::Stream | Kind::Socket => CloseReason::ConnectionLost,
        };
        assert_eq!(reason, expected);
        let refused = within("the waiting send", waiting).await.unwrap().unwrap_err();
        assert_eq!(refused, SendError::Closed(pad("behind all that").into()));
        drop(stalled);
        other.send(&["goes on"]).await;
        assert_eq!(within("a message", others.recv()).await.unwrap(), "goes on");
        until("one session", || stage.endpoint.handle.len() == 1).await;
    })
    .await;
}

/// A client whose connection has gone without a word, as when a phone loses its network, looks to the server
/// like one that is silent: a poll is answered into nothing, and the next one never comes.
#[tokio::test]
async fn a_half_open_poll_times_out_after_a_heartbeat() {
    on_each(ways(Kind::Poll), async |way| {
        let mut scene = Scene::start(Options::new().heartbeat(HEARTBEAT).disconnect_delay(NEVER)).await;
        let id = fresh_id();
        scene.open(way, &id).await;
        let mut connection = scene.connect().await;
        connection.send(&way.receiving(&id)).await;
        scene.both_wait().await;
        // Nothing reads the answer, and nothing closes the connection.
        assert_eq!(scene.reporting.end_as_time_passes().await, CloseReason::TimedOut);
        drop(connection);
        scene.nothing_is_left().await;
    })
    .await;
}

// What a server has to ask hyper for.

/// Serves as SECURITY.md advises where there is no proxy, with a longer time for heads.
fn serve_as_advised(app: axum::Router) -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a port of loopback is free");
    listener.set_nonblocking(true).expect("a listener takes options");
    let addr = listener.local_addr().expect("a bound listener has an address");
    let mut server = axum_server::from_tcp(listener).expect("a listener that does not block");
    server
        .http_builder()
        .http1()
        .timer(hyper_util::rt::TokioTimer::new())
        .header_read_timeout(NEVER)
        .half_close(true);
    tokio::spawn(server.serve(app.into_make_service_with_connect_info::<SocketAddr>()));
    addr
}

/// An endpoint served so, and how its sessions end. The handler closes at once where it is told to.
fn advised_endpoint(options: Options) -> (Endpoint, mpsc::UnboundedReceiver<CloseReason>) {
    let (sender, ends) = mpsc::unbounded_channel();
    let handler = move |headers: HeaderMap, session: Session| async move {
        if headers.contains_key("x-close") {
            session.close(3000, "Go away!");
        }
        sender.send(session.closed().await).ok();
    };
    let endpoint = axum_sockjs::SockJs::new(handler).options(crate::support::apps::open_to_all(options));
    let handle = endpoint.handle();
    let addr = serve_as_advised(axum::Router::new().nest_service("/app", endpoint));
    (Endpoint { server: Server::at(addr), handle }, ends)
}

/// hyper's default is to give such a request up when it sees the end in time, and to answer it else. It sees it more often
/// with the client on another thread.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_sends_a_request_and_nothing_more_is_answered_where_half_close_is_on() {
    let (endpoint, _ends) = advised_endpoint(Options::new().disconnect_delay(NEVER));
    let close = |request: Request| request.header("X-Close", "1");
    let closed = r#"c[3000,"Go away!"]"#;
    for _ in 0..100 {
        let id = fresh_id();
        for (request, expected) in [
            (Request::get("/app"), "Welcome to SockJS!\n".to_owned()),
            (Request::get("/app/info"), "\"cookie_needed\":false".to_owned()),
            (Request::get("/app/iframe.html"), "<!DOCTYPE html>".to_owned()),
            (close(Request::get(Endpoint::path(&id, "eventsource"))), format!("data: {closed}\r\n\r\n")),
            (Request::get(Endpoint::path(&id, "eventsource")), format!("data: {closed}\r\n\r\n")),
            (Request::post(Endpoint::path(&fresh_id(), "xhr")), "o\n".to_owned()),
            (Request::post(Endpoint::path(&id, "xhr")), format!("{closed}\n")),
            (Request::get(Endpoint::path(&fresh_id(), "jsonp?c=x")), "/**/x(\"o\");\r\n".to_owned()),
            (Request::get("/app/nothing"), String::new()),
        ] {
            let mut connection = endpoint.server.connect().await;
            connection.send(&request).await;
            connection.finish_writing().await;
            let answer = connection.answer(&request.method).await;
            assert!([200, 404].contains(&answer.status), "{answer}");
            assert!(answer.text().contains(&expected), "{}: {answer}", request.target);
        }
    }
}

#[tokio::test]
async fn a_poll_that_waits_is_answered_behind_a_half_close_where_that_is_on() {
    for way in ways(Kind::Poll) {
        let (sessions, mut opened) = mpsc::unbounded_channel();
        let hand_over = move |session: Session| async move { drop(sessions.send(session)) };
        let options = crate::support::apps::open_to_all(Options::new());
        let endpoint = axum_sockjs::SockJs::new(hand_over).options(options);
        let handle = endpoint.handle();
        let server = Server::at(serve_as_advised(axum::Router::new().nest_service("/app", endpoint)));
        let id = fresh_id();
        assert_eq!(way.read(server.ask(&way.receiving(&id)).await.text()), Frame::Open);
        let session = within("a session", opened.recv()).await.unwrap();
        let mut connection = server.connect().await;
        connection.send(&way.receiving(&id)).await;
        connection.finish_writing().await;
        until("a poll that waits", || handle.stats().total().attached == 1).await;
        session.send("late").await.unwrap();
        let answer = connection.answer(way.method).await;
        assert_eq!(way.read(answer.text()), Frame::messages(&["late"]), "{}", way.transport);
    }
}

/// The price: hyper does not look for the end of a connection on which it answers.
#[tokio::test]
async fn with_half_close_a_client_that_goes_is_found_by_the_heartbeats() {
    const HEARTBEAT: u64 = 10;
    const DELAY: u64 = 3;
    on_each(WAYS, async |way| {
        let options = Options::new()
            .heartbeat(Duration::from_secs(HEARTBEAT))
            .disconnect_delay(Duration::from_secs(DELAY));
        let (endpoint, mut ends) = advised_endpoint(options);
        let mut client = Client::open(&endpoint, way).await;
        if way.kind == Kind::Poll {
            client.down.request().await;
        }
        until("its receiver", || endpoint.handle.stats().total().attached == 1).await;
        drop(client);
        if way.kind == Kind::Socket {
            // It is hyper's no more.
            assert_eq!(within("the end", ends.recv()).await, Some(CloseReason::ConnectionLost));
            return;
        }
        let mut passed = 0;
        let end = loop {
            pass(Duration::from_secs(1)).await;
            passed += 1;
            if let Ok(end) = tokio::time::timeout(Duration::from_millis(20), ends.recv()).await {
                break end.unwrap();
            }
            assert!(passed < 10 * HEARTBEAT, "{}: nobody has noticed", way.transport);
        };
        let (expected, after) = match way.kind {
            // It is answered by the heartbeat, and the client does not come back.
            Kind::Poll => (CloseReason::TimedOut, HEARTBEAT + DELAY..=HEARTBEAT + DELAY + 5),
            // The kernel takes what the first one writes, and hears that there is nobody.
            _ => (CloseReason::ConnectionLost, HEARTBEAT + 1..=2 * HEARTBEAT + 5),
        };
        assert_eq!(end, expected, "{}", way.transport);
        assert!(after.contains(&passed), "{}: {passed} s, not {after:?}", way.transport);
    })
    .await;
}

// Requests that drip.

/// One byte of a head after the other keeps a connection, and nothing else: no session, no task but hyper's.
/// With a time limit for heads, which a server has to ask hyper for, not even that.
#[tokio::test]
async fn a_head_that_drips_holds_no_session_and_can_be_timed_out() {
    let options = Options::new().heartbeat(Duration::ZERO).disconnect_delay(NEVER);
    let endpoint = axum_sockjs::SockJs::new(crate::support::apps::echo).options(options);
    let handle = endpoint.handle();
    let addr = serve_as_advised(axum::Router::new().nest_service("/app", endpoint));
    for way in WAYS {
        let mut connection = Connection::open(addr).await;
        let head = way.receiving(&fresh_id()).to_bytes();
        let mut bytes = head.chunks(1).take(head.len() - 1).cycle();
        let mut written = 0;
        while connection.try_write(bytes.next().unwrap()).await.is_ok() {
            assert_eq!(handle.len(), 0);
            written += 1;
            assert!(written < 100, "the server goes on waiting for a head that drips");
            sleep(Duration::from_millis(1)).await;
            pass(NEVER / 10).await;
        }
    }
    // Who is quick is served meanwhile, and a stream outlives that time.
    let mut connection = Connection::open(addr).await;
    let way = neighbours_way();
    let id = fresh_id();
    connection.send(&way.receiving(&id)).await;
    connection.head().await;
    connection.chunk().await;
    assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
    pass(2 * NEVER).await;
    let taken = Connection::open(addr).await.ask(&way.sending(&id, "[\"late\"]")).await;
    way.expect_taken(&taken);
    assert_eq!(way.read(&connection.text_chunk().await), Frame::messages(&["late"]));
}

#[tokio::test]
async fn a_body_that_drips_is_told_408_and_brings_nothing() {
    on_each(http_ways(), async |way| {
        let options = Options::new().heartbeat(Duration::ZERO).disconnect_delay(NEVER);
        let mut scene = Scene::start(options).await;
        let id = fresh_id();
        if way.kind == Kind::Poll {
            scene.open(way, &id).await;
        }
        let mut receiver = scene.connect().await;
        receiver.send(&way.receiving(&id)).await;
        if way.kind == Kind::Stream {
            receiver.head().await;
            receiver.chunk().await;
            assert_eq!(way.read(&receiver.text_chunk().await), Frame::Open);
        }
        let request = way.sending(&id, "[\"never whole\"]").to_bytes();
        let mut connection = scene.connect().await;
        connection.write(&request[..request.len() - 1]).await;
        // Nobody says when the server begins to wait for the last byte.
        as_time_passes("an answer", connection.readable()).await;
        let answer = connection.answer("POST").await;
        assert_eq!((answer.status, answer.text()), (408, "Body too slow.\n"));
        assert_eq!(scene.reporting.endpoint.handle.stats().rejected["slow-body"], 1);
        // The session goes on without it.
        scene.post(way, &id, "[\"whole\"]").await;
        let frame = match way.kind {
            Kind::Poll => receiver.answer(way.method).await.text().to_owned(),
            Kind::Stream | Kind::Socket => receiver.text_chunk().await,
        };
        assert_eq!(way.read(&frame), Frame::messages(&["whole"]));
        scene.post(way, &id, "[\"close\"]").await;
        assert_eq!(scene.reporting.end().await, CloseReason::Server(CloseFrame::new(4001, "as you wish")));
    })
    .await;
}

// Requests behind one another.

/// Behind bytes that it has read already, hyper does not look for the end of a connection; writing finds it.
#[tokio::test]
async fn a_cut_behind_a_pipelined_request_is_found_by_the_next_heartbeat() {
    on_each(http_ways(), async |way| {
        let mut scene = Scene::start(Options::new().heartbeat(HEARTBEAT).disconnect_delay(NEVER)).await;
        for exit in [Exit::Close, Exit::Reset] {
            let id = fresh_id();
            if way.kind == Kind::Poll {
                scene.open(way, &id).await;
            }
            let mut connection = scene.connect().await;
            let request = [way.receiving(&id).to_bytes(), Request::get("/app/info").to_bytes()].concat();
            connection.write(request).await;
            if way.kind == Kind::Stream {
                connection.head().await;
                connection.chunk().await;
                assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
            }
            scene.both_wait().await;
            leave(connection, exit).await;
            let end = scene.reporting.end_as_time_passes().await;
            match way.kind {
                // The heartbeat answers a poll, whether that arrives or not.
                Kind::Poll => {
                    assert!(matches!(end, CloseReason::TimedOut | CloseReason::ConnectionLost), "{end}");
                }
                Kind::Stream | Kind::Socket => assert_eq!(end, CloseReason::ConnectionLost),
            }
        }
        scene.nothing_is_left().await;
    })
    .await;
}

// Text in pieces.

#[tokio::test]
async fn a_character_may_be_split_over_the_pieces_of_a_body() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let id = fresh_id();
        let _client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        let target = way.sending(&id, "").target;
        let head = format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (payload, whole) in [
            ("[\"\u{e9}\u{20ac}\u{1f600}\"]".as_bytes(), true),
            // Half a character, and the beginning of another.
            (b"[\"\xf0\x9f\x98\xc3\xa9\"]", false),
        ] {
            for size in 1..=3 {
                let mut connection = stage.endpoint.server.connect().await;
                connection.write(&head).await;
                for piece in payload.chunks(size) {
                    connection.write(format!("{size:x}\r\n")).await;
                    // The last piece may be shorter: spaces behind an array are nothing.
                    let mut piece = piece.to_vec();
                    piece.resize(size, b' ');
                    for byte in piece {
                        connection.write([byte]).await;
                    }
                    connection.write("\r\n").await;
                }
                connection.write("0\r\n\r\n").await;
                let answer = connection.answer("POST").await;
                if whole {
                    way.expect_taken(&answer);
                    let message = within("a message", session.recv()).await.unwrap();
                    assert_eq!(message, "\u{e9}\u{20ac}\u{1f600}");
                } else {
                    assert_eq!((answer.status, answer.text()), (500, "Broken JSON encoding.\n"));
                    assert!(session.try_recv().is_none());
                }
            }
        }
    })
    .await;
}

// Handlers at fault. Those that panic are in `sessions`.

#[tokio::test]
async fn a_handler_that_hangs_keeps_its_own_task_and_nothing_else() {
    on_each(WAYS, async |way| {
        let (release, released) = tokio::sync::watch::channel(false);
        let (sender, mut reasons) = mpsc::unbounded_channel();
        let handler = move |mut session: Session| {
            let (mut released, sender) = (released.clone(), sender.clone());
            async move {
                released.wait_for(|released| *released).await.ok();
                // What had come before the end is still there.
                let message = session.recv().await;
                sender.send((message, session.closed().await)).ok();
            }
        };
        let endpoint = Endpoint::start(handler, Options::new().disconnect_delay(NEVER)).await;
        let tasks = alive_tasks();
        let mut client = Client::open(&endpoint, way).await;
        client.send(&["nobody reads this yet"]).await;
        #[cfg(feature = "websocket")]
        if way.kind == Kind::Socket {
            // Nothing tells when a socket's message has been read, but its place in front of a ping's answer.
            client.ping().await;
        }
        client.abort(true);
        if way.kind == Kind::Poll {
            pass(NEVER).await;
        }
        endpoint.is_left_empty().await;
        until_time_has_passed("its connections to end", || alive_tasks() <= tasks + 1).await;
        endpoint.still_serves().await;
        release.send(true).unwrap();
        let (message, reason) = within("the handler's end", reasons.recv()).await.unwrap();
        assert_eq!(message.unwrap(), "nobody reads this yet");
        let expected = match way.kind {
            Kind::Poll => CloseReason::TimedOut,
            Kind::Stream | Kind::Socket => CloseReason::ConnectionLost,
        };
        assert_eq!(reason, expected);
        until_time_has_passed("the handlers to end", || alive_tasks() <= tasks).await;
    })
    .await;
}

#[tokio::test]
async fn a_handler_that_drops_its_session_has_closed_it() {
    on_each(WAYS, async |way| {
        let (sender, mut reasons) = mpsc::unbounded_channel();
        let handler = move |session: Session| {
            let sender = sender.clone();
            async move {
                let other = session.sender();
                drop(session);
                // It goes on without it.
                sender.send(other.closed().await).ok();
                assert_eq!(other.send("late").await, Err(SendError::Closed("late".into())));
            }
        };
        let endpoint = Endpoint::start(handler, Options::new().disconnect_delay(NEVER)).await;
        let tasks = alive_tasks();
        let mut client = Client::open(&endpoint, way).await;
        assert_eq!(client.frame().await, Frame::close(way, 1000, "Normal closure"));
        let reason = within("the reason", reasons.recv()).await.unwrap();
        assert_eq!(reason, CloseReason::Server(CloseFrame::new(1000, "Normal closure")));
        client.abort(false);
        endpoint.is_left_empty().await;
        until_time_has_passed("its tasks to end", || alive_tasks() <= tasks).await;
    })
    .await;
}

#[tokio::test]
async fn of_two_closes_the_first_counts_and_what_is_sent_behind_it_comes_back() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
        let tasks = alive_tasks();
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        session.send("before").await.unwrap();
        session.close(3000, "the first");
        session.close(3001, "the second");
        session.sender().close(3002, "the third");
        assert_eq!(session.send("after").await, Err(SendError::Closed("after".into())));
        assert_eq!(session.try_send("after"), Err(SendError::Closed("after".into())));
        assert_eq!(client.messages(1).await, ["before"]);
        assert_eq!(client.frame().await, Frame::close(way, 3000, "the first"));
        assert_eq!(session.close_reason(), Some(CloseReason::Server(CloseFrame::new(3000, "the first"))));
        client.abort(false);
        drop(session);
        stage.endpoint.is_left_empty().await;
        until_time_has_passed("its tasks to end", || alive_tasks() <= tasks).await;
    })
    .await;
}

/// An extractor with the fault that the request asks for.
struct AtFault;

impl<S: Sync> FromRequestParts<S> for AtFault {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        tokio::task::yield_now().await;
        match parts.headers.get("x-fault").map(HeaderValue::as_bytes) {
            Some(b"hang") => std::future::pending().await,
            Some(_) => panic!("an extractor's own bug"),
            None => Ok(Self),
        }
    }
}

/// Asks for a session from an extractor at fault, and gives what has come of it to `check`. There is a place
/// for one session only, which the next client then gets, under the same id.
async fn open_at_fault(way: &'static Way, fault: &str, check: impl AsyncFn(&mut Connection, &Endpoint)) {
    let handler = |_: AtFault, session: Session| async move { drop(session.closed().await) };
    let options = Options::new().max_sessions(1).open_timeout(NEVER).disconnect_delay(NEVER);
    let endpoint = Endpoint::start(handler, options).await;
    let tasks = alive_tasks();
    let id = fresh_id();
    let mut connection = endpoint.server.connect().await;
    connection.send(&way.opening(&id).header("X-Fault", fault)).await;
    check(&mut connection, &endpoint).await;
    drop(connection);
    let stats = endpoint.handle.stats();
    assert_eq!((stats.total().opened, stats.total().opening, stats.handlers), (0, 0, 0));
    until("its task to end", || alive_tasks() <= tasks).await;
    let _client = Client::open_as(&endpoint, way, &id).await;
    until("its session", || endpoint.handle.len() == 1).await;
}

#[tokio::test]
async fn an_extractor_that_hangs_ends_with_the_open_timeout() {
    on_each(WAYS, async |way| {
        open_at_fault(way, "hang", async |connection, endpoint| {
            until("the extractor", || endpoint.handle.stats().total().opening == 1).await;
            as_time_passes("an answer", connection.readable()).await;
            let answer = connection.answer(way.method).await;
            // An EventSource may ask again at once after a 503.
            let status = if way.transport == Transport::EventSource { 200 } else { 503 };
            assert_eq!((answer.status, answer.header("retry-after")), (status, Some("5")), "{answer}");
            assert_eq!(endpoint.handle.stats().rejected["open-timeout"], 1);
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_extractor_that_panics_ends_its_connection_and_nothing_else() {
    on_each(WAYS, async |way| {
        open_at_fault(way, "panic", async |connection, _| connection.expect_end().await).await;
    })
    .await;
}

#[cfg(feature = "websocket")]
mod websocket {
    use super::*;
    use crate::support::ws::{self, FIN, TEXT, frame};

    #[tokio::test]
    async fn an_upgrade_and_the_frames_behind_it_may_be_cut_at_any_byte() {
        on_each(ways(Kind::Socket), async |way| {
            let mut scene = Scene::start(Options::new().disconnect_delay(NEVER)).await;
            let target = || {
                if way.framed {
                    Endpoint::path(&fresh_id(), way.receive)
                } else {
                    "/app/websocket".to_owned()
                }
            };
            let message = frame(FIN | TEXT, b"[\"lost\"]");
            let (before_open, whole) = {
                let mut connection = ws::upgraded(scene.reporting.endpoint.server.addr, &target()).await;
                let before_open = connection.taken();
                if way.framed {
                    assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, b"o".to_vec()));
                }
                connection.write(&message).await;
                ws::read_frame(&mut connection).await;
                let whole = connection.taken();
                leave(connection, Exit::Reset).await;
                scene.reporting.end().await;
                (before_open, whole)
            };
            for cut in 0..whole {
                let mut connection = scene.connect().await;
                connection.send(&ws::handshake(target())).await;
                connection.exactly(cut.min(before_open)).await;
                if cut > before_open {
                    connection.write(&message).await;
                    connection.exactly(cut - before_open).await;
                }
                leave(connection, EXITS[cut % 3]).await;
                if cut > before_open {
                    assert_eq!(scene.reporting.end().await, CloseReason::ConnectionLost, "at byte {cut}");
                }
            }
            scene.nothing_is_left_but_ends(&CloseReason::ConnectionLost).await;
        })
        .await;
    }
}
