//! All routes as one service.

use std::{
    convert::Infallible,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    extract::{ConnectInfo, Request},
    response::Response,
};
use http::HeaderName;
use tower::Service;

use super::{not_found::not_found, shared::Shared};

/// What another gateway of the cluster has forwarded, which has removed there what its client said in the words of a proxy.
/// The endpoint of a cluster answers 404 where no gateway has written this header.
const SOCKJS_FORWARDED: HeaderName = HeaderName::from_static("sockjs-forwarded");

#[derive(Debug, Clone)]
pub(super) struct App(pub(super) Arc<Shared>);

impl Service<Request> for App {
    type Response = Response;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, mut request: Request) -> Self::Future {
        if self.0.environment.cluster.is_none() {
            request.headers_mut().remove(&SOCKJS_FORWARDED);
        }
        if !request.headers().contains_key(&SOCKJS_FORWARDED) {
            let peer = request.extensions().get().map(|&ConnectInfo::<SocketAddr>(peer)| peer);
            self.0.environment.proxies.load().strip(request.headers_mut(), peer);
        }
        let table = self.0.table.load();
        let answer = table.route(request.uri().path()).map(|route| route.call(request));
        Box::pin(async move {
            Ok(match answer {
                Some(answer) => answer.await,
                None => not_found(),
            })
        })
    }
}
