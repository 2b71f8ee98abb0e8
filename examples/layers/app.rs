//! An app whose layers work around its endpoint, too. A test starts it.

use std::time::Duration;

use axum::{
    Router,
    extract::MatchedPath,
    http::{Extensions, HeaderMap, HeaderValue, Method, Request, StatusCode, Version, header},
    routing::get,
};
use axum_sockjs::{Cors, Options, Origins, Session, SockJs};
use tower_http::{
    compression::{CompressionLayer, DefaultPredicate, Predicate},
    cors::CorsLayer,
    timeout::TimeoutLayer,
    trace::TraceLayer,
};

async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        session.send(message).await.ok();
    }
}

/// Whether an answer may be compressed: what a session sends says `no-transform`, since it is short and in a hurry.
fn may_be_compressed(_: StatusCode, _: Version, headers: &HeaderMap, _: &Extensions) -> bool {
    let control = headers.get(header::CACHE_CONTROL);
    !control.is_some_and(|control| control.as_bytes().windows(12).any(|part| part == b"no-transform"))
}

pub(crate) fn app() -> Router {
    // The pages that may use the app, beside its own. The layer tells browsers, the endpoint checks.
    const PAGE: &str = "https://www.example.com";
    let options = Options::new().origins(Origins::list([PAGE]).expect("an origin")).cors(Cors::External);
    let cors = CorsLayer::new()
        .allow_origin(HeaderValue::from_static(PAGE))
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([header::CONTENT_TYPE])
        .allow_credentials(true);
    // The route, which sessions have none of: their URLs are secrets.
    let trace = TraceLayer::new_for_http().make_span_with(|request: &Request<_>| {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        tracing::info_span!("request", method = %request.method(), route)
    });
    Router::new()
        .route("/", get("a page that is long enough to be compressed"))
        .nest_service("/echo", SockJs::new(echo).options(options))
        .layer(CompressionLayer::new().compress_when(DefaultPredicate::new().and(may_be_compressed)))
        // A poll waits as long as the heartbeat, 25 s. A stream's head comes at once, and its body has no limit here.
        .layer(TimeoutLayer::with_status_code(StatusCode::GATEWAY_TIMEOUT, Duration::from_secs(60)))
        .layer(cors)
        .layer(trace)
}
