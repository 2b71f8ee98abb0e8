//! The URLs that belong to no session: greeting, iframe page, info.

use serde_json::Value;

use crate::support::{
    apps,
    http::Request,
    server::Server,
    suite::{
        checksum, content_type, expect_cached_for_long, expect_cors, expect_no_cookie, expect_not_cached,
        expect_preflight,
    },
};

/// Suite: `BaseUrlGreeting.test_greeting`.
#[tokio::test]
async fn the_base_url_greets_with_and_without_a_slash() {
    let server = apps::suite().await;
    for url in ["/echo", "/echo/"] {
        let response = server.get(url).await;
        assert_eq!((response.status, response.text()), (200, "Welcome to SockJS!\n"), "{url}");
        assert_eq!(content_type(&response), "text/plain;charset=UTF-8");
        expect_no_cookie(&response);
    }
}

/// Suite: `BaseUrlGreeting.test_notFound`.
#[tokio::test]
async fn other_short_paths_are_not_found() {
    let server = apps::suite().await;
    for path in ["b", "b.html", "b/", "b/c", "b/c/", "/", "//"] {
        let response = server.get(format!("/echo/{path}")).await;
        assert_eq!(response.status, 404, "{path}");
    }
}

/// Expects the iframe page, which may be kept for long, and gives its text.
async fn expect_iframe(server: &Server, url: &str) -> String {
    let response = server.get(url).await;
    assert_eq!(response.status, 200, "{url}");
    assert_eq!(content_type(&response), "text/html;charset=UTF-8");
    expect_cached_for_long(&response);
    assert!(response.header("etag").is_some_and(|tag| !tag.is_empty()), "{response}");
    expect_no_cookie(&response);

    let page = response.text().trim();
    let (before, rest) = page.split_once("<script src=\"").expect("the page loads the client");
    let (client_url, after) = rest.split_once('"').expect("the attribute ends");
    assert!(client_url.starts_with('/') || client_url.starts_with("http"), "{client_url}");
    assert!(after.contains("SockJS.bootstrap_iframe();"), "{page}");
    assert_eq!((before.len(), checksum(before)), IFRAME_BEFORE, "{page}");
    assert_eq!((after.len(), checksum(after)), IFRAME_AFTER, "{page}");
    response.text().to_owned()
}

/// Length and checksum of the page before and after the URL of the client.
const IFRAME_BEFORE: (usize, u64) = (162, 0xf496_26f4_1a3c_630b);
const IFRAME_AFTER: (usize, u64) = (233, 0xb18c_5f34_2f6e_6154);

/// Suite: `IframePage.test_simpleUrl`.
#[tokio::test]
async fn the_iframe_page_is_served() {
    expect_iframe(&apps::suite().await, "/echo/iframe.html").await;
}

/// Suite: `IframePage.test_versionedUrl`.
#[tokio::test]
async fn a_version_in_the_name_gives_the_same_page() {
    let server = apps::suite().await;
    let page = expect_iframe(&server, "/echo/iframe.html").await;
    for version in ["b", "", "1.6.1", "1.6.1-rc_2", "0.0.1beta-7.dirty.99"] {
        assert_eq!(expect_iframe(&server, &format!("/echo/iframe-{version}.html")).await, page);
    }
}

/// Suite: `IframePage.test_queriedUrl`.
#[tokio::test]
async fn a_query_gives_the_same_page() {
    let server = apps::suite().await;
    let page = expect_iframe(&server, "/echo/iframe.html").await;
    for url in ["iframe.html?t=1", "iframe-b.html?t=98765", "iframe-1.6.1.html?a=b&t=%20x?y"] {
        assert_eq!(expect_iframe(&server, &format!("/echo/{url}")).await, page);
    }
}

/// Suite: `IframePage.test_invalidUrl`.
#[tokio::test]
async fn misspelt_names_of_the_page_are_not_found() {
    let server = apps::suite().await;
    for name in
        ["iframe", "IFRAME", "iframe.htm", "iframe.HTML", "IFRAME.HTML", "iframe.xml", "iframe-/.html"]
    {
        assert_eq!(server.get(format!("/echo/{name}")).await.status, 404, "{name}");
    }
}

/// Suite: `IframePage.test_cacheability`.
#[tokio::test]
async fn the_page_has_a_steady_tag_and_is_not_sent_twice() {
    let server = apps::suite().await;
    let tag = server.get("/echo/iframe.html").await.header("etag").unwrap().to_owned();
    assert!(!tag.is_empty());
    assert_eq!(server.get("/echo/iframe.html").await.header("etag"), Some(&*tag));
    let request = Request::get("/echo/iframe.html").header("If-None-Match", &tag);
    let response = server.ask(&request).await;
    assert_eq!((response.status, response.header("content-type"), response.text()), (304, None, ""));
}

async fn info(server: &Server, service: &str) -> Value {
    let response = server.get(format!("/{service}/info")).await;
    assert_eq!(response.status, 200, "{response}");
    serde_json::from_slice(&response.body).expect("it is JSON")
}

/// Suite: `InfoTest.test_basic`.
#[tokio::test]
async fn info_tells_what_the_server_can() {
    let server = apps::suite().await;
    let request = Request::get("/echo/info").header("Origin", "http://example.com");
    let response = server.ask(&request).await;
    assert_eq!(response.status, 200);
    assert_eq!(content_type(&response), "application/json;charset=UTF-8");
    expect_no_cookie(&response);
    expect_not_cached(&response);
    expect_cors(&response, Some("http://example.com"));

    let info: Value = serde_json::from_slice(&response.body).unwrap();
    assert_eq!(info["websocket"], cfg!(feature = "websocket"));
    assert_eq!(info["cookie_needed"], false);
    assert_eq!(info["origins"], serde_json::json!(["*:*"]));
    assert!(info["entropy"].is_u64());
}

/// Suite: `InfoTest.test_entropy`.
#[tokio::test]
async fn entropy_is_32_bits_and_differs_each_time() {
    let server = apps::suite().await;
    let mut seen = Vec::new();
    for _ in 0..4 {
        let entropy = info(&server, "echo").await["entropy"].as_u64().unwrap();
        assert!(entropy < 1 << 32, "{entropy}");
        seen.push(entropy);
    }
    seen.sort_unstable();
    seen.dedup();
    // Two of four equal ones happen by chance once in 700 million runs.
    assert_eq!(seen.len(), 4);
}

/// Suite: `InfoTest.test_options`.
#[tokio::test]
async fn info_may_be_asked_for_across_origins() {
    expect_preflight(&apps::suite().await, "/echo/info", &["OPTIONS", "GET"]).await;
}

/// Suite: `InfoTest.test_options_null_origin`.
#[tokio::test]
async fn the_origin_null_is_named_back() {
    let request = Request::new("OPTIONS", "/echo/info")
        .header("Origin", "null")
        .header("Access-Control-Request-Method", "POST");
    let response = apps::suite().await.ask(&request).await;
    assert!(matches!(response.status, 200 | 204), "{response}");
    assert_eq!(response.text(), "");
    assert_eq!(response.header("access-control-allow-origin"), Some("null"));
}

/// Suite: `InfoTest.test_disabled_websocket`.
#[tokio::test]
async fn info_says_when_websocket_is_off() {
    assert_eq!(info(&apps::suite().await, "disabled_websocket_echo").await["websocket"], false);
}
