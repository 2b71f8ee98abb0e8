//! An endpoint: what an application mounts.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Once},
    task::{Context, Poll},
};

use axum::response::Response;
use bytes::Bytes;
use http::Request;
use tower::Service;

use crate::{
    Handler, Identify, Options, SockJsHandle, SockJsLayer,
    handler::{Erased, ErasedHandler, WithState},
    identity::{self, ErasedIdentify},
    origin::Refusals,
    request::Head,
    response::{iframe::IframePage, info::InfoPage},
    session::Registry,
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
    pub(crate) handler: Arc<dyn ErasedHandler<S>>,
    pub(crate) identity: Option<Arc<dyn ErasedIdentify<S>>>,
    pub(crate) endpoint: Arc<Endpoint>,
}

/// What all clones of an endpoint share.
pub(crate) struct Endpoint {
    pub(crate) options: Options,
    pub(crate) iframe: IframePage,
    pub(crate) info: InfoPage,
    pub(crate) registry: Arc<Registry>,
    pub(crate) refusals: Refusals,
    /// Whether the log has said that a session could not be counted for its peer.
    pub(crate) nameless_peer: Once,
}

impl Endpoint {
    fn new(options: Options, registry: Arc<Registry>) -> Arc<Self> {
        let iframe = IframePage::new(options.iframe_client_url());
        let info = InfoPage::new(&options);
        let (refusals, nameless_peer) = (Refusals::default(), Once::new());
        Arc::new(Self { options, iframe, info, registry, refusals, nameless_peer })
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
        Self { handler, identity: None, endpoint: Endpoint::new(Options::default(), Arc::default()) }
    }

    /// Sets the endpoint's options. Call it before the endpoint is mounted.
    #[must_use]
    pub fn options(self, options: Options) -> Self {
        let registry = Arc::clone(&self.endpoint.registry);
        Self { endpoint: Endpoint::new(options, registry), ..self }
    }

    /// Binds each session to what its opening request proves, for instance to a user.
    ///
    /// `identify` is an `async fn` of extractors that returns anything comparable: see [`Identify`]. It judges
    /// every request of a session, on every transport: once the origin, the method, the callback and the handshake
    /// are in order, and before a session is looked for, a message read, or an extractor of the handler asked. If
    /// one of its extractors rejects, that rejection is the answer, and tells nothing of any session. A later
    /// request must prove the same as the one that has opened its session; for any other, the answer is 404,
    /// and the session does not notice.
    ///
    /// So a foreign user can neither read, nor send, nor end the session, even with its id. What sends is answered
    /// as if there were no such session. What receives is not, since a free id would open one: who guesses ids can
    /// tell that one is taken, though not whose it is. sockjs-client makes ids of 2^40 at random.
    ///
    /// It has as much time as [`Options::open_timeout`] gives, and sees no session id. The limits on sessions are
    /// looked at behind it: what bounds its work is a limit on requests, a proxy's or a layer's.
    ///
    /// ```
    /// use axum::{extract::State, http::{HeaderMap, StatusCode}};
    /// use axum_sockjs::{Session, SockJs};
    ///
    /// #[derive(Clone)]
    /// struct Users;
    ///
    /// impl Users {
    ///     async fn find(&self, headers: &HeaderMap) -> Option<u64> {
    /// #       let _ = headers;
    ///         Some(42) // as the application knows its users
    ///     }
    /// }
    ///
    /// async fn who(State(users): State<Users>, headers: HeaderMap) -> Option<u64> {
    ///     users.find(&headers).await
    /// }
    ///
    /// async fn serve(mut session: Session) {
    ///     while let Some(message) = session.recv().await {
    ///         session.send(message).await.ok();
    ///     }
    /// }
    ///
    /// let endpoint = SockJs::new(serve).identity(who).with_state(Users);
    /// ```
    #[must_use]
    pub fn identity<I, T>(self, identify: I) -> Self
    where
        I: Identify<T, S>,
        T: 'static,
        S: 'static,
    {
        Self { identity: Some(Arc::new(identity::Erased::new(identify))), ..self }
    }

    /// Provides the state that the extractors of the handler, and of [`identity`](Self::identity), need.
    #[must_use]
    pub fn with_state(self, state: S) -> SockJs
    where
        S: Clone + Send + Sync + 'static,
    {
        let identity = self.identity.map(|identify| {
            let with_state = identity::WithState { identify, state: state.clone() };
            Arc::new(with_state) as Arc<dyn ErasedIdentify<()>>
        });
        let handler = Arc::new(WithState { handler: self.handler, state });
        SockJs { handler, identity, endpoint: self.endpoint }
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
    /// [`Router::layer`](axum::Router::layer) runs it after axum has matched a route: if that has a wildcard,
    /// its parameters show the handler's extractors the rest of the path, the protocol's session id included.
    /// Around the router as a whole, or by `nest_service`, nothing shows it.
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
        let Self { handler, identity, endpoint } = self;
        Self { handler: Arc::clone(handler), identity: identity.clone(), endpoint: Arc::clone(endpoint) }
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
        self.call_behind(None, request)
    }
}

impl SockJs {
    /// Answers a request. `prefix` is how much of the path a layer has found to be the endpoint's own; `None` where
    /// that is cut off already.
    pub(crate) fn call_behind<B>(&self, prefix: Option<usize>, request: Request<B>) -> ResponseFuture
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let this = self.clone();
        let (parts, body) = request.into_parts();
        let head = Box::new(Head::new(parts, prefix));
        ResponseFuture(Box::pin(async move { this.respond(head, body).await }))
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
