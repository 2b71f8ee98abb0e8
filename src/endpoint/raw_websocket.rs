//! The raw WebSocket of an endpoint at a route of its own.

use std::{
    convert::Infallible,
    fmt,
    task::{Context, Poll},
};

use axum::{BoxError, response::Response};
use bytes::Bytes;
use http::Request;
use tower::Service;

use super::sockjs::{ResponseFuture, SockJs};
use crate::service::head::Mount;

impl SockJs {
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
    #[must_use]
    pub fn raw_websocket(&self) -> RawWebSocket {
        RawWebSocket(self.clone())
    }
}

/// The raw WebSocket of a [`SockJs`] endpoint as a [`Service`]: see [`SockJs::raw_websocket`].
///
/// It answers every path with a WebSocket handshake, over HTTP/1.1 or, with the feature `http2`, HTTP/2. The endpoint's
/// [origins](crate::Options::origins), limits and [identity](SockJs::identity) apply. The responses to other requests
/// are those of the endpoint's own `/websocket`: see [responses](crate::guide::answers). Extractors see the whole URL.
#[derive(Clone)]
pub struct RawWebSocket(SockJs);

impl fmt::Debug for RawWebSocket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("RawWebSocket").field(&self.0).finish()
    }
}

impl<B> Service<Request<B>> for RawWebSocket
where
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = Infallible;
    type Future = ResponseFuture;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> ResponseFuture {
        self.0.clone().call_at(Mount::Route, request)
    }
}
