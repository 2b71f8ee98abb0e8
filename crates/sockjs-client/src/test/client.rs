//! The client of a service, and the service's end of its connections.

use std::{
    fmt,
    future::Future,
    io,
    net::{Ipv4Addr, SocketAddr},
    panic::Location,
    time::Duration,
};

use axum::{
    body::{Body, HttpBody},
    extract::ConnectInfo,
};
use bytes::Bytes;
use http::{HeaderName, HeaderValue, Request, Response, StatusCode, Uri, header::AsHeaderName};
use http_body_util::{BodyExt as _, combinators::UnsyncBoxBody};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use sockjs_core::{CloseFrame, Transport};
use tokio::time::timeout;
use tower::{
    Service, ServiceExt as _,
    util::{BoxCloneSyncService, MapResponseLayer},
};

use super::{
    pipe::Control,
    session::{TestSession, failed},
};
use crate::{
    client::Client,
    connector::{Connector, Dial, Dialing, Stream},
    error::{BoxError, Error, first_line},
    http::Pool,
};

/// The host of all URLs. The domain is reserved for tests (RFC 6761, section 6.2).
const HOST: &str = "app.test";

/// How long a test waits by default.
const PATIENCE: Duration = Duration::from_secs(10);

type AnyBody = UnsyncBoxBody<Bytes, BoxError>;
type AnyService = BoxCloneSyncService<Request<Body>, Response<AnyBody>, io::Error>;

/// A SockJS client of a service in process, for tests: no socket, no port, and every transport.
///
/// The service is any of tower's that takes axum's body: a router with its layers, or an endpoint alone. Requests
/// reach it by hyper's server over connections in memory, so it sees what it would see of a browser, WebSockets and
/// broken connections included.
///
/// ```
/// use axum::Router;
/// use axum_sockjs::{Session, SockJs};
/// use sockjs_client::{Transport, test::TestClient};
///
/// async fn shout(mut session: Session) {
///     while let Some(message) = session.recv().await {
///         let text = message.as_str().unwrap_or_default().to_uppercase();
///         session.send(text).await.ok();
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread", start_paused = true)]
/// # async fn main() {
/// let app = Router::new().nest_service("/shout", SockJs::new(shout));
/// let mut session = TestClient::new(app, "/shout").open(Transport::XhrStreaming).await.unwrap();
/// session.send("hello").await;
/// assert_eq!(session.recv().await, "HELLO");
/// # }
/// ```
///
/// # Time
///
/// Under a paused clock (`#[tokio::test(start_paused = true)]`, tokio's feature `test-util`) tokio lets time pass
/// when nothing else is to be done: heartbeats and time-outs are exact, and none is waited for. A task that never
/// waits stops that clock, and work in other threads does not.
///
/// # Visitors
///
/// A client is one visitor, with headers, cookies and an address. A clone of it, or a client of a clone of the
/// service, meets it there. Each session has connections of its own, and cookies that the service has set.
///
/// It sends no `Origin` and no `Sec-Fetch-Site`, as programs that are no browsers. Services that use browsers' words
/// only for what browsers ask for, which are those of HtmlFile and JSONP, need one by [`header`](Self::header):
/// `sec-fetch-site: same-origin`. An `origin` is that of a page elsewhere, but for `http://app.test`, which is the
/// service's own.
///
/// # What goes wrong
///
/// A test that waits for what does not come panics with a sentence that names its line, after 10 seconds of tokio's
/// time ([`patience`](Self::patience)), or at once if it cannot come any more. `open` alone has an error: that the
/// service refused the session.
#[derive(Clone)]
#[must_use]
pub struct TestClient {
    service: AnyService,
    client: Client,
    peer: SocketAddr,
    patience: Duration,
}

