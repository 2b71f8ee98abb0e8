//! The raw WebSocket of an endpoint at a route of its own.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use axum::{BoxError, Router, response::Response, routing::any};
use bytes::Bytes;
use http::Request;
use tower::Service;

use super::{
    router::Mounted,
    sockjs::{Nothing, Provides, ResponseFuture, SockJs},
};
use crate::service::head::Mount;

impl<S> SockJs<S> {
    /// Returns a service that is the endpoint's raw WebSocket alone, to be mounted at any route: it has the same
    /// handler, options, sessions and [handle](Self::handle). [`Options::disable`](crate::Options::disable) does not affect it.
    ///
    /// ```
    /// use axum::Router;
    /// use axum_sockjs::{Options, Session, SockJs};
    ///
    /// async fn echo(mut session: Session) {
    ///     while let Some(message) = session.recv().await {
    ///         session.send(message).await.ok();
    ///     }
    /// }
    ///
    /// let sockjs = SockJs::new(echo).options(Options::new().subprotocols(["v12.stomp"]));
    /// let app: Router = Router::new()
    ///     .route_service("/rooms/{room}/ws", sockjs.raw_websocket())
    ///     .nest_service("/rooms/{room}/sockjs", sockjs);
    /// ```
    ///
    /// An endpoint that takes its state from the router has [`RawWebSocket::into_router`].
    #[must_use]
    pub fn raw_websocket(&self) -> RawWebSocket<S> {
        RawWebSocket(self.clone())
    }
}

/// The raw WebSocket of a [`SockJs`] endpoint as a [`Service`]: see [`SockJs::raw_websocket`].
///
/// It answers every path with a WebSocket handshake, over HTTP/1.1 or, with the feature `http2`, HTTP/2. The endpoint's
/// [origins](crate::Options::origins), limits and [identity](SockJs::identity) apply. The responses to other requests
/// are those of the endpoint's own `/websocket`: see [responses](crate::guide::answers). Extractors see the whole URL.
pub struct RawWebSocket<S = ()>(SockJs<S>);

impl<S> Clone for RawWebSocket<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S: Clone + Send + Sync + 'static> RawWebSocket<S> {
    /// Returns a router with the raw WebSocket at `path`. The endpoint gets the router's state.
    ///
    /// ```
    /// use axum::{Router, extract::State};
    /// use axum_sockjs::{Session, SockJs};
    ///
    /// async fn greet(State(greeting): State<&'static str>, session: Session) {
    ///     session.send(greeting).await.ok();
    /// }
    ///
    /// let sockjs = SockJs::new(greet);
    /// let app: Router = Router::new()
    ///     .merge(sockjs.raw_websocket().into_router("/ws"))
    ///     .merge(sockjs.into_router("/greet"))
    ///     .with_state("welcome");
    /// ```
    ///
    /// # Panics
    /// If `path` does not begin with `/`.
    #[track_caller]
    pub fn into_router(self, path: &str) -> Router<S> {
        Router::new().route(path, any(Mounted { sockjs: self.0, mount: Mount::Route }))
    }
}

impl<S> fmt::Debug for RawWebSocket<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawWebSocket").field(&self.0).finish()
    }
}

impl<S, B> Service<Request<B>> for RawWebSocket<S>
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
        Nothing::complete(self.0.clone()).call_at(Mount::Route, request)
    }
}
