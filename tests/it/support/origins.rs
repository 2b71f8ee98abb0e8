//! Requests to every URL that is judged by its origin.

use axum::Router;
use axum_sockjs::{Options, Origins, SockJs, Transport};

#[cfg(feature = "websocket")]
use crate::support::ws;
use crate::support::{
    apps::{self, Endpoint},
    client::{WAYS, Way},
    fresh_id,
    http::{Request, Response},
    server::Server,
};

/// Listed by [`strict`].
pub(crate) const ALLOWED: &str = "https://www.example.com";

pub(crate) const FOREIGN: &str = "https://evil.example";

/// All that is judged, and not what any page may have.
pub(crate) fn strict() -> Options {
    let origins = Origins::list([ALLOWED, "https://*.example.org"]).expect("these are origins");
    Options::new().origins(origins).legacy_transports(true)
}

pub(crate) async fn start(options: Options) -> Server {
    Server::start(Router::new().nest_service("/app", SockJs::new(apps::echo).options(options))).await
}

/// A request to each kind of URL that is judged, a new session each time, and the status that it gets if it is
/// let in. `Host` is `localhost`.
pub(crate) fn requests() -> Vec<(String, Request, u16)> {
    let mut requests = vec![
        ("info".to_owned(), Request::get("/app/info"), 200),
        ("preflight of info".to_owned(), Request::new("OPTIONS", "/app/info"), 204),
        ("iframe".to_owned(), Request::get("/app/iframe.html"), 200),
    ];
    for way in WAYS {
        requests.push((way.transport.to_string(), receiving(way), if is_socket(way) { 101 } else { 200 }));
    }
    for name in ["xhr", "xhr_streaming", "xhr_send", "eventsource"] {
        let request = Request::new("OPTIONS", Endpoint::path(&fresh_id(), name));
        requests.push((format!("preflight of {name}"), request, 204));
    }
    for name in ["xhr_send", "jsonp_send"] {
        // Nobody knows the session.
        requests.push((name.to_owned(), Request::post(Endpoint::path(&fresh_id(), name)).body("[]"), 404));
    }
    requests
}

/// The request that opens a session.
pub(crate) fn receiving(way: &Way) -> Request {
    #[cfg(feature = "websocket")]
    if is_socket(way) {
        let id = fresh_id();
        let path = if way.framed { Endpoint::path(&id, way.receive) } else { "/app/websocket".to_owned() };
        return ws::handshake(path);
    }
    way.receiving(&fresh_id())
}

pub(crate) fn is_socket(way: &Way) -> bool {
    matches!(way.transport, Transport::WebSocket | Transport::RawWebSocket)
}

/// Whether only browsers ask for this, without an `Origin`.
pub(crate) fn is_legacy(name: &str) -> bool {
    matches!(name, "iframe" | "htmlfile" | "jsonp-polling" | "jsonp_send")
}

/// Asks with these headers, and reads the head of the answer.
pub(crate) async fn ask(server: &Server, request: &Request, headers: &[(&str, &str)]) -> Response {
    let request =
        headers.iter().fold(request.clone(), |request, (name, value)| request.header(*name, *value));
    let mut connection = server.connect().await;
    connection.send(&request).await;
    connection.head().await
}

pub(crate) fn is_refusal(response: &Response) -> bool {
    if response.status != 403 {
        return false;
    }
    assert!(response.header("cache-control").is_some_and(|value| value.contains("no-store")), "{response}");
    assert_eq!(response.header("access-control-allow-origin"), None, "{response}");
    assert_eq!(response.header("access-control-allow-credentials"), None, "{response}");
    assert_eq!(response.header("set-cookie"), None, "{response}");
    true
}

/// Asks every URL with these headers of any bytes, and expects the same verdict for each.
pub(crate) async fn expect_verdict(
    server: &Server,
    requests: impl Fn() -> Vec<(String, Request, u16)>,
    headers: &[(&str, &[u8])],
    let_in: bool,
) {
    for (name, request, status) in requests() {
        let with =
            |request: Request, (header, value): &(&str, &[u8])| request.header_of_bytes(*header, *value);
        let request = headers.iter().fold(request.clone(), with);
        let response = ask(server, &request, &[]).await;
        if let_in {
            assert_eq!(response.status, status, "{name}, {headers:?}: {response}");
        } else {
            assert!(is_refusal(&response), "{name}, {headers:?}: {response}");
        }
    }
}

/// The URLs that are there by default.
pub(crate) fn modern_requests() -> Vec<(String, Request, u16)> {
    requests().into_iter().filter(|(name, ..)| !is_legacy(name)).collect()
}

/// As [`modern_requests`], to another host.
pub(crate) fn requests_to(host: &str) -> Vec<(String, Request, u16)> {
    modern_requests().into_iter().map(|(name, request, status)| (name, request.host(host), status)).collect()
}
