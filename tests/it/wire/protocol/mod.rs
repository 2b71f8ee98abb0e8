//! The rules of the official protocol suite, each held by a test of our own.
//!
//! The doc comment of a test names the test of the suite that has the same rule, as `Class.test_name`;
//! `protocol-tests/README.md` lists them all.

mod cookie;
mod eventsource;
mod htmlfile;
mod http_versions;
mod jsonp;
mod pages;
mod sessions;
#[cfg(feature = "websocket")]
mod websocket;
mod xhr;

use crate::support::{
    fresh_id,
    http::{Connection, Request, Response},
    server::Server,
};

/// The URL of a new session of one of the suite's services.
fn session_of(service: &str) -> String {
    format!("/{service}/000/{}", fresh_id())
}

/// The content type without its spaces, which are free.
fn content_type(response: &Response) -> String {
    response.header("content-type").unwrap_or_default().replace(' ', "")
}

#[track_caller]
fn expect_no_cookie(response: &Response) {
    assert_eq!(response.header("set-cookie"), None, "{response}");
}

#[track_caller]
fn expect_not_cached(response: &Response) {
    let value = "no-store, no-cache, no-transform, must-revalidate, max-age=0";
    assert_eq!(response.header("cache-control"), Some(value), "{response}");
    assert_eq!(response.header("expires"), None, "{response}");
    assert_eq!(response.header("last-modified"), None, "{response}");
}

#[track_caller]
fn expect_cached_for_long(response: &Response) {
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
fn expect_cors(response: &Response, origin: Option<&str>) {
    let allowed = response.header("access-control-allow-origin");
    let credentials = response.header("access-control-allow-credentials");
    match origin {
        Some(origin) => assert_eq!((allowed, credentials), (Some(origin), Some("true")), "{response}"),
        None => assert_eq!((allowed, credentials), (Some("*"), None), "{response}"),
    }
}

/// A browser that asks beforehand is let through, and may remember that for long.
async fn expect_preflight(server: &Server, target: &str, methods: &[&str]) {
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
async fn stream(server: &Server, request: &Request) -> (Connection, Response, String) {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let head = connection.head().await;
    assert_eq!(head.status, 200, "{head}");
    let prelude = connection.text_chunk().await;
    (connection, head, prelude)
}

/// Posts messages to a session, which takes them.
async fn xhr_send(server: &Server, session: &str, payload: &str) -> Response {
    let response = server.post(format!("{session}/xhr_send"), payload).await;
    assert_eq!((response.status, response.text()), (204, ""), "{response}");
    response
}

/// A number that stands for a text that the suite fixes to the byte, so as not to repeat it (FNV-1a).
fn checksum(text: &str) -> u64 {
    let step = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    text.bytes().fold(0xcbf2_9ce4_8422_2325, step)
}

/// The table in `protocol-tests/README.md` is complete, and names tests that exist.
#[test]
fn the_readme_lists_a_test_for_each_of_the_69_rules() {
    let sources = [
        ("cookie.rs", include_str!("cookie.rs")),
        ("eventsource.rs", include_str!("eventsource.rs")),
        ("htmlfile.rs", include_str!("htmlfile.rs")),
        ("http_versions.rs", include_str!("http_versions.rs")),
        ("jsonp.rs", include_str!("jsonp.rs")),
        ("pages.rs", include_str!("pages.rs")),
        ("sessions.rs", include_str!("sessions.rs")),
        ("websocket.rs", include_str!("websocket.rs")),
        ("xhr.rs", include_str!("xhr.rs")),
    ];
    let readme = include_str!("../../../../protocol-tests/README.md");
    let mut rules = Vec::new();
    for row in readme.lines().filter(|line| line.starts_with("| `") && line.contains(".test_")) {
        let cells: Vec<&str> = row.split('|').map(|cell| cell.trim().trim_matches('`')).collect();
        let ["", rule, file, name, ""] = cells[..] else { panic!("not a row of three cells: {row}") };
        let (_, source) = sources.iter().find(|(known, _)| *known == file).expect(row);
        // The rule stands in the doc comment right above the test.
        let function = source.find(&format!("async fn {name}()")).expect(row);
        let doc = &source[source[..function].rfind("\n\n").unwrap_or(0)..function];
        assert!(doc.contains(&format!("`{rule}`")), "{row}: the doc comment names another rule: {doc}");
        assert!(doc.contains("#[tokio::test"), "{row}: no test: {doc}");
        rules.push(rule);
    }
    rules.sort_unstable();
    rules.dedup();
    assert_eq!(rules.len(), 69);
    let tests: usize = sources.iter().map(|(_, source)| source.matches("#[tokio::test").count()).sum();
    assert_eq!(tests, 69, "a test that the table does not list");
}
