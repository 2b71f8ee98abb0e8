//! An endpoint as routes of an axum router, which gives it its state.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::{Router, extract::Request, handler::Handler, response::Response, routing::any};

use super::sockjs::{ResponseFuture, SockJs};
use crate::service::head::Mount;

impl<S: Clone + Send + Sync + 'static> SockJs<S> {
    /// Returns a router with the endpoint at `path` (`""` or `"/"` for all paths). The endpoint gets the router's state.
    ///
    /// ```
    /// use axum::{Router, extract::State, routing::get};
    /// use axum_sockjs::{Session, SockJs};
    ///
    /// #[derive(Clone)]
    /// struct App { greeting: &'static str }
    ///
    /// async fn page(State(app): State<App>) -> &'static str {
    ///     app.greeting
    /// }
    ///
    /// async fn greet(State(app): State<App>, session: Session) {
    ///     session.send(app.greeting).await.ok();
    /// }
    ///
    /// let app: Router = Router::new()
    ///     .route("/", get(page))
    ///     .merge(SockJs::new(greet).into_router("/greet"))
    ///     .with_state(App { greeting: "welcome" });
    /// ```
    ///
    /// `path` may have parameters, as in [`Router::nest`]. Like any router, the result can also be nested. The endpoint
    /// answers the same URLs as with [`nest_service`](Router::nest_service); at the root it is the router's fallback.
    /// Each request costs two small allocations more than behind [`with_state`](Self::with_state).
    ///
    /// # Panics
    /// Panics if `path` does not begin with `/` or contains a wildcard.
    #[track_caller]
    pub fn into_router(self, path: &str) -> Router<S> {
        let path = path.trim_end_matches('/');
        let endpoint = Mounted { sockjs: self, mount: Mount::Nested };
        if path.is_empty() {
            return Router::new().fallback(endpoint);
        }
        // `nest` alone has no route for the path with a slash behind it.
        let with_slash = Router::new().route("/", any(endpoint.clone()));
        let below = Router::new().route("/", any(endpoint.clone())).route(BELOW, any(endpoint));
        Router::new().nest(path, below).nest(&format!("{path}/"), with_slash)
    }
}

/// All paths below, as in axum's own route of a nested service. Extractors do not see a parameter of this name, whose
/// value has the session's id; `policy::secrets` of the tests shows that. (A fallback would need no name, but axum
/// forgets it in a router that is nested twice.)
const BELOW: &str = "/{*__private__axum_nest_tail_param}";

/// An endpoint as a handler of axum.
pub(super) struct Mounted<S> {
    pub(super) sockjs: SockJs<S>,
    pub(super) mount: Mount,
}

impl<S> Clone for Mounted<S> {
    fn clone(&self) -> Self {
        Self { sockjs: self.sockjs.clone(), mount: self.mount }
    }
}

impl<S: Clone + Send + Sync + 'static> Handler<(), S> for Mounted<S> {
    type Future = MountedFuture;

    fn call(self, request: Request, state: S) -> MountedFuture {
        MountedFuture(self.sockjs.with_state(state).call_at(self.mount, request))
    }
}

pub(super) struct MountedFuture(ResponseFuture);

impl Future for MountedFuture {
    type Output = Response;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Response> {
        let Ok(response) = ready!(Pin::new(&mut self.0).poll(cx));
        Poll::Ready(response)
    }
}
