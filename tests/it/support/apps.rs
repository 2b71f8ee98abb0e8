//! The applications that tests talk to.

use axum::Router;
use axum_sockjs::{CloseReason, Cookie, Handler, Options, Origins, Session, SockJs, SockJsHandle, Transport};
use tokio::sync::mpsc;

use super::{server::Server, within};

/// Sends each message back.
pub(crate) async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Without a judge of origins: every transport is there, for any client.
pub(crate) fn open_to_all(options: Options) -> Options {
    options.origins(Origins::any())
}

/// The options of the protocol suite's services.
fn suite_options() -> Options {
    let options = open_to_all(Options::new()).response_limit(4096);
    #[cfg(feature = "websocket")]
    let options = options.hixie76(true);
    options
}

/// A server with the services that the protocol suite asks for.
pub(crate) async fn suite() -> Server {
    let close = |session: Session| async move { session.close(3000, "Go away!") };
    let without_websocket = suite_options().disable(Transport::WebSocket).disable(Transport::RawWebSocket);
    let app = Router::new()
        .nest_service("/echo", SockJs::new(echo).options(suite_options()))
        .nest_service("/close", SockJs::new(close).options(suite_options()))
        .nest_service("/disabled_websocket_echo", SockJs::new(echo).options(without_websocket))
        .nest_service(
            "/cookie_needed_echo",
            SockJs::new(echo).options(suite_options().cookie(Cookie::jsessionid())),
        );
    Server::start(app).await
}

/// One endpoint, at `/app` and [open to all](open_to_all), and the server around it.
pub(crate) struct Endpoint {
    pub(crate) server: Server,
    pub(crate) handle: SockJsHandle,
}

impl Endpoint {
    pub(crate) async fn start<T: 'static>(handler: impl Handler<T, ()>, options: Options) -> Self {
        let (app, handle) = Self::app(SockJs::new(handler).options(open_to_all(options)));
        Self { server: Server::start(app).await, handle }
    }

    /// As [`Server::start_on_one_thread`].
    pub(crate) fn start_on_one_thread<T: 'static>(handler: impl Handler<T, ()>, options: Options) -> Self {
        let (app, handle) = Self::app(SockJs::new(handler).options(open_to_all(options)));
        Self { server: Server::start_on_one_thread(app), handle }
    }

    fn app(endpoint: SockJs) -> (Router, SockJsHandle) {
        let handle = endpoint.handle();
        (Router::new().nest_service("/app", endpoint), handle)
    }

    /// The path of something below `/SERVER/SESSION/`.
    pub(crate) fn path(id: &str, name: &str) -> String {
        format!("/app/000/{id}/{name}")
    }

    /// Expects that no session is left.
    pub(crate) async fn is_left_empty(&self) {
        super::until(format_args!("no session, there are {}", self.handle.len()), || self.handle.is_empty())
            .await;
    }

    /// Expects that a new client is served, whatever happened before.
    pub(crate) async fn still_serves(&self) {
        assert_eq!(self.server.get("/app").await.text(), "Welcome to SockJS!\n");
        let answer = self.server.post(Self::path(&super::fresh_id(), "xhr"), "").await;
        assert_eq!(answer.text(), "o\n");
    }
}

/// An endpoint whose application is the test: each session is handed to it.
pub(crate) struct Stage {
    pub(crate) endpoint: Endpoint,
    sessions: mpsc::UnboundedReceiver<Session>,
}

impl Stage {
    pub(crate) async fn start(options: Options) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        let hand_over = move |session: Session| async move {
            // Dropped with the receiver at the end of a test, when nobody minds.
            sender.send(session).ok();
        };
        Self { endpoint: Endpoint::start(hand_over, options).await, sessions }
    }

    /// The next session that a client opens.
    pub(crate) async fn session(&mut self) -> Session {
        within("a session", self.sessions.recv()).await.expect("the endpoint is alive")
    }

    /// Whether there is no session that has not been asked for.
    pub(crate) fn has_no_more(&mut self) -> bool {
        self.sessions.try_recv().is_err()
    }
}

/// An endpoint that echoes, and reports how each of its sessions ended.
pub(crate) struct Reporting {
    pub(crate) endpoint: Endpoint,
    ends: mpsc::UnboundedReceiver<CloseReason>,
}

impl Reporting {
    pub(crate) async fn start(options: Options) -> Self {
        let (sender, ends) = mpsc::unbounded_channel();
        let handler = move |mut session: Session| async move {
            while let Some(message) = session.recv().await {
                match message.as_str() {
                    Some("close") => session.close(4001, "as you wish"),
                    Some("return") => break,
                    _ => drop(session.send(message).await),
                }
            }
            let reason = session.sender();
            drop(session);
            sender.send(reason.closed().await).ok();
        };
        Self { endpoint: Endpoint::start(handler, options).await, ends }
    }

    /// How the next session to end has ended.
    pub(crate) async fn end(&mut self) -> CloseReason {
        within("the end of a session", self.ends.recv()).await.expect("the endpoint is alive")
    }

    /// The same, where time has to pass until then.
    pub(crate) async fn end_as_time_passes(&mut self) -> CloseReason {
        let end = super::as_time_passes("the end of a session", self.ends.recv()).await;
        end.expect("the endpoint is alive")
    }

    /// How a session has ended that nobody has asked about yet.
    pub(crate) fn try_end(&mut self) -> Option<CloseReason> {
        self.ends.try_recv().ok()
    }

    /// Expects that every end has been asked for.
    pub(crate) fn has_no_more(&mut self) -> bool {
        self.try_end().is_none()
    }
}

/// An endpoint at `/app` for pages of its own origin.
pub(crate) async fn for_its_own_pages<T: 'static>(
    handler: impl Handler<T, ()>,
    options: Options,
) -> Endpoint {
    let sockjs = SockJs::new(handler).options(options);
    let handle = sockjs.handle();
    Endpoint { server: Server::start(Router::new().nest_service("/app", sockjs)).await, handle }
}

/// Streams end with every frame, as polls do.
pub(crate) fn one_frame_per_response() -> Options {
    Options::new().response_limit(1)
}

/// The end of a session, as its application sees it.
pub(crate) async fn end_of(session: &mut Session) -> CloseReason {
    assert_eq!(within("the end of the messages", session.recv()).await, None);
    within("the reason of the end", session.closed()).await
}
