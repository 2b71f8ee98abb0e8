//! HTTP/1.0 and 1.1: how the end of a response is marked, and connections that are used again.

use crate::support::{apps, http::Request, suite::session_of};

/// Suite: `Http10.test_synchronous`.
#[tokio::test]
async fn an_http_1_0_answer_has_a_length_and_no_coding() {
    let server = apps::suite().await;
    let request = Request::get("/echo").http10().header("Connection", "Keep-Alive");
    let mut connection = server.connect().await;
    for _ in 0..2 {
        let response = connection.ask(&request).await;
        assert_eq!((response.status, response.text()), (200, "Welcome to SockJS!\n"));
        assert_eq!(response.header("transfer-encoding"), None);
        assert_eq!(response.header("content-length"), Some("19"));
        // Said aloud, so the connection is there for another request.
        assert_eq!(response.header("connection").map(str::to_lowercase).as_deref(), Some("keep-alive"));
    }
    // Without being asked to, a server of HTTP/1.0 hangs up.
    let response = connection.ask(&Request::get("/echo").http10()).await;
    assert_eq!(response.text(), "Welcome to SockJS!\n");
    connection.expect_end().await;
}

/// Suite: `Http10.test_streaming`.
#[tokio::test]
async fn an_http_1_0_stream_ends_with_its_connection() {
    let server = apps::suite().await;
    let request = Request::post(session_of("close") + "/xhr_streaming").http10();
    let mut connection = server.connect().await;
    connection.send(&request.header("Connection", "Keep-Alive")).await;
    let head = connection.head().await;
    assert_eq!(head.status, 200);
    assert_eq!(head.header("transfer-encoding"), None);
    assert_eq!(head.header("content-length"), None);
    assert_eq!(connection.exactly(2049).await, ("h".repeat(2048) + "\n").as_bytes());
    assert_eq!(connection.exactly(2).await, b"o\n");
    assert_eq!(connection.rest().await, b"c[3000,\"Go away!\"]\n");
}

/// Suite: `Http11.test_synchronous`.
#[tokio::test]
async fn an_http_1_1_connection_is_used_again() {
    let server = apps::suite().await;
    let request = Request::get("/echo").header("Connection", "Keep-Alive");
    let mut connection = server.connect().await;
    for _ in 0..2 {
        let response = connection.ask(&request).await;
        assert_eq!((response.version.as_str(), response.status), ("1.1", 200));
        assert_eq!(response.text(), "Welcome to SockJS!\n");
        let connection = response.header("connection").unwrap_or("keep-alive");
        assert!(connection.eq_ignore_ascii_case("keep-alive"), "{response}");
    }
}

/// Suite: `Http11.test_streaming`.
#[tokio::test]
async fn an_http_1_1_stream_is_chunked() {
    let server = apps::suite().await;
    let request = Request::post(session_of("close") + "/xhr_streaming").header("Connection", "Keep-Alive");
    let mut connection = server.connect().await;
    connection.send(&request).await;
    let head = connection.head().await;
    assert_eq!(head.status, 200);
    assert!(head.header("transfer-encoding").unwrap().eq_ignore_ascii_case("chunked"));
    assert_eq!(head.header("content-length"), None);
    assert_eq!(connection.text_chunk().await, "h".repeat(2048) + "\n");
    assert_eq!(connection.text_chunk().await, "o\n");
    assert_eq!(connection.text_chunk().await, "c[3000,\"Go away!\"]\n");
    assert_eq!(connection.text_chunk().await, "");
}

/// Suite: `HttpQuirks.test_emptyContentLengthForPost`.
#[tokio::test]
async fn a_post_need_not_say_that_it_has_no_body() {
    let request = Request::new("POST", session_of("echo") + "/xhr");
    let response = apps::suite().await.ask(&request).await;
    assert_eq!((response.status, response.text()), (200, "o\n"));
}