impl TestClient {
    /// Creates a client of the endpoint at `path` of a service, for instance `/chat`. The path may have a query, which is
    /// sent with every request.
    ///
    /// # Panics
    /// The path is no path.
    #[track_caller]
    pub fn new<S, B>(service: S, path: &str) -> Self
    where
        S: Service<Request<Body>, Response = Response<B>> + Clone + Send + Sync + 'static,
        S::Error: Into<BoxError>,
        S::Future: Send + 'static,
        B: HttpBody<Data = Bytes> + Send + 'static,
        B::Error: Into<BoxError>,
    {
        assert!(!path.contains("://"), "{path:?} is a URL: the path of an endpoint begins with a slash");
        let separator = if path.is_empty() || path.starts_with('/') { "" } else { "/" };
        let client = match Client::new(&format!("http://{HOST}{separator}{path}")) {
            Ok(client) => client.server_timeout(None),
            Err(error) => panic!("{path:?} is not the path of an endpoint: {error}"),
        };
        let boxed = |response: Response<B>| response.map(|body| body.map_err(Into::into).boxed_unsync());
        let service = tower::ServiceBuilder::new()
            .layer(MapResponseLayer::new(boxed))
            .map_err(|error: S::Error| io::Error::other(error))
            .service(service);
        let peer = SocketAddr::from((Ipv4Addr::LOCALHOST, 50_000));
        Self { service: BoxCloneSyncService::new(service), client, peer, patience: PATIENCE }
    }

    /// Sets a header of every request, in place of an earlier one of the same name.
    ///
    /// # Panics
    /// It is no header.
    #[track_caller]
    pub fn header<N, V>(mut self, name: N, value: V) -> Self
    where
        N: TryInto<HeaderName>,
        V: TryInto<HeaderValue>,
    {
        match (name.try_into(), value.try_into()) {
            (Ok(name), Ok(value)) => self.client = self.client.header(name, value),
            (Ok(name), Err(_)) => panic!("the value of the header {name} is invalid"),
            (Err(_), _) => panic!("the name of a header is invalid"),
        }
        self
    }

    /// Adds a cookie to every request. Cookies that the service sets are sent back within the session.
    pub fn cookie(mut self, name: &str, value: &str) -> Self {
        self.client = self.client.cookie(name, value);
        self
    }

    /// Sets the address that requests come from: that of `ConnectInfo<SocketAddr>`. Default: 127.0.0.1:50000.
    pub fn peer(mut self, addr: impl Into<SocketAddr>) -> Self {
        self.peer = addr.into();
        self
    }

    /// Sets the sub-protocols that a raw WebSocket offers, by preference.
    pub fn subprotocols<T: AsRef<str>>(mut self, names: impl IntoIterator<Item = T>) -> Self {
        self.client = self.client.subprotocols(names);
        self
    }

    /// Sets how long a test waits for anything, in tokio's time, before it fails. Default: 10 seconds.
    pub fn patience(mut self, time: Duration) -> Self {
        self.patience = time;
        self
    }

    /// Changes the settings of the client underneath, such as its limits. Its time to open is the test's
    /// [`patience`](Self::patience), and its frames are inspected by the test: a function of the application's is replaced.
    pub fn configure(mut self, change: impl FnOnce(Client) -> Client) -> Self {
        self.client = change(self.client);
        self
    }

    /// Opens a session with one transport, as [`Client::open`] does. It has connections of its own.
    ///
    /// It returns with the `o` of the session. The service's handler may have done nothing by then: wait for a message
    /// of it. A future that is dropped cuts the connection.
    ///
    /// # Errors
    /// The service refused the session: [`Refusal`] is its answer.
    ///
    /// # Panics
    /// The service does not answer, fails, or answers with something that is no SockJS.
    #[track_caller]
    pub fn open(
        &self,
        transport: Transport,
    ) -> impl Future<Output = Result<TestSession, Refusal>> + Send + use<> {
        let caller = Location::caller();
        let (client, control) = self.connected();
        let path = self.client.path();
        let patience = self.patience;
        async move {
            let (frames, seen) = tokio::sync::mpsc::unbounded_channel();
            let client =
                client.inspect_frames(move |frame| _ = frames.send(frame.clone())).min_open_timeout(patience);
            // The client itself allows 5 seconds at the least.
            let opened = timeout(patience, client.open(transport)).await;
            match opened.unwrap_or(Err(Error::TimedOut(patience))) {
                Ok(session) => Ok(TestSession::new(session, seen, control, patience)),
                Err(Error::Refused(response)) => {
                    Err(Refusal { path, response: *response, close_frame: None })
                }
                Err(Error::Closed(frame)) => {
                    Err(Refusal { path, response: Response::new(Bytes::new()), close_frame: Some(frame) })
                }
                Err(error) => failed(caller, &format!("no session over {transport}: {error}")),
            }
        }
    }

