//! The example `layers`, by its requests. It has tests of its sessions itself.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderValue, Request, StatusCode, header},
};
use tower_http::set_header::SetRequestHeaderLayer;
use tracing::Level;

use crate::{
    examples::layers::app,
    support::{
        in_process::{Client, call, get, header, pass, text},
        log::Log,
    },
};

const PAGE: &str = "https://www.example.com";

/// The router, asked by a page of this origin in a browser that takes gzip.
fn asked_from(origin: &'static str) -> Router {
    let set = |name, value| SetRequestHeaderLayer::overriding(name, HeaderValue::from_static(value));
    app::app().layer(set(header::ORIGIN, origin)).layer(set(header::ACCEPT_ENCODING, "gzip"))
}

#[tokio::test(start_paused = true)]
async fn a_page_is_compressed() {
    assert_eq!(header(&get(&asked_from(PAGE), "/").await, "content-encoding"), "gzip");
}

#[tokio::test(start_paused = true)]
async fn the_listed_page_is_let_in_and_told_so() {
    for (origin, status, told) in
        [(PAGE, StatusCode::OK, PAGE), ("https://www.example.org", StatusCode::FORBIDDEN, PAGE)]
    {
        let app = asked_from(origin);
        let info = get(&app, "/echo/info").await;
        assert_eq!(info.status(), status, "{origin}");
        let preflight = Request::options("/echo/000/c/xhr_send")
            .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
            .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "content-type");
        let preflight = call(&app, preflight.body("".into()).expect("a request")).await;
        for response in [info, preflight] {
            // The browser compares.
            assert_eq!(header(&response, "access-control-allow-origin"), told, "{origin}");
            assert_eq!(header(&response, "access-control-allow-credentials"), "true", "{origin}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn the_log_has_the_route_and_no_session() {
    let log = Log::start(Level::DEBUG);
    let app = asked_from(PAGE);
    assert_eq!(get(&app, "/").await.status(), StatusCode::OK);
    let client = Client::new(&app, "/echo", "s3cret");
    assert_eq!(client.poll().await, "o");
    let rest = text(client.call("POST", "xhr_send", "[\"said\"]").await).await;
    assert_eq!(rest, "");
    pass(Duration::from_secs(10)).await;
    let log = log.text();
    assert!(log.contains("request{method=GET route=\"/\"}"), "{log}");
    assert!(log.contains("request{method=POST}") && !log.contains("s3cret"), "{log}");
}
