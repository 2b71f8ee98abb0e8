//! An endpoint in front of any other service.

use std::{
    convert::Infallible,
    fmt,
    future::Future,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{body::Body, extract::OriginalUri, response::Response};
use bytes::Bytes;
use http::{Request, Uri};
use tower::{BoxError, Layer, Service};

use crate::{SockJs, request::with_path};

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

/// The service that [`SockJsLayer`] makes: requests below the prefix go to the endpoint, all others on.
#[derive(Clone)]
pub struct SockJsMiddleware<S> {
    layer: SockJsLayer,
    inner: S,
}

impl<S> SockJsMiddleware<S> {
    /// The part of the path behind the prefix.
    fn strip<'a>(&self, uri: &'a Uri) -> Option<&'a str> {
        let rest = uri.path().strip_prefix(&*self.layer.prefix)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
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
    B: http_body::Body<Data = Bytes> + Send + 'static,
    R: http_body::Body<Data = Bytes> + Send + 'static,
    R::Error: Into<BoxError>,
{
    type Response = Response;
    type Error = S::Error;
    type Future = Pin<Box<dyn Future<Output = Result<Response, S::Error>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        let Some(rest) = self.strip(request.uri()) else {
            let response = self.inner.call(request);
            return Box::pin(async move { Ok(response.await?.map(Body::new)) });
        };
        let uri = with_path(request.uri(), if rest.is_empty() { "/" } else { rest });
        let original = std::mem::replace(request.uri_mut(), uri);
        if request.extensions().get::<OriginalUri>().is_none() {
            request.extensions_mut().insert(OriginalUri(original));
        }
        let response = self.layer.sockjs.call(request);
        Box::pin(async move {
            match response.await {
                Ok(response) => Ok(response),
                Err(never) => {
                    let never: Infallible = never;
                    match never {}
                }
            }
        })
    }
}
