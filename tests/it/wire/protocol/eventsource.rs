//! The transport `eventsource`.

use crate::support::{
    apps,
    http::Request,
    suite::{content_type, expect_not_cached, session_of, stream, xhr_send},
};

/// Suite: `EventSource.test_transport`.
#[tokio::test]
async fn frames_are_events_behind_an_empty_line() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let (mut connection, head, prelude) =
        stream(&server, &Request::get(format!("{session}/eventsource"))).await;
    assert_eq!(content_type(&head), "text/event-stream");
    expect_not_cached(&head);
    assert_eq!(prelude, "\r\n");
    assert_eq!(connection.text_chunk().await, "data: o\r\n\r\n");
    xhr_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(connection.text_chunk().await, "data: a[\"y\"]\r\n\r\n");
    // Spaces at the front, line ends and NUL would change or end an event.
    xhr_send(&server, &session, r#"[" \u0000\r\n  "]"#).await;
    assert_eq!(connection.text_chunk().await, "data: a[\" \\u0000\\r\\n  \"]\r\n\r\n");
}

/// Suite: `EventSource.test_response_limit`.
#[tokio::test]
async fn an_event_stream_ends_after_4096_bytes() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let (mut connection, ..) = stream(&server, &Request::get(format!("{session}/eventsource"))).await;
    assert_eq!(connection.text_chunk().await, "data: o\r\n\r\n");
    let long = "y".repeat(4096);
    xhr_send(&server, &session, &format!("[\"{long}\"]")).await;
    assert_eq!(connection.text_chunk().await, format!("data: a[\"{long}\"]\r\n\r\n"));
    assert_eq!(connection.text_chunk().await, "");
}
