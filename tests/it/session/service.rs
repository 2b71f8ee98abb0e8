//! An endpoint called in process, under a paused clock: every second here is exact, and none is waited for.

use std::{
    future::Future,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{FromRequestParts, State},
    http::{Request, StatusCode, header, request::Parts},
    response::Response,
};
use axum_sockjs::{
    CloseFrame, CloseReason, Handler, Message, Options, SendError, Session, SockJs, SockJsHandle, Transport,
};
use futures_util::{FutureExt as _, SinkExt, StreamExt as _};
use http_body_util::BodyExt as _;
use tokio::{
    sync::{Notify, mpsc},
    task::yield_now,
    time::{Instant, sleep, timeout},
};
use tower::ServiceExt as _;

use crate::support::{apps::open_to_all, log::Log};

pub(crate) const STREAMS: [Transport; 3] =
    [Transport::XhrStreaming, Transport::EventSource, Transport::HtmlFile];
pub(crate) const POLLS: [Transport; 2] = [Transport::XhrPolling, Transport::JsonpPolling];

pub(crate) fn http_transports() -> impl Iterator<Item = Transport> {
    STREAMS.into_iter().chain(POLLS)
}

const INTERRUPTED: &str = r#"c[1002,"Connection interrupted"]"#;
const ANOTHER: &str = r#"c[2010,"Another connection still open"]"#;
const DELAY: Duration = Duration::from_secs(5);
const HEARTBEAT: Duration = Duration::from_secs(25);
const TICK: Duration = Duration::from_millis(1);

// Tools.

/// Waits for what must come without anyone's help; on the paused clock a day is over at once.
pub(crate) async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match timeout(Duration::from_secs(86_400), future).await {
        Ok(value) => value,
        Err(_) => panic!("it never comes: {what}"),
    }
}

/// Lets every task run until it waits for something; no time passes.
async fn settle() {
    for _ in 0..50 {
        yield_now().await;
    }
}

/// Lets time pass, and all that was due in it happen.
async fn pass(time: Duration) {
    sleep(time).await;
    settle().await;
}

pub(crate) async fn call(app: &Router, request: Request<Body>) -> Response {
    soon("an answer", app.clone().oneshot(request)).await.expect("a router answers everything")
}

pub(crate) async fn get(app: &Router, uri: &str) -> Response {
    call(app, Request::get(uri).body(Body::empty()).expect("a request")).await
}

/// The rest of a body as text.
pub(crate) async fn text(response: Response) -> String {
    let bytes =
        soon("the end of a body", response.into_body().collect()).await.expect("a whole body").to_bytes();
    String::from_utf8(bytes.to_vec()).expect("the body is UTF-8")
}

pub(crate) fn header(response: &Response, name: impl header::AsHeaderName) -> &str {
    response.headers().get(name).map_or("", |value| value.to_str().expect("a header of text"))
}

/// The method and the end of the URL by which a transport receives.
pub(crate) fn receiving_url(transport: Transport) -> (&'static str, &'static str) {
    match transport {
        Transport::XhrStreaming => ("POST", "xhr_streaming"),
        Transport::EventSource => ("GET", "eventsource"),
        Transport::HtmlFile => ("GET", "htmlfile?c=cb"),
        Transport::XhrPolling => ("POST", "xhr"),
        Transport::JsonpPolling => ("GET", "jsonp?c=cb"),
        other => panic!("{other} has no receiving request"),
    }
}

/// A frame as it goes over the wire.
fn wrapped(transport: Transport, frame: &str) -> String {
    let literal = || serde_json::to_string(frame).expect("text is JSON");
    match transport {
        Transport::EventSource => format!("data: {frame}\r\n\r\n"),
        Transport::HtmlFile => format!("<script>\np({});\n</script>\r\n", literal()),
        Transport::JsonpPolling => format!("/**/cb({});\r\n", literal()),
        _ => format!("{frame}\n"),
    }
}

/// A frame out of its wrapping.
fn unwrapped(transport: Transport, chunk: &str) -> String {
    let literal = |prefix, suffix| {
        let literal = chunk.strip_prefix(prefix)?.strip_suffix(suffix)?;
        serde_json::from_str::<String>(literal).ok()
    };
    let frame = match transport {
        Transport::EventSource => {
            chunk.strip_prefix("data: ").and_then(|chunk| chunk.strip_suffix("\r\n\r\n")).map(str::to_owned)
        }
        Transport::HtmlFile => literal("<script>\np(", ");\n</script>\r\n"),
        Transport::JsonpPolling => literal("/**/cb(", ");\r\n"),
        _ => chunk.strip_suffix('\n').map(str::to_owned),
    };
    frame.unwrap_or_else(|| panic!("no frame of {transport}: {chunk:?}"))
}

fn is_prelude(transport: Transport, chunk: &str) -> bool {
    match transport {
        Transport::XhrStreaming => chunk == format!("{}\n", "h".repeat(2048)),
        Transport::EventSource => chunk == "\r\n",
        _ => chunk.contains("var c = parent.cb;") && chunk.len() > 1024,
    }
}

/// The requests of one session.
#[derive(Clone)]
pub(crate) struct Client {
    app: Router,
    base: String,
}

impl Client {
    pub(crate) fn new(app: &Router, prefix: &str, id: &str) -> Self {
        Self { app: app.clone(), base: format!("{prefix}/000/{id}") }
    }

    pub(crate) async fn call(&self, method: &str, name: &str, body: impl Into<Body>) -> Response {
        let request = Request::builder().method(method).uri(format!("{}/{name}", self.base));
        call(&self.app, request.body(body.into()).expect("a request")).await
    }

    /// A receiving request's answer: for a poll, once it has its frame.
    pub(crate) async fn receive(&self, transport: Transport) -> Receiving {
        let (method, name) = receiving_url(transport);
        let response = self.call(method, name, "").await;
        let status = response.status();
        let mut receiving = Receiving { transport, body: response.into_body() };
        if status != StatusCode::OK {
            panic!("{transport}: {status}: {:?}", receiving.chunk().await);
        }
        if STREAMS.contains(&transport) {
            let prelude = receiving.chunk().await.expect("a stream has a prelude");
            assert!(is_prelude(transport, &prelude), "{transport}: {prelude:?}");
        }
        receiving
    }

    /// The first frame that a receiving request brings.
    pub(crate) async fn frame(&self, transport: Transport) -> String {
        self.receive(transport).await.frame().await.expect("an answer holds a frame")
    }

