//! An endpoint in front of another service.

use std::{
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::Request;
use tower::{BoxError, Layer, Service};

use super::sockjs::{Nothing, Provides, ResponseFuture, SockJs};
use crate::service::head::Mount;

impl<S> SockJs<S> {
    /// Returns a layer that puts the endpoint in front of any service, at `prefix` (`""` or `"/"` for all paths).
    ///
    /// [`Router::layer`](axum::Router::layer) runs the layer after axum has matched a route. If that route has a
    /// wildcard, its parameters reveal the rest of the path, including the protocol's session id, to the handler's
    /// extractors. A layer around the whole router and `nest_service` reveal nothing.
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
    /// Panics if `prefix` is not empty and does not begin with `/`.
    #[must_use]
    #[track_caller]
    pub fn layer(self, prefix: &str) -> SockJsLayer
    where
        Nothing: Provides<S>,
    {
        SockJsLayer::new(prefix, Nothing::complete(self))
    }
}

/// Puts an endpoint in front of a service: see [`SockJs::layer`].
#[derive(Debug, Clone)]
pub struct SockJsLayer {
    prefix: Arc<str>,
    sockjs: SockJs,
}

impl SockJsLayer {
    #[track_caller]
    pub(crate) fn new(prefix: &str, sockjs: SockJs) -> Self {
        let prefix = prefix.trim_end_matches('/');
        assert!(
            prefix.is_empty() || prefix.starts_with('/'),
            "the prefix of a SockJS layer must begin with `/`"
        );
        Self { prefix: prefix.into(), sockjs }
    }
}

impl<S> Layer<S> for SockJsLayer {
    type Service = SockJsMiddleware<S>;

    fn layer(&self, inner: S) -> Self::Service {
        SockJsMiddleware { layer: self.clone(), inner }
    }
}

/// The service that [`SockJsLayer`] creates: the endpoint gets requests below the prefix, the inner service all
/// others.
#[derive(Clone)]
pub struct SockJsMiddleware<S> {
    layer: SockJsLayer,
    inner: S,
}

impl<S> SockJsMiddleware<S> {
    /// Whether a path belongs to the endpoint.
    fn serves(&self, path: &str) -> bool {
        let rest = path.strip_prefix(&*self.layer.prefix);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl<S: fmt::Debug> fmt::Debug for SockJsMiddleware<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJsMiddleware").field("layer", &self.layer).field("inner", &self.inner).finish()
    }
}

impl<S, B, R> Service<Request<B>> for SockJsMiddleware<S>
where
    S: Service<Request<B>, Response = http::Response<R>>,
    S::Future: Send + 'static,
    S::Error: Send + 'static,
    B: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
    R: http_body::Body<Data = Bytes, Error: Into<BoxError>> + Send + 'static,
{
    type Response = Response;
    type Error = S::Error;
    type Future = MiddlewareFuture<S::Error>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let SockJsLayer { prefix, sockjs } = &self.layer;
        MiddlewareFuture(if self.serves(request.uri().path()) {
            Answer::Endpoint(sockjs.clone().call_at(Mount::Prefix(prefix.len()), request))
        } else {
            let response = self.inner.call(request);
            Answer::Inner(Box::pin(async move { Ok(response.await?.map(Body::new)) }))
        })
    }
}

/// The response future of a [`SockJsMiddleware`].
///
/// # Cancel safety
/// Same as that of the service that responds: for the endpoint, see [`ResponseFuture`].
#[must_use = "futures do nothing unless polled"]
pub struct MiddlewareFuture<E>(Answer<E>);

enum Answer<E> {
    Endpoint(ResponseFuture),
    Inner(Pin<Box<dyn Future<Output = Result<Response, E>> + Send>>),
}

impl<E> Future for MiddlewareFuture<E> {
    type Output = Result<Response, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        match &mut self.0 {
            Answer::Endpoint(response) => Pin::new(response).poll(cx).map(|Ok(response)| Ok(response)),
            Answer::Inner(response) => response.as_mut().poll(cx),
        }
    }
}

impl<E> fmt::Debug for MiddlewareFuture<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MiddlewareFuture").finish_non_exhaustive()
    }
}
