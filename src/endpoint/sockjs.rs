//! The endpoint that an application mounts.

use std::{
    any::TypeId,
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::response::Response;
use bytes::Bytes;
use http::Request;
use tower::{BoxError, Service};

use super::{
    function::Function,
    handle::SockJsHandle,
    handler::{Erased, Handler, WithState},
    identity::{self, Identify},
};
use crate::{
    options::builder::Options,
    service::{
        dispatch::{self, IdentityLimit},
        endpoint::Endpoint,
        erased::ErasedIdentify,
        head::{Head, Mount},
    },
};

/// A SockJS endpoint: a [`Service`] that answers every path below its mount point.
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
///     .nest_service("/a/b", SockJs::new(echo)); // another endpoint with its own sessions
/// ```
///
/// An endpoint is a service: mount it with [`nest_service`](axum::Router::nest_service), or merge the router that
/// [`into_router`](Self::into_router) returns. It is no router for `nest` and no handler for `get`: these do not
/// compile. `route_service` with a single path does, but most URLs of the endpoint are below that path.
///
/// axum cannot nest at the root of an app: mount it there with [`fallback_service`](axum::Router::fallback_service).
/// `S` is the state that the handler's extractors still need, as in [`axum::Router`]; only an endpoint that needs
/// none is a service. [`with_state`](Self::with_state) provides the state, or [`into_router`](Self::into_router) takes
/// that of a router.
///
/// Clones share the same endpoint and sessions.
pub struct SockJs<S = ()> {
    service: dispatch::Service<S>,
}

impl<S> SockJs<S> {
    /// Creates an endpoint whose sessions run `handler`: see [`Handler`].
    pub fn new<H, T>(handler: H) -> Self
    where
        H: Function<T> + Handler<T, S>,
        T: 'static,
        S: 'static,
    {
        let handler = Arc::new(Erased::new(handler));
        let endpoint = Arc::new(Endpoint::new(Options::default(), Arc::default()));
        Self { service: dispatch::Service { handler, identity: None, endpoint } }
    }

    /// Sets the endpoint's options, before it is cloned and mounted.
    ///
    /// # Panics
    /// If the options cannot work: see [`Options::validate`]. And if the endpoint has clones: they would keep other
    /// options for the same sessions.
    #[must_use]
    #[track_caller]
    pub fn options(mut self, options: Options) -> Self {
        if let Err(invalid) = options.validate() {
            panic!("{invalid}");
        }
        let endpoint = self.unshared();
        let sessions = Arc::clone(&endpoint.sessions);
        *endpoint = Endpoint::new(options, sessions);
        self
    }

    /// Counts the endpoint's sessions together with those of another one, wherever their number has a limit:
    /// [`Options::max_sessions`], [`Options::max_sessions_per_peer`] and
    /// [`max_sessions_per_identity`](Self::max_sessions_per_identity). An endpoint that replaces another one, whose
    /// sessions go on, then opens as many as are left of its own limit.
    ///
    /// ```
    /// use axum_sockjs::{Options, Session, SockJs};
    ///
    /// # async fn echo(_: Session) {}
    /// let old: SockJs = SockJs::new(echo).options(Options::new().max_sessions(1000));
    /// let new: SockJs = SockJs::new(echo).options(Options::new().max_sessions(2000)).share_limits(&old.handle());
    /// ```
    ///
    /// The limit that counts is that of the endpoint at which a session opens. All else is of each endpoint alone: its
    /// sessions, its numbers, its shutdown.
    ///
    /// # Panics
    /// If the endpoint has clones or a [handle](Self::handle), whose sessions would be counted elsewhere.
    #[must_use]
    #[track_caller]
    pub fn share_limits(mut self, other: &SockJsHandle) -> Self {
        let sessions = Arc::get_mut(&mut self.unshared().sessions);
        let registry = sessions.and_then(|sessions| Arc::get_mut(&mut sessions.registry));
        registry
            .expect("an endpoint must share limits before it has a handle")
            .share_limits(other.registry());
        self
    }

    /// A clone, or a raw WebSocket, would keep other options or no identity for the same sessions.
    #[track_caller]
    fn unshared(&mut self) -> &mut Endpoint {
        let endpoint = Arc::get_mut(&mut self.service.endpoint);
        endpoint.expect("an endpoint must have its options and its identity before it is cloned")
    }

    /// Binds each session to the identity that its opening request proves, for instance a user.
    ///
    /// `identify` is an `async fn` of extractors that returns a comparable value: see [`Identify`]. The function runs
    /// for every request of a session, on every transport: after the checks of origin, method, callback and
    /// handshake, and before the session lookup, the reading of messages and the handler's extractors. If one of its
    /// extractors rejects, that rejection is the response, and reveals nothing about any session. A later request
    /// must prove the identity of the session's opening request. Any other request gets 404, and the session does not
    /// notice.
    ///
    /// So a foreign user cannot read from, send to or end the session, even with its id. Sending requests get the
    /// response for a session that does not exist. Receiving requests do not, since a free id would open a session: a
    /// client that guesses ids can find out that one is taken, but not by whom. sockjs-client makes ids of 2^40 at
    /// random.
    ///
    /// Its time limit is [`Options::open_timeout`], and it sees no session id. The session limits are checked after
    /// it, so only a request limit, of a proxy or a layer, bounds its work.
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
    ///
    /// A second call replaces the function of the first, and its
    /// [`max_sessions_per_identity`](Self::max_sessions_per_identity).
    ///
    /// # Panics
    /// If the endpoint has clones: they would let everybody into the same sessions.
    #[must_use]
    #[track_caller]
    pub fn identity<I, T>(mut self, identify: I) -> Self
    where
        I: Function<T> + Identify<T, S>,
        T: 'static,
        S: 'static,
    {
        let identify = identity::Erased::new(identify);
        self.unshared().sessions.set_identity_type(ErasedIdentify::<S>::identity_type(&identify));
        self.service.identity =
            Some(Arc::new(dispatch::Identity { function: Arc::new(identify), limit: None }));
        self
    }

    /// Limits the sessions of one [identity](Self::identity), counted as for
    /// [`Options::max_sessions`]. `limit` returns the number for an identity, or `None` for no limit. Beyond it, an
    /// opening request gets 429 with `Retry-After: 5`, before the handler's extractors run.
    ///
    /// All sessions with the same identity count together. If login is optional and visitors without one have the
    /// same identity, give it no limit:
    ///
    /// ```
    /// use axum::http::HeaderMap;
    /// use axum_sockjs::{Session, SockJs};
    ///
    /// async fn who(headers: HeaderMap) -> Option<String> {
    ///     Some(headers.get("x-user")?.to_str().ok()?.to_owned())
    /// }
    ///
    /// async fn serve(session: Session) {
    ///     session.closed().await;
    /// }
    ///
    /// let endpoint: SockJs = SockJs::new(serve)
    ///     .identity(who)
    ///     .max_sessions_per_identity(|user: &Option<String>| user.is_some().then_some(10));
    /// ```
    ///
    /// The function runs for every session that opens, so it must be fast.
    ///
    /// Each node of a [cluster](crate::guide::cluster#what-is-of-this-node) counts its own sessions, so an identity may
    /// have as many on each node.
    ///
    /// # Panics
    /// If the endpoint has no [`identity`](Self::identity) yet, or one that returns another type, or if it has clones.
    #[must_use]
    #[track_caller]
    pub fn max_sessions_per_identity<I, F>(mut self, limit: F) -> Self
    where
        I: 'static,
        F: Fn(&I) -> Option<usize> + Send + Sync + 'static,
    {
        let returns = self.unshared().sessions.identity_type();
        let identity = self.service.identity.filter(|_| returns == Some(TypeId::of::<I>())).expect(
            "`max_sessions_per_identity` must come after `identity`, and take a reference to what that returns",
        );
        let function = Arc::clone(&identity.function);
        let limit: Arc<IdentityLimit> = Arc::new(move |owner| limit(owner.identity()?));
        self.service.identity = Some(Arc::new(dispatch::Identity { function, limit: Some(limit) }));
        self
    }

    /// Provides the state that the extractors of the handler and of [`identity`](Self::identity) need.
    #[must_use]
    pub fn with_state(self, state: S) -> SockJs
    where
        S: Clone + Send + Sync + 'static,
    {
        let dispatch::Service { handler, identity, endpoint } = self.service;
        let identity = identity.map(|identity| {
            let (identify, state) = (Arc::clone(&identity.function), state.clone());
            let function = Arc::new(identity::WithState { identify, state });
            Arc::new(dispatch::Identity { function, limit: identity.limit.clone() })
        });
        let handler = Arc::new(WithState { handler, state });
        SockJs { service: dispatch::Service { handler, identity, endpoint } }
    }

    /// Returns a handle to the endpoint's sessions.
    #[must_use]
    pub fn handle(&self) -> SockJsHandle {
        SockJsHandle::new(Arc::clone(&self.service.endpoint.sessions))
    }
}

impl<S> Clone for SockJs<S> {
    fn clone(&self) -> Self {
        Self { service: self.service.clone() }
    }
}

impl<S> fmt::Debug for SockJs<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJs")
            .field("options", &self.service.endpoint.options)
            .field("sessions", &self.service.endpoint.sessions.registry.live())
            .finish_non_exhaustive()
    }
}

