//! An endpoint: from a request to its answer.

use std::{
    convert::Infallible,
    fmt,
    future::{Future, poll_fn},
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{extract::ConnectInfo, response::Response};
use bytes::Bytes;
use http::{Method, Request, StatusCode, header::SET_COOKIE, request::Parts};
use tower::Service;
use uuid::Uuid;

use crate::{
    Cors, Handler, Options, SockJsHandle, SockJsLayer, Transport,
    handler::{Erased, ErasedHandler, Opened, WithState},
    protocol::path::{self, Path},
    request::{BodyError, discard_body, has_doubled_slash, hide_session_id, read_body},
    response::{
        cache,
        cors::{self, AllowOrigin},
        iframe::IframePage,
        info, reply,
    },
    session::{AttachError, Attachment, Connection, Driver, Lookup, Registry, Reservation},
    transport::{self, Action, ROUTES, Receiver, Route},
};

/// A SockJS endpoint: a [`Service`] that answers every path below where it is mounted.
///
/// ```
/// use axum::Router;
/// use axum_sockjs::{Session, SockJs};
///
/// async fn echo(mut session: Session) {
///     while let Some(message) = session.recv().await {
///         session.send(message).await.ok();
///     }
/// }
///
/// let app: Router = Router::new()
///     .nest_service("/echo", SockJs::new(echo))
///     .nest_service("/a/b", SockJs::new(echo)); // another endpoint: its sessions are its own
/// ```
///
/// At the root of an app, where axum does not nest, mount it with
/// [`fallback_service`](axum::Router::fallback_service). `S` is the state that the handler's extractors
/// still miss, as in [`axum::Router`]; only an endpoint that misses none is a service.
///
/// A clone is the same endpoint, with the same sessions.
pub struct SockJs<S = ()> {
    handler: Arc<dyn ErasedHandler<S>>,
    endpoint: Arc<Endpoint>,
}

/// What all clones of an endpoint share.
struct Endpoint {
    options: Options,
    iframe: IframePage,
    registry: Arc<Registry>,
}

impl Endpoint {
    fn new(options: Options, registry: Arc<Registry>) -> Arc<Self> {
        let iframe = IframePage::new(&options.client_url);
        Arc::new(Self { options, iframe, registry })
    }
}

impl<S> SockJs<S> {
    /// An endpoint whose sessions are served by `handler`: see [`Handler`].
    pub fn new<H, T>(handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
        S: 'static,
    {
        let handler = Arc::new(Erased::new(handler));
        Self { handler, endpoint: Endpoint::new(Options::default(), Arc::default()) }
    }

    /// Sets the endpoint's options. Call it before the endpoint is mounted.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        let registry = Arc::clone(&self.endpoint.registry);
        Self { endpoint: Endpoint::new(options, registry), ..self }
    }

    /// Provides the state that the handler's extractors need.
    #[must_use]
    pub fn with_state(self, state: S) -> SockJs
    where
        S: Clone + Send + Sync + 'static,
    {
        SockJs { handler: Arc::new(WithState { handler: self.handler, state }), endpoint: self.endpoint }
    }

    /// A handle to the endpoint's sessions.
    #[must_use]
    pub fn handle(&self) -> SockJsHandle {
        SockJsHandle { registry: Arc::clone(&self.endpoint.registry) }
    }
}

impl SockJs {
    /// A layer that puts the endpoint in front of any service, at `prefix` (`""` or `"/"` for all paths).
    ///
    /// ```
    /// use axum::{Router, routing::get};
    /// use axum_sockjs::{Session, SockJs};
    /// use tower::Layer;
    ///
    /// let endpoint = SockJs::new(|session: Session| async move { session.close(3000, "Go away!") });
    /// let app: Router = Router::new().route("/", get("home")).layer(endpoint.layer("/close"));
    /// ```
    ///
    /// # Panics
    /// If `prefix` is not empty and does not begin with `/`.
    #[must_use]
    #[track_caller]
    pub fn layer(self, prefix: &str) -> SockJsLayer {
        SockJsLayer::new(prefix, self)
    }
}

impl<S> Clone for SockJs<S> {
    fn clone(&self) -> Self {
        Self { handler: Arc::clone(&self.handler), endpoint: Arc::clone(&self.endpoint) }
    }
}

impl<S> fmt::Debug for SockJs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJs")
            .field("options", &self.endpoint.options)
            .field("sessions", &self.endpoint.registry.live())
            .finish_non_exhaustive()
    }
}

impl<B> Service<Request<B>> for SockJs
where
    B: http_body::Body<Data = Bytes> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        let this = self.clone();
        ResponseFuture(Box::pin(async move { this.respond(request).await }))
    }
}

/// The answer of a [`SockJs`] endpoint.
///
/// # Cancel safety
/// Dropping it while it waits for a session's next frame is a client that went away: the session ends.
#[must_use = "futures do nothing unless polled"]
pub struct ResponseFuture(Pin<Box<dyn Future<Output = Response> + Send>>);

