//! The places where an endpoint can be mounted.

use axum::{Router, routing::get as on_get};
use axum_sockjs::SockJs;
use tower::Layer as _;

/// An endpoint in an app.
pub(crate) struct Mount {
    /// Where it then is.
    pub(crate) prefix: &'static str,
    /// The paths that greet: axum leaves one of the two out here and there.
    pub(crate) greetings: &'static [&'static str],
    pub(crate) app: Router,
}

pub(crate) fn mounts(endpoint: impl Fn() -> SockJs) -> Vec<Mount> {
    let mount = |prefix, greetings, app| Mount { prefix, greetings, app };
    let nest = |path| Router::new().nest_service(path, endpoint());
    let outer = |path, inner| Router::new().nest(path, inner);
    let routed = |path| Router::new().route("/page", on_get("page")).merge(endpoint().into_router(path));
    let fallback = || Router::new().fallback_service(endpoint());
    let layered = |prefix| {
        let plain = Router::new().route("/", on_get("home")).route("/page", on_get("page"));
        plain.layer(endpoint().layer(prefix))
    };
    let around = |prefix| {
        let plain = Router::new().route("/page", on_get("page"));
        Router::new().fallback_service(endpoint().layer(prefix).layer(plain))
    };
    vec![
        mount("/app", &["/app", "/app/"], nest("/app")),
        mount("/a/b", &["/a/b", "/a/b/"], nest("/a/b")),
        mount("/a/b", &["/a/b/"], nest("/a/b/")),
        mount("/room/5%2F6", &["/room/5%2F6", "/room/5%2F6/"], nest("/room/{id}")),
        mount("/outer/app", &["/outer/app", "/outer/app/"], outer("/outer", nest("/app"))),
        mount("/room/5/app", &["/room/5/app", "/room/5/app/"], outer("/room/{id}", nest("/app"))),
        mount("", &["/"], fallback()),
        mount("/app", &["/app", "/app/"], routed("/app")),
        mount("/a/b", &["/a/b", "/a/b/"], routed("/a/b/")),
        mount("/room/5%2F6", &["/room/5%2F6", "/room/5%2F6/"], routed("/room/{id}")),
        mount("/outer/app", &["/outer/app", "/outer/app/"], outer("/outer", routed("/app"))),
        mount("/room/5/app", &["/room/5/app", "/room/5/app/"], outer("/room/{id}", routed("/app"))),
        mount("", &["/"], routed("")),
        mount("", &["/"], routed("/")),
        mount("/outer", &["/outer"], outer("/outer", routed("/"))),
        mount("/outer", &["/outer"], outer("/outer", fallback())),
        mount("/layer", &["/layer", "/layer/"], layered("/layer")),
        mount("/layer", &["/layer", "/layer/"], layered("/layer/")),
        mount("", &["/"], layered("")),
        mount("", &["/"], layered("/")),
        mount("/front", &["/front", "/front/"], around("/front")),
        mount("/a/front", &["/a/front", "/a/front/"], Router::new().nest("/a", around("/front"))),
    ]
}