impl<S, B> Service<Request<B>> for SockJs<S>
where
    Nothing: Provides<S>,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        Nothing::complete(self.clone()).call_at(Mount::Nested, request)
    }
}

impl SockJs {
    /// Answers a request.
    pub(crate) fn call_at<B>(self, mount: Mount, request: Request<B>) -> ResponseFuture
    where
        B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    {
        let Self { service } = self;
        let (parts, body) = request.into_parts();
        let head = Box::new(Head::new(parts, mount));
        ResponseFuture(Box::pin(async move { service.respond(head, body).await }))
    }
}

/// All that is provided where an endpoint is used as a service: no state.
#[derive(Debug)]
pub struct Nothing;

/// Says that an endpoint needs no state that it has not been given.
///
/// Its only implementation lets the compiler infer `S = ()` for an endpoint whose handler takes any state.
#[diagnostic::on_unimplemented(
    message = "this SockJS endpoint lacks the state `{S}` that its extractors need",
    label = "an endpoint without its state",
    note = "call `.with_state(state)` on the `SockJs`, or mount it by `.into_router(path)` in a `Router<{S}>`, whose \
            state it then gets"
)]
pub trait Provides<S> {
    #[doc(hidden)]
    fn complete(sockjs: SockJs<S>) -> SockJs;
}

impl Provides<()> for Nothing {
    fn complete(sockjs: SockJs) -> SockJs {
        sockjs
    }
}

/// The response future of a [`SockJs`] endpoint.
///
/// # Cancel safety
/// Dropping it while it waits for a session's next frame counts as a client disconnect: the session ends.
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
