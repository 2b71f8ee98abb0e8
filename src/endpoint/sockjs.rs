//! The endpoint that an application mounts.

use std::{
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
use tower::Service;

use super::{
    handle::SockJsHandle,
    handler::{Erased, Handler, WithState},
    identity::{self, Identify},
};
use crate::{
    options::builder::Options,
    service::{dispatch, endpoint::Endpoint, erased::ErasedIdentify, head::Head},
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
/// axum cannot nest at the root of an app: mount it there with [`fallback_service`](axum::Router::fallback_service).
/// `S` is the state that the handler's extractors still need, as in [`axum::Router`]; only an endpoint that needs
/// none is a service.
///
/// Clones share the same endpoint and sessions.
pub struct SockJs<S = ()> {
    service: dispatch::Service<S>,
}

impl<S> SockJs<S> {
    /// Creates an endpoint whose sessions run `handler`: see [`Handler`].
    pub fn new<H, T>(handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
        S: 'static,
    {
        let handler = Arc::new(Erased::new(handler));
        let endpoint = Endpoint::new(Options::default(), Arc::default());
        Self { service: dispatch::Service { handler, identity: None, endpoint } }
    }

    /// Sets the endpoint's options. Call it before mounting the endpoint.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        let sessions = Arc::clone(&self.service.endpoint.sessions);
        self.service.endpoint = Endpoint::new(options, sessions);
        self
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
    #[must_use]
    pub fn identity<I, T>(mut self, identify: I) -> Self
    where
        I: Identify<T, S>,
        T: 'static,
        S: 'static,
    {
        self.service.identity = Some(Arc::new(identity::Erased::new(identify)));
        self
    }

    /// Provides the state that the extractors of the handler and of [`identity`](Self::identity) need.
    #[must_use]
    pub fn with_state(self, state: S) -> SockJs
    where
        S: Clone + Send + Sync + 'static,
    {
        let dispatch::Service { handler, identity, endpoint } = self.service;
        let identity = identity.map(|identify| {
            let with_state = identity::WithState { identify, state: state.clone() };
            Arc::new(with_state) as Arc<dyn ErasedIdentify<()>>
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
    /// Answers a request. `prefix` is the length of the endpoint's own prefix in the path, as a layer has found it;
    /// `None` if the prefix is already removed.
    pub(crate) fn call_behind<B>(&self, prefix: Option<usize>, request: Request<B>) -> ResponseFuture
    where
        B: http_body::Body<Data = Bytes> + Send + 'static,
    {
        let service = self.service.clone();
        let (parts, body) = request.into_parts();
        let head = Box::new(Head::new(parts, prefix));
        ResponseFuture(Box::pin(async move { service.respond(head, body).await }))
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