    pub(crate) async fn poll(&self) -> String {
        self.frame(Transport::XhrPolling).await
    }

    /// Sends a JSON array; `jsonp_send` takes it without a form too.
    pub(crate) async fn send(&self, json: &str) -> StatusCode {
        self.call("POST", "xhr_send", json.to_owned()).await.status()
    }
}

/// The body of a receiving request's answer.
pub(crate) struct Receiving {
    transport: Transport,
    body: Body,
}

impl Receiving {
    async fn chunk(&mut self) -> Option<String> {
        let frame = soon("more of a body, or its end", self.body.frame()).await?;
        let data = frame.expect("no body breaks").into_data().expect("no body has trailers");
        Some(String::from_utf8(data.to_vec()).expect("the body is UTF-8"))
    }

    pub(crate) async fn frame(&mut self) -> Option<String> {
        let chunk = self.chunk().await?;
        Some(unwrapped(self.transport, &chunk))
    }
}

/// Receives a session's frames over as many requests as it takes.
struct Down {
    client: Client,
    transport: Transport,
    current: Option<Receiving>,
}

impl Down {
    async fn frame(&mut self) -> String {
        loop {
            if let Some(current) = &mut self.current {
                if let Some(frame) = current.frame().await {
                    return frame;
                }
            }
            self.current = Some(self.client.receive(self.transport).await);
        }
    }
}

/// An endpoint at `/app`.
struct Endpoint {
    app: Router,
    handle: SockJsHandle,
}

impl Endpoint {
    fn new<T: 'static>(handler: impl Handler<T, ()>, options: Options) -> Self {
        Self::of(SockJs::new(handler).options(open_to_all(options)))
    }

    fn of(endpoint: SockJs) -> Self {
        let handle = endpoint.handle();
        Self { app: Router::new().nest_service("/app", endpoint), handle }
    }

    fn client(&self, id: &str) -> Client {
        Client::new(&self.app, "/app", id)
    }
}

/// An endpoint whose application is the test: each session is handed to it.
struct Stage {
    endpoint: Endpoint,
    sessions: mpsc::UnboundedReceiver<Session>,
    opened: usize,
}

impl Stage {
    fn new(options: Options) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        // Returns at once: the session lives on where it was sent.
        let hand_over = move |session: Session| async move { drop(sender.send(session)) };
        Self { endpoint: Endpoint::new(hand_over, options), sessions, opened: 0 }
    }

    async fn session(&mut self) -> Session {
        soon("a session", self.sessions.recv()).await.expect("the endpoint is alive")
    }

    /// A session under an id of its own, whose client has its `o`.
    async fn open(&mut self, transport: Transport) -> (Down, Session) {
        self.opened += 1;
        let client = self.endpoint.client(&format!("session{}", self.opened));
        let mut down = Down { client, transport, current: None };
        assert_eq!(down.frame().await, "o", "{transport}");
        (down, self.session().await)
    }
}

/// A session that polls, under the default options.
async fn polling() -> (Stage, Client, Session) {
    polling_with(Options::new()).await
}

async fn polling_with(options: Options) -> (Stage, Client, Session) {
    let mut stage = Stage::new(options);
    let (down, session) = stage.open(Transport::XhrPolling).await;
    (stage, down.client, session)
}

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

/// Waits until nothing is left of any session.
async fn forgotten(handle: SockJsHandle) {
    loop {
        let now = handle.stats().total();
        if now.open() + now.closing + now.closed == 0 {
            return;
        }
        sleep(TICK).await;
    }
}

/// Runs a receiving request in a task of its own, up to where it waits.
async fn waiting(mut down: Down) -> tokio::task::JoinHandle<(String, Down)> {
    let task = tokio::spawn(async move { (down.frame().await, down) });
    settle().await;
    assert!(!task.is_finished(), "the receiver has to wait");
    task
}

/// What a task of the test returns.
async fn done<T>(task: tokio::task::JoinHandle<T>) -> T {
    soon("the end of a task", task).await.expect("the task does not panic")
}

/// What the application receives.
async fn next(session: &mut Session) -> Option<Message> {
    soon("a message or the end", session.recv()).await
}

fn server(code: u16, reason: &'static str) -> CloseReason {
    CloseReason::Server(CloseFrame::new(code, reason))
}

