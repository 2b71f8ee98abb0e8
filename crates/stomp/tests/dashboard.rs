//! The server side of the example `dashboard`.

#![allow(clippy::unwrap_used, reason = "a test fails so")]
#![allow(dead_code, unreachable_pub, reason = "its main function")]

#[path = "../examples/dashboard/main.rs"]
mod example;

use std::{path::Path, time::Duration};

use axum::{
    Router,
    body::{Body, to_bytes},
    http::{Request, StatusCode},
};
use axum_sockjs::SockJsHandle;
use serde_json::Value;
use sockjs_client::{
    Transport,
    test::{TestClient, TestSession},
};
use tokio::time::{Instant, advance};
use tower::ServiceExt as _;

use example::{monitor::Monitor, page};

/// The endpoint, which measures from now on.
fn endpoint() -> (TestClient, SockJsHandle) {
    let monitor = Monitor::new();
    let sockjs = monitor.sockjs();
    let handle = sockjs.handle();
    tokio::spawn(monitor.run(handle.clone()));
    (TestClient::new(sockjs.into_router("/test"), "/test"), handle)
}

async fn connect(client: &TestClient, transport: Transport) -> TestSession {
    let mut session = client.open(transport).await.unwrap();
    session.send("CONNECT\naccept-version:1.1,1.0\n\n\0").await;
    assert!(session.recv().await.as_str().unwrap().starts_with("CONNECTED\n"));
    session
}

async fn subscribe(session: &mut TestSession, id: u32, destination: &str) {
    let receipt = format!("receipt-id:{id}\n");
    let frame = format!("SUBSCRIBE\nid:{id}\ndestination:{destination}\nreceipt:{id}\n\n\0");
    session.send(frame).await;
    assert!(session.recv().await.as_str().unwrap().contains(&receipt));
}

/// The destination and the value of the next message.
async fn measured(session: &mut TestSession) -> (String, Value) {
    let frame = session.recv().await;
    let frame = frame.as_str().unwrap().strip_suffix('\0').unwrap().to_owned();
    let (head, body) = frame.split_once("\n\n").unwrap();
    assert!(head.starts_with("MESSAGE\n") && head.contains("\ncontent-type:application/json"), "{head}");
    let destination = head.lines().find_map(|line| line.strip_prefix("destination:")).unwrap();
    (destination.to_owned(), serde_json::from_str(body).unwrap())
}

#[tokio::test(start_paused = true)]
async fn sessions_and_messages_are_counted_once_a_second() {
    let (client, _) = endpoint();
    for transport in [Transport::WebSocket, Transport::XhrStreaming] {
        let mut session = connect(&client, transport).await;
        subscribe(&mut session, 1, "/monitoring/sessions").await;
        subscribe(&mut session, 2, "/monitoring/messages").await;
        measured(&mut session).await;
        measured(&mut session).await;
        let began = Instant::now();
        for _ in 0..3 {
            let (destination, value) = measured(&mut session).await;
            assert_eq!(destination, "/monitoring/sessions");
            assert_eq!((&value["open"], &value["subscriptions"]), (&1.into(), &2.into()), "{value}");
            assert!(value["at"].as_u64().unwrap() > 1_500_000_000_000, "{value}");
            let (destination, value) = measured(&mut session).await;
            assert_eq!(destination, "/monitoring/messages");
            assert_eq!((&value["sent"], &value["received"]), (&2.0.into(), &0.0.into()), "{value}");
        }
        assert_eq!(began.elapsed(), Duration::from_secs(3));
        session.close(1000, "").await;
        advance(Duration::from_secs(1)).await;
    }
}

#[cfg(target_os = "linux")]
#[tokio::test(start_paused = true)]
async fn a_pattern_gets_all_that_is_measured() {
    let (client, _) = endpoint();
    let mut session = connect(&client, Transport::WebSocket).await;
    subscribe(&mut session, 1, "/monitoring/*").await;
    let mut seen = Vec::new();
    // Time is paused: none may have passed for the processors, which then have no measurement.
    while seen.last().is_none_or(|(destination, _)| destination != "/monitoring/messages") {
        seen.push(measured(&mut session).await);
    }
    let (_, memory) = seen.iter().find(|(destination, _)| destination == "/monitoring/memory").unwrap();
    let [used, total, process] = ["used", "total", "process"].map(|name| memory[name].as_u64().unwrap());
    assert!(process > 1 << 20 && process < used && used < total, "{memory}");
    assert!(seen.iter().any(|(destination, _)| destination == "/monitoring/sessions"));
}

#[tokio::test(start_paused = true)]
async fn nobody_sends_measurements_but_the_server() {
    let (client, _) = endpoint();
    let mut session = connect(&client, Transport::WebSocket).await;
    session.send("SEND\ndestination:/monitoring/cpu\n\n{}\0").await;
    assert!(session.recv().await.as_str().unwrap().starts_with("ERROR\n"));
    session.closed().await;
}

#[tokio::test(start_paused = true)]
async fn a_page_of_any_origin_may_connect() {
    let (client, handle) = endpoint();
    let client = client.header("origin", "https://elsewhere.example");
    let session = connect(&client, Transport::XhrStreaming).await;
    assert_eq!(handle.len(), 1);
    drop(session);
}

async fn get(app: &Router, path: &str) -> (StatusCode, String) {
    let request = Request::get(path).body(Body::empty()).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let status = response.status();
    let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, String::from_utf8(body.to_vec()).unwrap())
}

#[tokio::test]
async fn a_page_that_is_not_built_says_how_to_build_it() {
    let folder = Path::new("no such folder");
    assert!(!page::is_built(folder));
    let app = page::routes(folder);
    for path in ["/", "/index.html", "/assets/index.js"] {
        let (status, body) = get(&app, path).await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE, "{path}");
        assert!(body.contains("npm ci &amp;&amp; npm run build"), "{body}");
    }
}

#[tokio::test]
async fn the_page_of_spring_needs_no_build() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/dashboard");
    let (status, body) = get(&page::routes(&folder), "/spring/").await;
    assert_eq!(status, StatusCode::OK);
    assert!(body.contains("/webjars/sockjs-client/sockjs.min.js"), "{body}");
}