impl Future for ResponseFuture {
    type Output = Result<Response, Infallible>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.as_mut().poll(cx).map(Ok)
    }
}

impl fmt::Debug for ResponseFuture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ResponseFuture").finish_non_exhaustive()
    }
}

/// What kind of page a path without a session is.
enum Page {
    Greeting,
    Info,
    Iframe,
}

impl SockJs {
    async fn respond<B>(&self, request: Request<B>) -> Response
    where
        B: http_body::Body<Data = Bytes> + Send,
    {
        let (parts, body) = request.into_parts();
        let path = path::parse(parts.uri.path()).filter(|_| !has_doubled_slash(&parts));
        match path {
            None => {
                discard_body(body).await;
                reply::not_found()
            }
            Some(Path::Greeting) => self.page(&parts, body, Page::Greeting).await,
            Some(Path::Info) => self.page(&parts, body, Page::Info).await,
            Some(Path::Iframe) => self.page(&parts, body, Page::Iframe).await,
            Some(Path::RawWebSocket) => self.raw_websocket(parts, body).await,
            Some(Path::Session { session, transport }) => {
                let route = ROUTES.iter().find(|route| route.name == transport);
                let session = session.to_owned();
                match route.filter(|route| self.is_enabled(route)) {
                    Some(route) => self.session_url(route, &session, parts, body).await,
                    None => {
                        discard_body(body).await;
                        reply::not_found()
                    }
                }
            }
        }
    }

    fn options_ref(&self) -> &Options {
        &self.endpoint.options
    }

    fn is_enabled(&self, route: &Route) -> bool {
        route.transports.iter().any(|&transport| self.options_ref().transports.contains(transport))
    }

    fn has_cors(&self) -> bool {
        self.options_ref().cors == Cors::BuiltIn
    }

    /// A page that belongs to no session.
    async fn page<B>(&self, parts: &Parts, body: B, page: Page) -> Response
    where
        B: http_body::Body<Data = Bytes>,
    {
        discard_body(body).await;
        let allow_origin =
            (matches!(page, Page::Info) && self.has_cors()).then(|| AllowOrigin::of(&parts.headers));
        let cross_origin = allow_origin.is_some();
        let mut response = match (&parts.method, page) {
            // The answer to HEAD loses its body in the HTTP server.
            (&Method::GET | &Method::HEAD, page) => match page {
                Page::Greeting => reply::text(StatusCode::OK, "Welcome to SockJS!\n"),
                Page::Info => info::info(self.options_ref()),
                Page::Iframe => self.endpoint.iframe.respond(&parts.headers),
            },
            (&Method::OPTIONS, Page::Info) if cross_origin => preflight(parts, "OPTIONS, GET"),
            (_, Page::Info) if cross_origin => reply::method_not_allowed("OPTIONS, GET, HEAD"),
            _ => reply::method_not_allowed("GET, HEAD"),
        };
        if let Some(allow_origin) = allow_origin {
            allow_origin.apply(response.headers_mut());
        }
        response
    }