// Heartbeats.

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_after_exactly_25_seconds() {
    for transport in http_transports() {
        let (mut down, _session) = Stage::new(Options::new()).open(transport).await;
        for _ in 0..3 {
            let start = Instant::now();
            assert_eq!(down.frame().await, "h", "{transport}");
            assert_eq!(start.elapsed(), HEARTBEAT, "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_of_zero_is_none() {
    for transport in http_transports() {
        let (mut down, session) = Stage::new(Options::new().heartbeat(Duration::ZERO)).open(transport).await;
        assert!(timeout(Duration::from_secs(3600), down.frame()).await.is_err(), "{transport}");
        drop(down);
        assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost));
    }
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_are_for_ever() {
    let options = Options::new()
        .heartbeat(Duration::MAX)
        .disconnect_delay(Duration::MAX)
        .receive_timeout(Duration::MAX)
        .open_timeout(Duration::MAX);
    let (_stage, client, mut session) = polling_with(options).await;
    pass(Duration::from_secs(3600)).await;
    assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(next(&mut session).await.unwrap(), "a");
    session.close(3000, "Go away!");
    pass(Duration::from_secs(3600)).await;
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#);
}

// The disconnect delay.

#[tokio::test(start_paused = true)]
async fn a_session_without_a_receiver_times_out_after_exactly_5_seconds() {
    for transport in POLLS {
        let mut stage = Stage::new(Options::new());
        let (down, mut session) = stage.open(transport).await;
        let start = Instant::now();
        assert_eq!(soon("the end", session.closed()).await, CloseReason::TimedOut);
        assert_eq!(start.elapsed(), DELAY);
        assert_eq!(next(&mut session).await, None);
        assert!(stage.endpoint.handle.is_empty());
        assert_eq!(down.client.send(r#"["late"]"#).await, StatusCode::NOT_FOUND);
        assert_eq!(down.client.frame(transport).await, "o", "the id is free again");
        assert_ne!(stage.session().await.id(), session.id());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ended_at_its_limit_has_the_delay_to_come_back() {
    for transport in STREAMS {
        let mut stage = Stage::new(Options::new().response_limit(1));
        let (_down, session) = stage.open(transport).await;
        let start = Instant::now();
        assert_eq!(soon("the end", session.closed()).await, CloseReason::TimedOut);
        assert_eq!(start.elapsed(), DELAY, "{transport}");
    }
}

// The end.

#[tokio::test(start_paused = true)]
async fn a_close_frame_ends_a_stream() {
    for transport in STREAMS {
        let (mut down, session) = Stage::new(Options::new()).open(transport).await;
        session.close(3000, "");
        let mut current = down.current.take().expect("a stream is open");
        assert_eq!(current.frame().await.as_deref(), Some(r#"c[3000,""]"#));
        assert_eq!(current.frame().await, None, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_poll_gets_the_same_close_frame_until_the_delay_ends() {
    let (stage, client, session) = polling().await;
    session.close(3000, "Go away!");
    session.close(3001, "twice");
    assert!(stage.endpoint.handle.is_empty(), "it has ended");
    for transport in http_transports() {
        assert_eq!(client.frame(transport).await, r#"c[3000,"Go away!"]"#, "{transport}");
    }
    pass(DELAY - TICK).await;
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#);
    assert_eq!(client.send(r#"["swallowed"]"#).await, StatusCode::NO_CONTENT);
    pass(TICK).await;
    assert_eq!(client.send(r#"["late"]"#).await, StatusCode::NOT_FOUND);
    assert_eq!(client.poll().await, "o");
}

#[tokio::test(start_paused = true)]
async fn close_all_tells_each_client_and_each_handler() {
    let mut stage = Stage::new(Options::new());
    let mut sessions = Vec::new();
    for transport in http_transports() {
        sessions.push(stage.open(transport).await);
    }
    let (_, closed) = &sessions[0];
    closed.close(3000, "before");
    let handle = stage.endpoint.handle.clone();
    assert_eq!(handle.len(), 4);
    sessions[3].1.try_send("before").unwrap();
    assert_eq!(handle.close_all(4001, "restarting"), 4);
    assert_eq!((handle.len(), handle.close_all(4002, "again")), (0, 0));

    let start = Instant::now();
    assert_eq!(sessions[0].0.frame().await, r#"c[3000,"before"]"#);
    assert_eq!(sessions[3].0.frame().await, r#"a["before"]"#);
    for (down, session) in &mut sessions[1..] {
        assert_eq!(down.frame().await, r#"c[4001,"restarting"]"#, "{}", down.transport);
        assert_eq!(next(session).await, None);
        let shutdown = CloseReason::Shutdown(CloseFrame::new(4001, "restarting"));
        assert_eq!(session.close_reason(), Some(shutdown));
    }
    pass(DELAY - TICK).await;
    for (down, _) in &mut sessions[1..] {
        assert_eq!(down.frame().await, r#"c[4001,"restarting"]"#, "{}", down.transport);
    }
    soon("the end of all", forgotten(handle)).await;
    assert!((DELAY..=DELAY + 2 * TICK).contains(&start.elapsed()));
    let (mut down, _session) = stage.open(Transport::XhrPolling).await;
    assert_eq!(down.frame().await, "h", "new sessions open as ever");
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_end_once() {
    let cases: [(&str, CloseReason); 5] = [
        ("abandoned", CloseReason::TimedOut),
        ("interrupted", CloseReason::ConnectionLost),
        ("closed from outside", server(4000, "outside")),
        ("closed by itself", server(4001, "itself")),
        ("shut down", CloseReason::Shutdown(CloseFrame::new(4002, "down"))),
    ];
    for (what, reason) in cases {
        let (ends_sender, mut ends) = mpsc::unbounded_channel();
        let (sender_sender, mut senders) = mpsc::unbounded_channel();
        let handler = move |mut session: Session| async move {
            sender_sender.send(session.sender()).ok();
            while let Some(message) = session.recv().await {
                assert_eq!(message, "close");
                session.close(4001, "itself");
            }
            ends_sender.send(session.closed().await).ok();
        };
        let endpoint = Endpoint::new(handler, Options::new());
        let client = endpoint.client("a");
        assert_eq!(client.poll().await, "o");
        let sender = soon("a sender", senders.recv()).await.unwrap();
        match what {
            "interrupted" => assert!(client.poll().now_or_never().is_none()),
            "closed from outside" => sender.close(4000, "outside"),
            "closed by itself" => assert_eq!(client.send(r#"["close"]"#).await, StatusCode::NO_CONTENT),
            "shut down" => assert_eq!(endpoint.handle.close_all(4002, "down"), 1),
            _ => {}
        }
        assert_eq!(soon("the end", ends.recv()).await, Some(reason.clone()), "{what}");
        // What comes afterwards changes nothing.
        sender.close(4003, "too late");
        pass(Duration::from_secs(60)).await;
        assert!(ends.try_recv().is_err(), "{what}");
        assert_eq!(sender.close_reason(), Some(reason));
    }
}

// Interruptions.

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_cut_off_ends_the_session() {
    for transport in http_transports() {
        let mut stage = Stage::new(Options::new());
        let (mut down, mut session) = stage.open(transport).await;
        assert_eq!(down.client.send(r#"["read before"]"#).await, StatusCode::NO_CONTENT);
        let client = down.client.clone();
        assert!(down.frame().now_or_never().is_none(), "{transport}");
        drop(down);
        assert_eq!(next(&mut session).await.unwrap(), "read before");
        assert_eq!(next(&mut session).await, None);
        assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost), "{transport}");
        assert!(stage.endpoint.handle.is_empty());
        assert_eq!(client.send(r#"["late"]"#).await, StatusCode::NOT_FOUND);
        for transport in http_transports() {
            assert_eq!(client.frame(transport).await, INTERRUPTED);
        }
        pass(DELAY).await;
        assert_eq!(client.frame(transport).await, "o", "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_o_leaves_no_session() {
    for transport in STREAMS {
        let stage = Stage::new(Options::new());
        let mut sessions = stage.sessions;
        let client = stage.endpoint.client("a");
        drop(client.receive(transport).await);
        settle().await;
        assert!(stage.endpoint.handle.is_empty());
        assert!(sessions.try_recv().is_err(), "{transport}: the handler never begins");
        let mut second = client.receive(transport).await;
        assert_eq!(second.frame().await.as_deref(), Some("o"));
        assert!(soon("the second one", sessions.recv()).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_complete_may_be_dropped() {
    for transport in POLLS {
        let (down, session) = Stage::new(Options::new()).open(transport).await;
        session.try_send("a").unwrap();
        drop(down.client.receive(transport).await);
        settle().await;
        assert_eq!(session.close_reason(), None, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_before_o_never_reaches_the_handler() {
    for transport in STREAMS {
        let mut stage = Stage::new(Options::new());
        let client = stage.endpoint.client("a");
        let mut receiving = client.receive(transport).await;
        assert_eq!(stage.endpoint.handle.close_all(4001, "restarting"), 1);
        assert_eq!(receiving.frame().await.as_deref(), Some("o"));
        assert_eq!(receiving.frame().await.as_deref(), Some(r#"c[4001,"restarting"]"#));
        pass(DELAY).await;
        assert!(stage.sessions.try_recv().is_err(), "{transport}: it has nothing to learn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_right_after_o_is_heard_of() {
    for transport in http_transports() {
        let mut stage = Stage::new(Options::new());
        let client = stage.endpoint.client("a");
        let mut receiving = client.receive(transport).await;
        assert_eq!(receiving.frame().now_or_never().flatten().as_deref(), Some("o"));
        // The handler has had no time to begin, and this takes none. An open stream waits for what it will say.
        let answered = client.send(r#"["heard"]"#).now_or_never();
        assert_eq!(answered.is_some(), STREAMS.contains(&transport), "{transport}");
        assert_eq!(stage.endpoint.handle.close_all(4001, "restarting"), 1);
        let mut session = stage.session().await;
        assert_eq!(next(&mut session).await.unwrap(), "heard", "{transport}");
        assert_eq!(next(&mut session).await, None);
        assert_eq!(session.closed().await, CloseReason::Shutdown(CloseFrame::new(4001, "restarting")));
    }
}

// One receiver at a time.

#[tokio::test(start_paused = true)]
async fn a_second_receiver_gets_2010_while_the_first_one_waits() {
    for first in http_transports() {
        for second in http_transports() {
            let (down, session) = Stage::new(Options::new()).open(first).await;
            let client = down.client.clone();
            let waiting = waiting(down).await;
            let start = Instant::now();
            let mut refused = client.receive(second).await;
            assert_eq!(refused.frame().await.as_deref(), Some(ANOTHER), "{second} beside {first}");
            assert_eq!(refused.frame().await, None);
            assert!(start.elapsed() <= Duration::from_millis(100), "{:?}", start.elapsed());
            drop(refused);
            session.try_send("for the first").unwrap();
            let (frame, _down) = done(waiting).await;
            assert_eq!(frame, r#"a["for the first"]"#, "{first} beside {second}");
            assert_eq!(session.close_reason(), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_receiver_may_come_a_moment_too_early() {
    // A client whose connection broke comes back before the server has seen the break.
    let (_stage, client, session) = polling().await;
    let first = tokio::spawn({
        let client = client.clone();
        async move { timeout(Duration::from_millis(10), client.poll()).await }
    });
    settle().await;
    let start = Instant::now();
    assert_eq!(client.poll().await, INTERRUPTED);
    assert_eq!(start.elapsed(), Duration::from_millis(10), "it comes in as soon as there is room");
    assert!(done(first).await.is_err());
    assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_is_let_go_before_its_last_byte_leaves() {
    let start = Instant::now();
    for transport in POLLS {
        let (down, session) = Stage::new(Options::new()).open(transport).await;
        session.try_send("a").unwrap();
        let unread = down.client.receive(transport).await;
        session.try_send("b").unwrap();
        assert_eq!(down.client.frame(transport).await, r#"a["b"]"#, "{transport}");
        drop(unread);
    }
    for transport in STREAMS {
        // The last chunk is out, its body is neither at its end nor dropped.
        let mut stage = Stage::new(Options::new().response_limit(1));
        let (mut unfinished, session) = stage.open(transport).await;
        session.try_send("a").unwrap();
        assert_eq!(unfinished.client.frame(transport).await, r#"a["a"]"#, "{transport}");
        drop(unfinished.current.take());
        // So too with a close frame.
        let (mut unfinished, session) = Stage::new(Options::new()).open(transport).await;
        session.close(3000, "");
        assert_eq!(unfinished.frame().await, r#"c[3000,""]"#);
        assert_eq!(unfinished.client.frame(transport).await, r#"c[3000,""]"#, "{transport}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody had to wait for a place");
}

// What a response holds.

#[tokio::test(start_paused = true)]
async fn o_leaves_before_the_handler_begins() {
    for transport in http_transports() {
        let begun = Arc::new(AtomicBool::new(false));
        let handler = {
            let begun = Arc::clone(&begun);
            move |session: Session| async move {
                begun.store(true, Ordering::SeqCst);
                session.closed().await;
            }
        };
        let client = Endpoint::new(handler, Options::new()).client("a");
        let mut receiving = if STREAMS.contains(&transport) {
            let receiving = client.receive(transport).await;
            settle().await;
            receiving
        } else {
            // A poll's answer comes at once, whatever the handler would do.
            client.receive(transport).now_or_never().expect("`o` needs no waiting")
        };
        assert_eq!(receiving.frame().now_or_never().flatten().as_deref(), Some("o"));
        assert!(!begun.load(Ordering::SeqCst), "{transport}");
        settle().await;
        assert!(begun.load(Ordering::SeqCst), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_exactly_at_its_limit() {
    let frames = ["o", r#"a["x"]"#, r#"a["y"]"#];
    for transport in STREAMS {
        let [o, x, _] = frames.map(|frame| wrapped(transport, frame).len());
        // A frame that begins within the limit leaves whole: what counts is what went before it.
        for (limit, count) in [(0, 1), (o, 1), (o + 1, 2), (o + x - 1, 2), (o + x, 2), (o + x + 1, 3)] {
            let mut stage = Stage::new(Options::new().response_limit(limit));
            let client = stage.endpoint.client("a");
            let mut receiving = client.receive(transport).await;
            let mut received = vec![receiving.frame().await.expect("`o`")];
            let session = stage.session().await;
            for text in ["x", "y"] {
                session.try_send(text).unwrap();
                received.extend(receiving.frame().now_or_never().flatten());
            }
            assert_eq!(received, frames[..count], "{transport}, {limit}");
            assert_eq!(receiving.frame().now_or_never(), Some(None), "{transport}, {limit}: its end");
            if let Some(rest) = frames.get(count) {
                let next = client.frame(transport).await;
                assert!(next.starts_with(&rest[..5]), "{transport}, {limit}: {next} instead of {rest}");
            }
        }
    }
}

// The handler's ways out.

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_hangs_up() {
    for transport in http_transports() {
        let handler = |session: Session| async move { session.try_send("bye").unwrap() };
        let client = Endpoint::new(handler, Options::new()).client("a");
        let mut down = Down { client, transport, current: None };
        for frame in ["o", r#"a["bye"]"#, r#"c[1000,"Normal closure"]"#] {
            assert_eq!(down.frame().await, frame, "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_session_elsewhere_hangs_up_too() {
    let (_stage, client, session) = polling().await;
    let sender = session.sender();
    drop(tokio::spawn(async move { drop(session) }));
    assert_eq!(client.poll().await, r#"c[1000,"Normal closure"]"#);
    assert_eq!(sender.close_reason(), Some(server(1000, "Normal closure")));
}

#[tokio::test(start_paused = true)]
async fn dropping_senders_closes_nothing() {
    let (_stage, client, session) = polling().await;
    for sender in [session.sender(), session.sender()] {
        drop(sender.clone());
    }
    assert_eq!(client.poll().await, "h");
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_in_a_handler_is_1011() {
    // Before there is a future at all.
    async fn nothing() {}
    let at_once = |session: Session| {
        drop(session.sender());
        if session.close_reason().is_none() {
            panic!("at once");
        }
        nothing()
    };
    // When the session has been given away, and outlives its handler.
    let (sender, mut kept) = mpsc::unbounded_channel();
    let with_the_session_elsewhere = move |session: Session| async move {
        sender.send(session).ok();
        yield_now().await;
        std::panic::panic_any(1_u8);
    };
    for client in [
        Endpoint::new(at_once, Options::new()).client("a"),
        Endpoint::new(with_the_session_elsewhere, Options::new()).client("a"),
    ] {
        assert_eq!(client.poll().await, "o");
        assert_eq!(client.poll().await, r#"c[1011,"Internal error"]"#);
    }
    let session = soon("the session", kept.recv()).await.unwrap();
    assert_eq!(session.close_reason(), Some(server(1011, "Internal error")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_a_close() {
    let (_stage, client, mut session) = polling().await;
    let sender = session.sender();
    session.close(3000, "Go away!");
    assert_eq!(session.send("a").await, Err(SendError::Closed("a".into())));
    assert_eq!(session.try_send("b"), Err(SendError::Closed("b".into())));
    assert_eq!(sender.send("c").await.unwrap_err().into_message(), "c");
    assert_eq!(SinkExt::send(&mut session, "d".into()).await, Err(SendError::Closed("d".into())));
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#);
    drop(session);
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#, "hanging up afterwards is no second close");
}

/// Its headers share the buffer that the connection is read into.
#[tokio::test(start_paused = true)]
async fn a_waiting_poll_holds_nothing_of_its_request() {
    let sockjs = SockJs::new(echo);
    let poll = || Request::post("/000/a/xhr").body(Body::empty()).unwrap();
    assert_eq!(sockjs.clone().oneshot(poll()).await.unwrap().status(), StatusCode::OK);
    let part = Arc::new(());
    let mut request = poll();
    request.extensions_mut().insert(part.clone());
    let mut waiting = std::pin::pin!(sockjs.oneshot(request));
    assert!((&mut waiting).now_or_never().is_none(), "nothing has been sent");
    assert_eq!(Arc::strong_count(&part), 1);
}

// Messages from the client.

#[tokio::test(start_paused = true)]
async fn a_send_is_answered_once_the_application_has_had_its_turn() {
    for transport in POLLS {
        let name = if transport == Transport::JsonpPolling { "jsonp_send" } else { "xhr_send" };
        let client = Endpoint::new(echo, Options::new()).client("a");
        assert_eq!(client.frame(transport).await, "o");
        let start = Instant::now();
        assert!(client.call("POST", name, r#"["a","b"]"#).await.status().is_success());
        let answer = client.frame(transport).now_or_never();
        assert_eq!(answer.as_deref(), Some(r#"a["a","b"]"#), "{transport}: the echo is there already");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_application_does_not_hold_up_its_clients() {
    // Here the session lives in another task than its handler.
    let (_stage, client, mut session) = polling().await;
    let start = Instant::now();
    assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(next(&mut session).await.unwrap(), "a");
    session.close(3000, "");
    assert_eq!(client.send(r#"["b"]"#).await, StatusCode::NO_CONTENT);

    let client = Endpoint::new(busy, Options::new()).client("a");
    assert_eq!(client.frame(Transport::XhrPolling).await, "o");
    assert_eq!(client.send(r#"["c"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Hears nothing for as long as the test takes.
async fn busy(_session: Session) {
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_room_and_is_taken_whole() {
    for name in ["xhr_send", "jsonp_send"] {
        let (_stage, client, mut session) = polling_with(Options::new().receive_queue_messages(2)).await;
        let send = |json: &'static str| {
            let client = client.clone();
            async move { client.call("POST", name, json).await.status().as_u16() }
        };
        let taken = if name == "xhr_send" { 204 } else { 200 };
        assert_eq!(send(r#"["a","b"]"#).await, taken);
        let waiting = tokio::spawn(send(r#"["c","d"]"#));
        settle().await;
        assert!(!waiting.is_finished(), "{name}: there is no room");
        assert_eq!(next(&mut session).await.unwrap(), "a");
        settle().await;
        assert!(!waiting.is_finished(), "{name}: there is room for one of two");
        assert_eq!(next(&mut session).await.unwrap(), "b");
        assert_eq!(session.try_recv(), None);
        assert_eq!(done(waiting).await, taken);
        assert_eq!(next(&mut session).await.unwrap(), "c");
        assert_eq!(next(&mut session).await.unwrap(), "d");
        assert_eq!(send(r#"["larger","than","the queue"]"#).await, taken, "{name}: an empty queue takes any");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_finds_no_room_in_time_is_refused_whole() {
    let options = Options::new().receive_queue_messages(2).receive_timeout(Duration::from_secs(10));
    let (_stage, client, mut session) = polling_with(options).await;
    assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
    let start = Instant::now();
    // The session's own polls go on meanwhile, or it would time out.
    let receiving = tokio::spawn({
        let client = client.clone();
        async move { client.poll().await }
    });
    let response = client.call("POST", "xhr_send", r#"["b","c"]"#).await;
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&response, header::RETRY_AFTER), "5");
    assert_eq!(next(&mut session).await.unwrap(), "a");
    assert_eq!(session.try_recv(), None);
    assert_eq!(client.send(r#"["d"]"#).await, StatusCode::NO_CONTENT, "the session goes on");
    assert_eq!(next(&mut session).await.unwrap(), "d");
    assert_eq!(done(receiving).await, "h");
}

#[tokio::test(start_paused = true)]
async fn a_sending_request_that_breaks_off_while_it_waits_leaves_nothing() {
    for (name, taken) in [("xhr_send", StatusCode::NO_CONTENT), ("jsonp_send", StatusCode::OK)] {
        let (_stage, client, mut session) = polling_with(Options::new().receive_queue_messages(1)).await;
        assert_eq!(client.call("POST", name, r#"["a"]"#).await.status(), taken);
        assert!(client.call("POST", name, r#"["b"]"#).now_or_never().is_none());
        assert_eq!(next(&mut session).await.unwrap(), "a");
        settle().await;
        assert_eq!(session.try_recv(), None, "{name}");
        assert_eq!(session.close_reason(), None, "{name} is not the receiver");
        // The place that it waited for is free.
        assert_eq!(client.call("POST", name, r#"["c"]"#).await.status(), taken);
        assert_eq!(next(&mut session).await.unwrap(), "c");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_batch_learns_of_the_end() {
    for (ours, status) in [(true, StatusCode::NO_CONTENT), (false, StatusCode::NOT_FOUND)] {
        let (_stage, client, mut session) = polling_with(Options::new().receive_queue_messages(1)).await;
        assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.send(r#"["b"]"#).await }
        });
        settle().await;
        if ours {
            session.close(3000, "");
        } else {
            assert!(client.poll().now_or_never().is_none());
        }
        let start = Instant::now();
        assert_eq!(done(waiting).await, status);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(next(&mut session).await.unwrap(), "a", "what was taken before can be read");
        assert_eq!(next(&mut session).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn try_recv_takes_what_is_there() {
    let (_stage, client, mut session) = polling().await;
    assert_eq!(session.try_recv(), None);
    assert_eq!(client.send(r#"["a","b"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(session.try_recv().unwrap(), "a");
    session.close(3000, "");
    assert_eq!(session.try_recv().unwrap(), "b");
    assert_eq!((session.try_recv(), next(&mut session).await), (None, None));
}

// Messages to the client.

#[tokio::test(start_paused = true)]
async fn many_senders_each_keep_their_order() {
    let (_stage, client, session) = polling_with(Options::new().send_queue_bytes(200)).await;
    for name in ["a", "b", "c"] {
        let sender = session.sender();
        tokio::spawn(async move {
            for n in 0..50 {
                sender.send(format!("{name}{n}")).await.unwrap();
            }
        });
    }
    let mut received = Vec::new();
    while received.len() < 150 {
        let frame = client.poll().await;
        received.extend(serde_json::from_str::<Vec<String>>(&frame[1..]).unwrap());
    }
    for name in ["a", "b", "c"] {
        let own = received.iter().filter(|text| text.starts_with(name));
        assert!(own.eq((0..50).map(|n| format!("{name}{n}")).collect::<Vec<_>>().iter()), "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn binary_data_is_refused_and_given_back() {
    for transport in http_transports() {
        let (mut down, mut session) = Stage::new(Options::new()).open(transport).await;
        let binary = || Message::from(vec![0_u8, 255]);
        assert_eq!(session.send(binary()).await, Err(SendError::BinaryUnsupported(binary())));
        assert_eq!(session.try_send(binary()).unwrap_err().into_message().as_bytes(), [0, 255]);
        let refused = SinkExt::send(&mut session, binary()).await;
        assert_eq!(refused, Err(SendError::BinaryUnsupported(binary())));
        session.try_send("text").unwrap();
        assert_eq!(down.frame().await, r#"a["text"]"#, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_a_stream_and_a_sink() {
    let forward = |session: Session| async move {
        let (sink, stream) = session.split();
        stream.map(Ok).forward(sink).await.unwrap();
    };
    let client = Endpoint::new(forward, Options::new().send_queue_bytes(1)).client("a");
    assert_eq!(client.poll().await, "o");
    assert_eq!(client.send(r#"["a","b","c"]"#).await, StatusCode::NO_CONTENT);
    for frame in [r#"a["a"]"#, r#"a["b"]"#, r#"a["c"]"#] {
        assert_eq!(client.poll().await, frame);
    }
    assert!(client.poll().now_or_never().is_none());
    assert_eq!(client.poll().await, INTERRUPTED);
}

#[tokio::test(start_paused = true)]
async fn a_sink_flushes_to_the_client_and_closes_behind_what_it_sent() {
    let (_stage, client, mut session) = polling().await;
    session.feed("a".into()).await.unwrap();
    session.feed("b".into()).await.unwrap();
    assert!(session.flush().now_or_never().is_none(), "nobody has taken them");
    assert_eq!(client.poll().await, r#"a["a","b"]"#);
    assert_eq!(session.flush().now_or_never(), Some(Ok(())));

    let mut sender = session.sender();
    sender.feed("c".into()).await.unwrap();
    let closing = tokio::spawn(async move { SinkExt::close(&mut sender).await });
    settle().await;
    assert_eq!(session.close_reason(), None, "it closes when all is out");
    assert_eq!(client.poll().await, r#"a["c"]"#);
    done(closing).await.unwrap();
    assert_eq!(client.poll().await, r#"c[1000,"Normal closure"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_full_sink_is_not_ready() {
    let (_stage, client, session) = polling_with(Options::new().send_queue_bytes(1)).await;
    let mut sender = session.sender();
    sender.feed("a".into()).await.unwrap();
    assert!(sender.feed("b".into()).now_or_never().is_none());
    assert_eq!(client.poll().await, r#"a["a"]"#);
    sender.feed("c".into()).await.unwrap();
    assert_eq!(client.poll().await, r#"a["c"]"#);
}

// Cancellation.

#[tokio::test(start_paused = true)]
async fn recv_in_select_loses_nothing() {
    let (_stage, client, mut session) = polling().await;
    let keep_alive = tokio::spawn({
        let client = client.clone();
        async move { client.poll().await }
    });
    let sending = tokio::spawn(async move {
        for n in 0..100 {
            sleep(TICK * (n % 4)).await;
            assert_eq!(client.send(&format!("[\"{n}\",\"{n}b\"]")).await, StatusCode::NO_CONTENT);
        }
    });
    let mut received = Vec::new();
    let mut cancelled = 0;
    while received.len() < 200 {
        tokio::select! {
            message = session.recv() => received.push(message.unwrap().as_str().unwrap().to_owned()),
            () = sleep(TICK) => cancelled += 1,
        }
    }
    assert!(cancelled > 0);
    let expected: Vec<_> = (0..100).flat_map(|n| [format!("{n}"), format!("{n}b")]).collect();
    assert_eq!(received, expected);
    done(sending).await;
    keep_alive.abort();
}

#[tokio::test(start_paused = true)]
async fn a_send_that_was_cancelled_was_not_sent() {
    let (_stage, client, session) = polling_with(Options::new().send_queue_bytes(200)).await;
    let receiving = tokio::spawn(async move {
        let mut received = Vec::new();
        loop {
            sleep(TICK * 3).await;
            let frame = client.poll().await;
            let Some(array) = frame.strip_prefix('a') else { break };
            received.extend(serde_json::from_str::<Vec<String>>(array).unwrap());
        }
        received
    });
    let mut cancelled = 0;
    for n in 0..50 {
        // Each is tried until it is sent.
        loop {
            tokio::select! {
                sent = session.send(n.to_string()) => break sent.unwrap(),
                () = sleep(TICK) => cancelled += 1,
            }
        }
    }
    assert!(cancelled > 0);
    session.close(3000, "");
    let expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(done(receiving).await, expected);
}

// Opening.

#[tokio::test(start_paused = true)]
async fn endpoints_do_not_share_their_sessions() {
    let greeting = |text: &'static str| {
        SockJs::new(move |session: Session| async move {
            session.try_send(text).unwrap();
            session.closed().await;
        })
    };
    let (left, right) = (greeting("left"), greeting("right"));
    let (left_handle, right_handle) = (left.handle(), right.handle());
    let app = Router::new().nest_service("/left", left).nest_service("/right", right);
    let [left, right] = ["/left", "/right"].map(|prefix| Client::new(&app, prefix, "same"));
    assert_eq!((left.poll().await, right.poll().await), ("o".to_owned(), "o".to_owned()));
    assert_eq!((left_handle.len(), right_handle.len()), (1, 1));
    assert_eq!(left.poll().await, r#"a["left"]"#);
    assert_eq!(left_handle.close_all(3000, ""), 1);
    assert_eq!(left.poll().await, r#"c[3000,""]"#);
    assert_eq!(right.poll().await, r#"a["right"]"#);
    assert_eq!((left_handle.len(), right_handle.len()), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn an_endpoint_holds_as_many_sessions_as_it_may() {
    let mut stage = Stage::new(Options::new().max_sessions(2));
    let (first, session) = stage.open(Transport::XhrPolling).await;
    let (_second, _other) = stage.open(Transport::XhrStreaming).await;
    for transport in http_transports() {
        let (method, name) = receiving_url(transport);
        let response = stage.endpoint.client("c").call(method, name, "").await;
        // That of an `EventSource` is a close frame: see `policy::limits::max_sessions`.
        let event_source = transport == Transport::EventSource;
        let expected = if event_source { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
        assert_eq!(response.status(), expected, "{transport}");
        assert_eq!(header(&response, header::RETRY_AFTER), "5");
        assert_eq!(header(&response, header::SET_COOKIE), "");
    }
    session.try_send("a").unwrap();
    assert_eq!(first.client.poll().await, r#"a["a"]"#, "those that are there are served");
    session.close(3000, "");
    assert_eq!(first.client.poll().await, r#"c[3000,""]"#);
    let response = stage.endpoint.client("c").call("POST", "xhr", "").await;
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE, "it is remembered for its delay");
    pass(DELAY).await;
    assert_eq!(stage.endpoint.client("c").poll().await, "o");
}

/// An extractor that takes as long as the test lets it, then lets in whom it likes.
#[derive(Clone, Default)]
struct Gate {
    opened: Arc<Notify>,
    asked: Arc<AtomicUsize>,
}

struct Admitted;

impl FromRequestParts<Gate> for Admitted {
    type Rejection = (StatusCode, [(&'static str, &'static str); 1], &'static str);

    async fn from_request_parts(parts: &mut Parts, gate: &Gate) -> Result<Self, Self::Rejection> {
        gate.asked.fetch_add(1, Ordering::SeqCst);
        gate.opened.notified().await;
        match parts.headers.get("x-secret") {
            Some(_) => Ok(Self),
            None => Err((StatusCode::UNAUTHORIZED, [("www-authenticate", "Secret")], "log in")),
        }
    }
}

impl Gate {
    fn endpoint(&self, options: Options) -> Endpoint {
        let handler = |_: State<Self>, _: Admitted, session: Session| async move {
            session.try_send("welcome").ok();
            session.closed().await;
        };
        Endpoint::of(SockJs::new(handler).options(open_to_all(options)).with_state(self.clone()))
    }
}

fn with_secret(transport: Transport) -> Request<Body> {
    let (method, name) = receiving_url(transport);
    let request = Request::builder().method(method).uri(format!("/app/000/a/{name}"));
    request.header("x-secret", "1").header("origin", "http://other").body(Body::empty()).expect("a request")
}

#[tokio::test(start_paused = true)]
async fn while_extractors_run_there_is_no_session_yet() {
    for transport in http_transports() {
        let gate = Gate::default();
        let endpoint = gate.endpoint(Options::new());
        let client = endpoint.client("a");
        let app = endpoint.app.clone();
        let opening = tokio::spawn(async move { text(call(&app, with_secret(transport)).await).await });
        settle().await;
        assert_eq!(gate.asked.load(Ordering::SeqCst), 1);
        for second in http_transports() {
            assert_eq!(client.frame(second).await, ANOTHER, "{second} while {transport} opens");
        }
        assert_eq!(client.send(r#"["early"]"#).await, StatusCode::NOT_FOUND);
        assert_eq!((endpoint.handle.len(), endpoint.handle.close_all(3000, "")), (0, 0));
        assert_eq!(endpoint.handle.stats().transport(transport).opening, 1);
        gate.opened.notify_waiters();
        settle().await;
        assert_eq!(endpoint.handle.len(), 1);
        endpoint.handle.close_all(3000, "");
        let body = opening.await.unwrap();
        assert!(body.contains(&wrapped(transport, "o")), "{body}");
        soon("the end of all", forgotten(endpoint.handle)).await;
        assert_eq!(gate.asked.load(Ordering::SeqCst), 1, "{transport}: only the opening request is asked");
    }
}

#[tokio::test(start_paused = true)]
async fn a_rejection_answers_the_opening_request() {
    for transport in http_transports() {
        let gate = Gate::default();
        let endpoint = gate.endpoint(Options::new());
        for _ in 0..2 {
            gate.opened.notify_one();
            let mut request = with_secret(transport);
            request.headers_mut().remove("x-secret");
            let response = call(&endpoint.app, request).await;
            assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{transport}");
            assert_eq!(header(&response, header::WWW_AUTHENTICATE), "Secret");
            assert!(header(&response, header::CACHE_CONTROL).contains("no-store"));
            let cross_origin = !matches!(transport, Transport::HtmlFile | Transport::JsonpPolling);
            let origin = if cross_origin { "http://other" } else { "" };
            assert_eq!(header(&response, header::ACCESS_CONTROL_ALLOW_ORIGIN), origin, "{transport}");
            assert_eq!(text(response).await, "log in");
            assert!(endpoint.handle.is_empty());
            assert_eq!(endpoint.handle.stats().total().opening, 0);
        }
        gate.opened.notify_one();
        assert_eq!(call(&endpoint.app, with_secret(transport)).await.status(), StatusCode::OK, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn extractors_have_their_time_and_no_more() {
    for transport in http_transports() {
        let gate = Gate::default();
        let endpoint = gate.endpoint(Options::new());
        let start = Instant::now();
        let response = call(&endpoint.app, with_secret(transport)).await;
        assert_eq!(start.elapsed(), Duration::from_secs(5), "{transport}");
        // An EventSource may ask again at once after a 503.
        let status = if transport == Transport::EventSource { 200 } else { 503 };
        assert_eq!(response.status(), status, "{transport}");
        assert_eq!(header(&response, header::RETRY_AFTER), "5");
        assert!(endpoint.handle.is_empty());
        gate.opened.notify_one();
        let response = call(&endpoint.app, with_secret(transport)).await;
        assert_eq!(header(&response, header::RETRY_AFTER), "", "{transport}");
        assert_eq!(endpoint.handle.len(), 1, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_while_extractors_run_frees_its_id() {
    let gate = Gate::default();
    let endpoint = gate.endpoint(Options::new().max_sessions(1));
    assert!(call(&endpoint.app, with_secret(Transport::XhrPolling)).now_or_never().is_none());
    gate.opened.notify_one();
    assert_eq!(text(call(&endpoint.app, with_secret(Transport::XhrPolling)).await).await, "o\n");
}

#[tokio::test(start_paused = true)]
async fn an_extractor_that_panics_frees_the_id() {
    struct Fragile;
    impl<S: Sync> FromRequestParts<S> for Fragile {
        type Rejection = StatusCode;

        async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
            yield_now().await;
            assert!(parts.headers.contains_key("x-secret"), "an extractor's own bug");
            Ok(Self)
        }
    }
    let endpoint = Endpoint::new(
        |_: Fragile, session: Session| async move { drop(session.closed().await) },
        Options::new().max_sessions(1),
    );
    let client = endpoint.client("a");
    assert!(tokio::spawn(async move { client.poll().await }).await.unwrap_err().is_panic());
    assert!(endpoint.handle.is_empty());
    assert_eq!(text(call(&endpoint.app, with_secret(Transport::XhrPolling)).await).await, "o\n");
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_with_the_session() {
    let (_stage, _client, mut session) = polling().await;
    session.feed("a".into()).await.unwrap();
    session.close(3000, "");
    let flushing = tokio::spawn(async move { session.flush().await });
    pass(DELAY).await;
    assert!(flushing.is_finished(), "it waits for a client that cannot come");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_dropped_leaves_nothing_behind() {
    struct Idle;
    impl std::task::Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let (_stage, _client, session) = polling_with(Options::new().send_queue_bytes(1)).await;
    session.try_send("fills the queue").unwrap();
    let idle = Arc::new(Idle);
    let waker = std::task::Waker::from(Arc::clone(&idle));
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(Box::pin(session.closed()).poll_unpin(&mut cx).is_pending());
    assert!(Box::pin(session.send("a")).poll_unpin(&mut cx).is_pending());
    let mut sender = session.sender();
    assert!(sender.poll_ready_unpin(&mut cx).is_pending());
    drop((waker, sender));
    assert_eq!(Arc::strong_count(&idle), 1, "the session keeps the task that has waited");
}

#[tokio::test(start_paused = true)]
async fn a_session_that_has_gone_takes_no_place() {
    let stage = Stage::new(Options::new().max_sessions(1));
    let client = stage.endpoint.client("a");
    drop(client.receive(Transport::XhrStreaming).await);
    assert_eq!(client.poll().await, "o");
}

#[tokio::test(start_paused = true)]
async fn a_limit_per_peer_without_peers_is_logged_once() {
    let limited = || Options::new().max_sessions_per_peer(1);
    let header = |name: &'static str| {
        limited().peer_key(move |headers, _| Some(headers.get(name)?.to_str().ok()?.to_owned()))
    };
    // A router that is asked like this knows no addresses.
    for (options, lines) in
        [(limited(), 1), (header("x-real-ip"), 1), (header("host"), 0), (Options::new(), 0)]
    {
        let log = Log::start(tracing::Level::WARN);
        let stage = Stage::new(options);
        for id in ["a", "b", "c"] {
            let request = Request::post(format!("/app/000/{id}/xhr")).header("Host", id);
            let response = call(&stage.endpoint.app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(text(response).await, "o\n", "it is let in");
        }
        let text = log.text();
        let (all, named) = (text.lines().count(), text.matches("Options::peer_key").count());
        assert_eq!((all, named), (lines, lines), "{text}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_late_panic_is_logged_with_its_connection() {
    let log = Log::start(tracing::Level::ERROR);
    let (sender, mut ids) = mpsc::unbounded_channel();
    let handler = move |session: Session| async move {
        sender.send(session.id()).ok();
        session.closed().await;
        sleep(DELAY * 2).await;
        panic!("while cleaning up");
    };
    let endpoint = Endpoint::new(handler, Options::new());
    assert_eq!(endpoint.client("a").poll().await, "o");
    let id = ids.recv().await.unwrap().to_string();
    pass(DELAY * 4).await;
    assert!(log.text().contains(&id), "{}", log.text());
}
