//! What the tests of the official suite's rules have in common.

use crate::support::{
    fresh_id,
    http::{Connection, Request, Response},
    server::Server,
};

/// The URL of a new session of one of the suite's services.
pub(crate) fn session_of(service: &str) -> String {
    format!("/{service}/000/{}", fresh_id())
}

/// The content type without its spaces, which are free.
pub(crate) fn content_type(response: &Response) -> String {
    response.header("content-type").unwrap_or_default().replace(' ', "")
}

#[track_caller]
pub(crate) fn expect_no_cookie(response: &Response) {
    assert_eq!(response.header("set-cookie"), None, "{response}");
}

#[track_caller]
pub(crate) fn expect_not_cached(response: &Response) {
    let value = "no-store, no-cache, no-transform, must-revalidate, max-age=0";
    assert_eq!(response.header("cache-control"), Some(value), "{response}");
    assert_eq!(response.header("expires"), None, "{response}");
    assert_eq!(response.header("last-modified"), None, "{response}");
}

#[track_caller]
pub(crate) fn expect_cached_for_long(response: &Response) {
    let value = response.header("cache-control").unwrap_or_default();
    assert!(value.split(',').any(|part| part.trim() == "public"), "{response}");
    let age = value.split(',').find_map(|part| part.trim().strip_prefix("max-age="));
    let age: u64 = age.unwrap_or_else(|| panic!("{response}")).parse().expect("an age is a number");
    assert!(age > 1_000_000, "{response}");
    assert!(response.header("expires").is_some(), "{response}");
    assert_eq!(response.header("last-modified"), None, "{response}");
}

/// The origin may read the answer, with cookies if it was named; `None` is a request without one.
#[track_caller]
pub(crate) fn expect_cors(response: &Response, origin: Option<&str>) {
    let allowed = response.header("access-control-allow-origin");
    let credentials = response.header("access-control-allow-credentials");
    match origin {
        Some(origin) => assert_eq!((allowed, credentials), (Some(origin), Some("true")), "{response}"),
        None => assert_eq!((allowed, credentials), (Some("*"), None), "{response}"),
    }
}

/// A browser that asks beforehand is let through, and may remember that for long.
pub(crate) async fn expect_preflight(server: &Server, target: &str, methods: &[&str]) {
    for origin in ["http://example.com", "null"] {
        for method in methods {
            let request = Request::new("OPTIONS", target)
                .header("Origin", origin)
                .header("Access-Control-Request-Method", *method);
            let response = server.ask(&request).await;
            assert!(matches!(response.status, 200 | 204), "{response}");
            assert!(response.body.is_empty(), "{response}");
            expect_cached_for_long(&response);
            expect_cors(&response, Some(origin));
            let age = response.header("access-control-max-age").and_then(|age| age.parse().ok());
            assert!(age.is_some_and(|age: u64| age > 1_000_000), "{response}");
            let allowed = response.header("access-control-allow-methods").unwrap_or_default();
            assert!(allowed.split(", ").any(|allowed| allowed == *method), "{response}");
        }
    }
}

/// Opens a stream and reads its head and its prelude.
pub(crate) async fn stream(server: &Server, request: &Request) -> (Connection, Response, String) {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let head = connection.head().await;
    assert_eq!(head.status, 200, "{head}");
    let prelude = connection.text_chunk().await;
    (connection, head, prelude)
}

/// Posts messages to a session, which takes them.
pub(crate) async fn xhr_send(server: &Server, session: &str, payload: &str) -> Response {
    let response = server.post(format!("{session}/xhr_send"), payload).await;
    assert_eq!((response.status, response.text()), (204, ""), "{response}");
    response
}

/// A number that stands for a text that the suite fixes to the byte, so as not to repeat it (FNV-1a).
pub(crate) fn checksum(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}
