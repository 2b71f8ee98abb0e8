//! The transports `xhr` and `xhr_streaming`, and `xhr_send` for both.

use crate::support::{
    apps,
    http::Request,
    suite::{content_type, expect_cors, expect_not_cached, expect_preflight, session_of, stream, xhr_send},
};

/// Suite: `XhrPolling.test_options`.
#[tokio::test]
async fn polling_and_sending_may_be_asked_for_across_origins() {
    let server = apps::suite().await;
    expect_preflight(&server, "/echo/x/y/xhr", &["OPTIONS", "POST"]).await;
    expect_preflight(&server, "/echo/x/y/xhr_send", &["OPTIONS", "POST"]).await;
}

/// Suite: `XhrPolling.test_transport`.
#[tokio::test]
async fn polls_bring_lines_and_sending_is_answered_with_nothing() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let poll = Request::post(format!("{session}/xhr")).header("Origin", "http://example.com");
    let opened = server.ask(&poll).await;
    assert_eq!((opened.status, opened.text()), (200, "o\n"));
    assert_eq!(content_type(&opened), "application/javascript;charset=UTF-8");

    let send = Request::post(format!("{session}/xhr_send")).header("Origin", "http://example.com");
    let sent = server.ask(&send.body(r#"["y"]"#)).await;
    assert_eq!((sent.status, sent.text()), (204, ""));
    assert_eq!(content_type(&sent), "text/plain;charset=UTF-8");

    for response in [&opened, &sent] {
        expect_cors(response, Some("http://example.com"));
        expect_not_cached(response);
    }
    let polled = server.post(format!("{session}/xhr"), "").await;
    assert_eq!((polled.status, polled.text()), (200, "a[\"y\"]\n"));
    expect_cors(&polled, None);
}

/// Suite: `XhrPolling.test_invalid_session`.
#[tokio::test]
async fn sending_to_no_session_is_not_found() {
    let server = apps::suite().await;
    assert_eq!(server.post(session_of("echo") + "/xhr_send", r#"["y"]"#).await.status, 404);
}

/// Suite: `XhrPolling.test_invalid_json`.
#[tokio::test]
async fn broken_and_missing_payloads_are_told_apart_and_forgiven() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(server.post(format!("{session}/xhr"), "").await.text(), "o\n");
    for (payload, complaint) in [("[\"y", "Broken JSON encoding."), ("", "Payload expected.")] {
        let response = server.post(format!("{session}/xhr_send"), payload).await;
        assert_eq!(response.status, 500, "{payload}");
        assert!(response.text().contains(complaint), "{response}");
    }
    xhr_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(server.post(format!("{session}/xhr"), "").await.text(), "a[\"y\"]\n");
}

/// Suite: `XhrPolling.test_content_types`.
#[tokio::test]
async fn the_type_of_what_is_sent_does_not_matter() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(server.post(format!("{session}/xhr"), "").await.text(), "o\n");
    let types = [
        "",
        "T",
        "text/plain",
        "text/plain;charset=UTF-8",
        "text/xml",
        "text/xml; charset=utf-8",
        "application/xml",
        "application/json",
        "application/json; charset=utf-8",
        "application/octet-stream",
        // Not in the suite; some servers take it for a form and find nothing in it.
        "application/x-www-form-urlencoded",
    ];
    for (number, content_type) in types.iter().enumerate() {
        let request = Request::post(format!("{session}/xhr_send")).header("Content-Type", *content_type);
        let response = server.ask(&request.body(format!("[\"{number}\"]"))).await;
        assert_eq!((response.status, response.text()), (204, ""), "{content_type}");
    }
    // Each has been echoed before its sender was answered, so that one poll brings them all.
    let all: Vec<String> = (0..types.len()).map(|number| format!("\"{number}\"")).collect();
    let answer = server.post(format!("{session}/xhr"), "").await;
    assert_eq!(answer.text(), format!("a[{}]\n", all.join(",")));
}

/// Suite: `XhrPolling.test_request_headers_cors`.
#[tokio::test]
async fn headers_that_are_asked_for_are_allowed() {
    let server = apps::suite().await;
    let request = || {
        Request::new("OPTIONS", session_of("echo") + "/xhr")
            .header("Origin", "http://example.com")
            .header("Access-Control-Request-Method", "POST")
    };
    for (asked, allowed) in [(Some("x-one, x-two"), Some("x-one, x-two")), (Some(""), None), (None, None)] {
        let request = match asked {
            Some(headers) => request().header("Access-Control-Request-Headers", headers),
            None => request(),
        };
        let response = server.ask(&request).await;
        assert!(matches!(response.status, 200 | 204), "{response}");
        expect_cors(&response, Some("http://example.com"));
        assert_eq!(response.header("access-control-allow-headers"), allowed, "{asked:?}");
    }
}

/// Suite: `XhrPolling.test_sending_empty_frame`.
#[tokio::test]
async fn an_empty_array_is_taken_and_is_no_message() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(server.post(format!("{session}/xhr"), "").await.text(), "o\n");
    xhr_send(&server, &session, "[]").await;
    xhr_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(server.post(format!("{session}/xhr"), "").await.text(), "a[\"y\"]\n");
}

/// Suite: `XhrStreaming.test_options`.
#[tokio::test]
async fn streaming_may_be_asked_for_across_origins() {
    expect_preflight(&apps::suite().await, "/echo/x/y/xhr_streaming", &["OPTIONS", "POST"]).await;
}

/// Suite: `XhrStreaming.test_transport`.
#[tokio::test]
async fn a_stream_begins_with_2_kib_of_prelude() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let request = Request::post(format!("{session}/xhr_streaming")).header("Origin", "http://example.com");
    let (mut connection, head, prelude) = stream(&server, &request).await;
    assert_eq!(content_type(&head), "application/javascript;charset=UTF-8");
    expect_cors(&head, Some("http://example.com"));
    expect_not_cached(&head);
    assert_eq!(prelude, "h".repeat(2048) + "\n");
    assert_eq!(connection.text_chunk().await, "o\n");
    xhr_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(connection.text_chunk().await, "a[\"y\"]\n");
}

/// Suite: `XhrStreaming.test_response_limit`.
#[tokio::test]
async fn a_stream_ends_when_it_has_carried_4096_bytes_and_not_before() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let (mut connection, ..) = stream(&server, &Request::post(format!("{session}/xhr_streaming"))).await;
    let mut carried = 0;
    let mut expected = "o\n".to_owned();
    let payload = format!("[\"{}\"]", "y".repeat(100));
    while carried < 4096 {
        let chunk = connection.text_chunk().await;
        assert_eq!(chunk, expected, "after {carried} bytes");
        carried += chunk.len();
        if carried < 4096 {
            xhr_send(&server, &session, &payload).await;
            expected = format!("a{payload}\n");
        }
    }
    assert_eq!(connection.text_chunk().await, "");
}
