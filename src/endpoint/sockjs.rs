//! An endpoint: what an application mounts.

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
    service: dispatch::Service<S>,
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
        let endpoint = Endpoint::new(Options::default(), Arc::default());
        Self { service: dispatch::Service { handler, identity: None, endpoint } }
    }

    /// Sets the endpoint's options. Call it before the endpoint is mounted.
    #[must_use]
    pub fn options(mut self, options: Options) -> Self {
        let sessions = Arc::clone(&self.service.endpoint.sessions);
        self.service.endpoint = Endpoint::new(options, sessions);
        self
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
    pub fn identity<I, T>(mut self, identify: I) -> Self
    where
        I: Identify<T, S>,
        T: 'static,
        S: 'static,
    {
        self.service.identity = Some(Arc::new(identity::Erased::new(identify)));
        self
    }

    /// Provides the state that the extractors of the handler, and of [`identity`](Self::identity), need.
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

    /// A handle to the endpoint's sessions.
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
    /// Answers a request. `prefix` is how much of the path a layer has found to be the endpoint's own; `None` where
    /// that is cut off already.
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