    /// Asks for the endpoint's `/info`, and returns its JSON.
    ///
    /// # Panics
    /// The answer is not 200 with JSON, or there is none.
    #[track_caller]
    pub fn info(&self) -> impl Future<Output = serde_json::Value> + Send + use<> {
        let caller = Location::caller();
        let (client, _) = self.connected();
        let patience = self.patience;
        async move {
            match timeout(patience, client.read_info()).await {
                Err(_) => failed(caller, &format!("no answer to /info within {patience:?}")),
                Ok(Err(error)) => failed(caller, &format!("/info: {error}")),
                Ok(Ok(body)) => match serde_json::from_slice(&body) {
                    Ok(info) => info,
                    Err(error) => failed(caller, &format!("/info is not JSON: {error}")),
                },
            }
        }
    }

    /// The client, with connections of its own to the service.
    fn connected(&self) -> (Client, Control) {
        let control = Control::default();
        let dialer = Dialer { service: self.service.clone(), peer: self.peer, control: control.clone() };
        let connector = Connector::new(dialer);
        (self.client.clone().with_pool(Pool::new(connector.clone(), connector)), control)
    }
}

impl fmt::Debug for TestClient {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TestClient")
            .field("client", &self.client)
            .field("peer", &self.peer)
            .field("patience", &self.patience)
            .finish_non_exhaustive()
    }
}

/// Serves each new connection in a task, which ends with the connection.
struct Dialer {
    service: AnyService,
    peer: SocketAddr,
    control: Control,
}

impl Dial for Dialer {
    fn dial(&self, _: Uri) -> Dialing {
        let (client, server) = self.control.pipe();
        let (service, peer) = (self.service.clone(), self.peer);
        let service = service_fn(move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            service.clone().oneshot(request.map(Body::new))
        });
        tokio::spawn(async move {
            let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
            // An error is the end of this connection. The client's side sees it.
            if let Err(error) = connection.with_upgrades().await {
                tracing::debug!(%error, "a connection of a test has ended");
            }
        });
        Box::pin(async { Ok(Stream::new(client)) })
    }
}

/// The service's answer to a session that it did not open.
#[derive(Clone)]
pub struct Refusal {
    path: String,
    response: Response<Bytes>,
    close_frame: Option<CloseFrame>,
}

impl Refusal {
    /// Returns the status: 200 if the service refused with a [close frame](Self::close_frame).
    #[must_use]
    pub fn status(&self) -> StatusCode {
        self.response.status()
    }

    /// Returns the value of a header, or an empty text.
    #[must_use]
    pub fn header(&self, name: impl AsHeaderName) -> &str {
        self.response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Returns the body as text.
    #[must_use]
    pub fn text(&self) -> std::borrow::Cow<'_, str> {
        String::from_utf8_lossy(self.response.body())
    }

    /// Returns the close frame, if the service refused with one.
    #[must_use]
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.close_frame.as_ref()
    }
}

/// The status and the first line of the body, or the close frame.
impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.close_frame {
            Some(frame) => write!(f, "closed with {frame}"),
            None if self.status() == StatusCode::NOT_FOUND => {
                write!(f, "{} at {:?}: is the endpoint mounted there?", self.status(), self.path)
            }
            None => match first_line(self.response.body()) {
                Some(line) => write!(f, "{}: {line}", self.status()),
                None => write!(f, "{}", self.status()),
            },
        }
    }
}

/// As it is displayed: this is what a failed `unwrap` shows.
impl fmt::Debug for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Refusal {}
