//! The apps that the README shows or links: the examples `broadcast` and `layers`.

use std::time::Duration;

use axum::{
    Router,
    http::{HeaderValue, Request, StatusCode, header},
};
use axum_sockjs::Transport;
use tower_http::set_header::SetRequestHeaderLayer;
use tracing::Level;

use crate::support::{
    in_process::{Client, HEARTBEAT, TICK, call, get, header, pass, text},
    log::Log,
    settle,
};

#[path = "../../../examples/layers/app.rs"]
mod example;

#[path = "../../../examples/broadcast/app.rs"]
mod broadcast;

const PAGE: &str = "https://www.example.com";

/// The transports that are on where origins are listed.
const ON: [Transport; 3] = [Transport::XhrStreaming, Transport::EventSource, Transport::XhrPolling];

/// The router, asked by a page of this origin in a browser that takes gzip.
fn asked_from(origin: &'static str) -> Router {
    let set = |name, value| SetRequestHeaderLayer::overriding(name, HeaderValue::from_static(value));
    example::app().layer(set(header::ORIGIN, origin)).layer(set(header::ACCEPT_ENCODING, "gzip"))
}

#[tokio::test(start_paused = true)]
async fn a_page_is_compressed_and_a_session_is_not() {
    let app = asked_from(PAGE);
    assert_eq!(header(&get(&app, "/").await, "content-encoding"), "gzip");
    for transport in ON {
        let client = Client::new(&app, "/echo", &format!("a-{transport}"));
        let mut down = client.receive(transport).await;
        assert_eq!(down.frame().await.expect("a frame"), "o", "{transport}");
        // Each frame comes alone, when it is sent, as text.
        for n in 0..3 {
            let message = format!("[\"{n}{}\"]", "long".repeat(100));
            assert_eq!(client.send(&message).await, StatusCode::NO_CONTENT);
            if transport == Transport::XhrPolling {
                down = client.receive(transport).await;
            }
            assert_eq!(down.frame().await, Some(format!("a{message}")), "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_timeout_ends_a_poll_or_a_stream() {
    let app = asked_from(PAGE);
    for transport in ON {
        let client = Client::new(&app, "/echo", &format!("b-{transport}"));
        let mut down = client.receive(transport).await;
        assert_eq!(down.frame().await.expect("a frame"), "o", "{transport}");
        for beat in 0..6 {
            if transport == Transport::XhrPolling {
                down = client.receive(transport).await;
            }
            assert_eq!(down.frame().await.as_deref(), Some("h"), "{transport}, {beat}");
        }
        pass(HEARTBEAT - TICK).await;
    }
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

/// The layers let a WebSocket through.
#[cfg(feature = "websocket")]
#[tokio::test]
async fn a_websocket_echoes() {
    use crate::support::{server::Server, ws};

    let server = Server::start(example::app()).await;
    let mut socket = ws::open(server.addr, "/echo/000/d/websocket").await;
    assert_eq!(ws::text(&mut socket).await, "o");
    ws::send(&mut socket, "[\"hello\"]").await;
    assert_eq!(ws::text(&mut socket).await, "a[\"hello\"]");
}

#[tokio::test(start_paused = true)]
async fn all_in_the_chat_hear_what_one_says() {
    let app = broadcast::app();
    let [ada, bob] = ["ada", "bob"].map(|id| Client::new(&app, "/chat", id));
    for client in [&ada, &bob] {
        assert_eq!(client.poll().await, "o");
    }
    settle().await;
    assert_eq!(ada.send(r#"["hello"]"#).await, StatusCode::NO_CONTENT);
    for client in [&ada, &bob] {
        assert_eq!(client.poll().await, r#"a["xhr-polling: hello"]"#);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_misses_lines_of_the_chat_is_told_so() {
    let app = broadcast::app();
    let [ada, bob] = ["ada", "bob"].map(|id| Client::new(&app, "/chat", id));
    for client in [&ada, &bob] {
        assert_eq!(client.poll().await, "o");
    }
    settle().await;
    // Bob does not poll meanwhile: first the queue to him fills, then the channel.
    let line = serde_json::to_string(&["x".repeat(30_000)]).expect("text is JSON");
    for _ in 0..300 {
        assert_eq!(ada.send(&line).await, StatusCode::NO_CONTENT);
        ada.poll().await;
    }
    let mut last = String::new();
    while !last.starts_with('c') {
        last = bob.poll().await;
    }
    assert_eq!(last, r#"c[4000,"too slow"]"#);
}
