//! The interface of the operator, as an HTTP server.

use std::{future::Future, sync::Arc, time::Duration};

use axum::{
    Router,
    body::HttpBody,
    extract::{Query, Request, State},
    http::{
        HeaderValue, StatusCode,
        header::{CACHE_CONTROL, CONTENT_TYPE},
    },
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use axum_sockjs_serve::Server;
use tokio::{net::TcpListener, sync::Mutex, task::spawn_blocking};

use super::{
    backends::Backends,
    metrics::scrape,
    ready::{Question, Readiness},
    shown::Shown,
};

const PROMETHEUS: HeaderValue = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
const JSON: HeaderValue = HeaderValue::from_static("application/json");
const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");

/// How long the head of a request may take, and a connection be idle.
const HEADER_READ_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a stop waits for answers under way.
const LAST_BYTES: Duration = Duration::from_secs(1);

type Source = Arc<dyn Fn() -> Shown + Send + Sync>;

#[derive(Clone)]
struct Shows {
    source: Source,
    /// One at a time: a scrape asks every session for its numbers.
    scraping: Arc<Mutex<()>>,
}

/// Serves the operator until `stop` completes. `source` tells what is shown, and is called with each request but that of
/// `/healthz`.
///
/// # Cancel safety
/// Dropping it cuts its connections off.
pub(crate) async fn serve(
    listener: TcpListener,
    source: impl Fn() -> Shown + Send + Sync + 'static,
    stop: impl Future<Output = ()>,
) {
    let server = Server::new().header_read_timeout(HEADER_READ_TIMEOUT).last_bytes(LAST_BYTES);
    // It tells of endpoints, and has none.
    let _ = server.serve(listener, router(source), stop).await;
}

fn router(source: impl Fn() -> Shown + Send + Sync + 'static) -> Router {
    // A page for each path answers `GET` and `HEAD`, and 405 to all else.
    Router::new()
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(numbers))
        .route("/backends", get(backends))
        .layer(middleware::from_fn(guard))
        .with_state(Shows { source: Arc::new(source), scraping: Arc::default() })
}

/// No request has a body, and no answer is kept.
async fn guard(request: Request, next: Next) -> Response {
    let mut response = if request.body().is_end_stream() {
        next.run(request).await
    } else {
        (StatusCode::PAYLOAD_TOO_LARGE, "A body is not read here\n").into_response()
    };
    response.headers_mut().insert(CACHE_CONTROL, NO_STORE);
    response
}

async fn ready(State(shows): State<Shows>, Query(question): Query<Question>) -> Response {
    let Some(readiness) = Readiness::of(&(shows.source)(), question.route.as_deref()) else {
        return (StatusCode::NOT_FOUND, "No such route\n").into_response();
    };
    let status = if readiness.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, json(&readiness)).into_response()
}

async fn backends(State(shows): State<Shows>) -> Response {
    json(&Backends::from(&(shows.source)()))
}

async fn numbers(State(shows): State<Shows>) -> Response {
    let one = shows.scraping.lock_owned().await;
    // It may take some milliseconds, which sessions are not to wait for. It goes on when the client has gone.
    let scrapes = spawn_blocking(move || {
        let scrape = scrape(&(shows.source)());
        drop(one);
        scrape
    });
    match scrapes.await {
        Ok(scrape) => ([(CONTENT_TYPE, PROMETHEUS)], scrape).into_response(),
        Err(error) => failed(&error),
    }
}

fn json(value: &impl serde::Serialize) -> Response {
    match serde_json::to_string_pretty(value) {
        Ok(text) => ([(CONTENT_TYPE, JSON)], text + "\n").into_response(),
        Err(error) => failed(&error),
    }
}

fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "the admin interface has failed");
    (StatusCode::INTERNAL_SERVER_ERROR, "The log says why\n").into_response()
}

#[cfg(test)]
mod tests;
