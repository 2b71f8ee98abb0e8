//! An endpoint without sockets, under a paused clock: every second is exact, and none is waited for.
//!
//! Its clients are [`TestClient`]'s, over every transport; or single requests, by hand, where a rule is about them.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
    response::Response,
};
use axum_sockjs::{
    CloseFrame, CloseReason, Handler, Message, Options, Session, SockJs, SockJsHandle, Transport,
};
use http_body_util::BodyExt as _;
use sockjs_client::test::{TestClient, TestSession};
use tokio::{sync::mpsc, time::sleep};
use tower::ServiceExt;

use crate::support::{
    apps::{echo, open_to_all},
    settle, soon,
};

pub(crate) const STREAMS: [Transport; 3] =
    [Transport::XhrStreaming, Transport::EventSource, Transport::HtmlFile];

pub(crate) const POLLS: [Transport; 2] = [Transport::XhrPolling, Transport::JsonpPolling];

pub(crate) fn http_transports() -> impl Iterator<Item = Transport> {
    STREAMS.into_iter().chain(POLLS)
}

/// Every transport of this build.
pub(crate) fn transports() -> impl Iterator<Item = Transport> {
    let has_sockets = cfg!(feature = "websocket");
    Transport::ALL.iter().copied().filter(move |transport| has_sockets || !transport.is_socket())
}

pub(crate) const INTERRUPTED: &str = r#"c[1002,"Connection interrupted"]"#;

pub(crate) const ANOTHER: &str = r#"c[2010,"Another connection still open"]"#;

pub(crate) const DELAY: Duration = Duration::from_secs(5);

pub(crate) const HEARTBEAT: Duration = Duration::from_secs(25);

pub(crate) const TICK: Duration = Duration::from_millis(1);

/// Lets time pass, and all that was due in it happen.
pub(crate) async fn pass(time: Duration) {
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
pub(crate) fn wrapped(transport: Transport, frame: &str) -> String {
    let literal = || serde_json::to_string(frame).expect("text is JSON");
    match transport {
        Transport::EventSource => format!("data: {frame}\r\n\r\n"),
        Transport::HtmlFile => format!("<script>\np({});\n</script>\r\n", literal()),
        Transport::JsonpPolling => format!("/**/cb({});\r\n", literal()),
        _ => format!("{frame}\n"),
    }
}

/// A frame out of its wrapping.
pub(crate) fn unwrapped(transport: Transport, chunk: &str) -> String {
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

pub(crate) fn is_prelude(transport: Transport, chunk: &str) -> bool {
    match transport {
        Transport::XhrStreaming => chunk == format!("{}\n", "h".repeat(2048)),
        Transport::EventSource => chunk == "\r\n",
        _ => chunk.contains("var c = parent.cb;") && chunk.len() > 1024,
    }
}

/// The requests of one session, by hand.
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
    pub(crate) async fn chunk(&mut self) -> Option<String> {
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
pub(crate) struct Down {
    pub(crate) client: Client,
    pub(crate) transport: Transport,
    pub(crate) current: Option<Receiving>,
}

impl Down {
    pub(crate) async fn frame(&mut self) -> String {
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
pub(crate) struct Endpoint {
    pub(crate) app: Router,
    pub(crate) handle: SockJsHandle,
}

impl Endpoint {
    pub(crate) fn new<T: 'static>(handler: impl Handler<T, ()>, options: Options) -> Self {
        Self::of(SockJs::new(handler).options(open_to_all(options)))
    }

    pub(crate) fn of(endpoint: SockJs) -> Self {
        let handle = endpoint.handle();
        Self { app: Router::new().nest_service("/app", endpoint), handle }
    }

    pub(crate) fn test_client(&self) -> TestClient {
        TestClient::new(self.app.clone(), "/app")
    }

    pub(crate) async fn open(&self, transport: Transport) -> TestSession {
        let opened = self.test_client().open(transport).await;
        opened.unwrap_or_else(|refusal| panic!("{transport}: {refusal}"))
    }

    pub(crate) fn client(&self, id: &str) -> Client {
        Client::new(&self.app, "/app", id)
    }
}

/// An endpoint whose application is the test: each session is handed to it.
pub(crate) struct Stage {
    pub(crate) endpoint: Endpoint,
    pub(crate) sessions: mpsc::UnboundedReceiver<Session>,
    pub(crate) opened: usize,
}

impl Stage {
    pub(crate) fn new(options: Options) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        // Returns at once: the session lives on where it was sent.
        let hand_over = move |session: Session| async move { drop(sender.send(session)) };
        Self { endpoint: Endpoint::new(hand_over, options), sessions, opened: 0 }
    }

    pub(crate) async fn session(&mut self) -> Session {
        soon("a session", self.sessions.recv()).await.expect("the endpoint is alive")
    }

    /// Both ends of a new session.
    pub(crate) async fn open(&mut self, transport: Transport) -> (TestSession, Session) {
        (self.endpoint.open(transport).await, self.session().await)
    }

    /// A session under an id of its own, whose client has its `o`, and receives by hand.
    pub(crate) async fn open_by_hand(&mut self, transport: Transport) -> (Down, Session) {
        self.opened += 1;
        let client = self.endpoint.client(&format!("session{}", self.opened));
        let mut down = Down { client, transport, current: None };
        assert_eq!(down.frame().await, "o", "{transport}");
        (down, self.session().await)
    }
}

/// A session that polls by hand, under the default options.
pub(crate) async fn polling() -> (Stage, Client, Session) {
    polling_with(Options::new()).await
}

pub(crate) async fn polling_with(options: Options) -> (Stage, Client, Session) {
    let mut stage = Stage::new(options);
    let (down, session) = stage.open_by_hand(Transport::XhrPolling).await;
    (stage, down.client, session)
}

/// Waits until nothing is left of any session.
pub(crate) async fn forgotten(handle: SockJsHandle) {
    loop {
        let now = handle.stats().total();
        if now.open() + now.closing + now.closed == 0 {
            return;
        }
        sleep(TICK).await;
    }
}

/// Runs a receiving request in a task of its own, up to where it waits.
pub(crate) async fn waiting(mut down: Down) -> tokio::task::JoinHandle<(String, Down)> {
    let task = tokio::spawn(async move { (down.frame().await, down) });
    settle().await;
    assert!(!task.is_finished(), "the receiver has to wait");
    task
}

/// What a task of the test returns.
pub(crate) async fn done<T>(task: tokio::task::JoinHandle<T>) -> T {
    soon("the end of a task", task).await.expect("the task does not panic")
}

/// What the application receives.
pub(crate) async fn next(session: &mut Session) -> Option<Message> {
    soon("a message or the end", session.recv()).await
}

pub(crate) fn server(code: u16, reason: &'static str) -> CloseReason {
    CloseReason::Server(CloseFrame::new(code, reason))
}

/// What the endpoint at `/app` tells a client that asks first.
pub(crate) async fn info(app: &Router) -> serde_json::Value {
    TestClient::new(app.clone(), "/app").info().await
}

/// Opens a session at a path, and expects the first message.
pub(crate) async fn expect_message(app: &Router, path: &str, expected: &str) {
    let opened = TestClient::new(app.clone(), path).open(Transport::XhrPolling).await;
    let mut session = opened.unwrap_or_else(|refusal| panic!("{path}: {refusal}"));
    assert_eq!(session.recv().await, expected, "{path}");
}

pub(crate) async fn none(session: Session) {
    session.send("none").await.ok();
}

pub(crate) fn with_options(options: Options) -> Router {
    Router::new().nest_service("/app", SockJs::new(echo).options(open_to_all(options)))
}