    #[cfg(feature = "websocket")]
    async fn raw_websocket<B>(&self, parts: Parts, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes>,
    {
        discard_body(body).await;
        if !self.options_ref().transports.contains(Transport::RawWebSocket) {
            return reply::not_found();
        }
        if parts.method != Method::GET {
            return reply::method_not_allowed("GET");
        }
        self.websocket(Transport::RawWebSocket, parts).await
    }

    #[cfg(not(feature = "websocket"))]
    async fn raw_websocket<B>(&self, _: Parts, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes>,
    {
        discard_body(body).await;
        reply::not_found()
    }

    /// A URL below `/SERVER/SESSION/`: the methods and headers that all of them share.
    async fn session_url<B>(&self, route: &Route, session: &str, parts: Parts, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes>,
    {
        let cross_origin = route.cross_origin && self.has_cors();
        // Only a POST is ever asked for beforehand.
        let may_preflight = cross_origin && route.method == Method::POST;
        let cookie = self.options_ref().cookie.for_request(&parts);
        let allow_origin = cross_origin.then(|| AllowOrigin::of(&parts.headers));
        let mut response = if parts.method == Method::OPTIONS && may_preflight {
            discard_body(body).await;
            preflight(&parts, "OPTIONS, POST")
        } else if parts.method != route.method {
            discard_body(body).await;
            reply::method_not_allowed(match route.method {
                Method::GET => "GET",
                _ if may_preflight => "OPTIONS, POST",
                _ => "POST",
            })
        } else {
            let mut response = self.dispatch(route, session, parts, body).await;
            cache::never(response.headers_mut());
            response
        };
        if let Some(allow_origin) = allow_origin {
            allow_origin.apply(response.headers_mut());
        }
        if let Some(cookie) = cookie {
            response.headers_mut().append(SET_COOKIE, cookie);
        }
        response
    }

    async fn dispatch<B>(&self, route: &Route, session: &str, parts: Parts, body: B) -> Response
    where
        B: http_body::Body<Data = Bytes>,
    {
        match route.action {
            Action::Send(sending) => {
                let Some(session) = self.endpoint.registry.get(session) else {
                    discard_body(body).await;
                    return reply::not_found();
                };
                match read_body(&parts, body, self.options_ref().max_body_bytes).await {
                    Ok(body) => {
                        transport::send::respond(sending, self.options_ref(), session, &parts.headers, body)
                            .await
                    }
                    Err(BodyError::TooLarge) => reply::too_large("Body too large.\n"),
                    Err(BodyError::Broken) => reply::text(StatusCode::BAD_REQUEST, "Broken body.\n"),
                }
            }
            Action::Receive(read_query) => {
                // Unread bytes would hide from hyper that the client has gone.
                discard_body(body).await;
                match read_query(parts.uri.query()) {
                    Ok(receiver) => self.receive(receiver, session, parts).await,
                    Err(invalid) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, invalid.text()),
                }
            }
            #[cfg(feature = "websocket")]
            Action::WebSocket => {
                discard_body(body).await;
                self.websocket(Transport::WebSocket, parts).await
            }
        }
    }

    /// Attaches a receiver to its session, which it opens if there is none.
    async fn receive(&self, receiver: Receiver, session: &str, parts: Parts) -> Response {
        let options = self.options_ref();
        loop {
            match self.endpoint.registry.lookup(session, options.max_sessions) {
                Lookup::Session(shared) => match Attachment::attach(shared).await {
                    Ok(attachment) => {
                        return transport::receive::respond(receiver, attachment, options.response_limit)
                            .await;
                    }
                    Err(AttachError::Busy) => return transport::receive::refuse(receiver),
                    // It went between the two looks: its id is free again.
                    Err(AttachError::Gone) => {}
                },
                Lookup::Opening => return transport::receive::refuse(receiver),
                Lookup::Full => return reply::overloaded("Too many sessions.\n"),
                Lookup::Vacant(reservation) => {
                    let connection = connection(receiver.transport, &parts);
                    let opened = match self.open(parts).await {
                        Ok(opened) => opened,
                        Err(rejection) => return rejection,
                    };
                    let (mut driver, attachment) = self.start(reservation, connection, opened);
                    tokio::spawn(async move { poll_fn(|cx| driver.poll(true, cx)).await });
                    return transport::receive::respond(receiver, attachment, options.response_limit).await;
                }
            }
        }
    }

    #[cfg(feature = "websocket")]
    async fn websocket(&self, transport: Transport, mut parts: Parts) -> Response {
        let options = self.options_ref();
        let upgrade = match transport::websocket::Upgrade::from_request(&mut parts, options) {
            Ok(upgrade) => upgrade,
            Err(response) => return response,
        };
        let Some(reservation) = self.endpoint.registry.reserve_socket(options.max_sessions) else {
            return reply::overloaded("Too many sessions.\n");
        };
        let mut connection = connection(transport, &parts);
        connection.binary &= upgrade.has_binary();
        let opened = match self.open(parts).await {
            Ok(opened) => opened,
            Err(rejection) => return rejection,
        };
        let (driver, attachment) = self.start(reservation, connection, opened);
        upgrade.accept(transport, options, attachment, driver)
    }

    /// Lets the handler's extractors judge the opening request.
    async fn open(&self, mut parts: Parts) -> Result<Opened, Response> {
        hide_session_id(&mut parts);
        let opening = self.handler.open(parts, ());
        match tokio::time::timeout(self.options_ref().open_timeout, opening).await {
            Ok(result) => result,
            Err(_) => Err(reply::overloaded("The session took too long to open.\n")),
        }
    }

    fn start(
        &self,
        reservation: Reservation,
        connection: Connection,
        opened: Opened,
    ) -> (Driver, Attachment) {
        let settings = self.options_ref().settings(connection.transport);
        let (registered, attachment) = reservation.open(connection, settings);
        tracing::debug!(connection = %connection.id, transport = %connection.transport, "session opened");
        (Driver::new(registered, opened), attachment)
    }
}

fn connection(transport: Transport, parts: &Parts) -> Connection {
    Connection {
        id: Uuid::new_v4(),
        transport,
        peer: parts.extensions.get::<ConnectInfo<_>>().map(|&ConnectInfo(peer)| peer),
        binary: transport == Transport::RawWebSocket,
    }
}

/// The answer to a CORS preflight request; good for a year (suite: `verify_options`).
fn preflight(parts: &Parts, methods: &'static str) -> Response {
    let mut response = reply::empty(StatusCode::NO_CONTENT);
    cors::preflight(&parts.headers, methods, response.headers_mut());
    cache::for_a_year(response.headers_mut());
    response
}
