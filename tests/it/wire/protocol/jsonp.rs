//! The transport `jsonp`, and its `jsonp_send`.

use crate::support::{
    apps,
    client::percent_encode,
    http::{Request, Response},
    server::Server,
    suite::{content_type, expect_not_cached, session_of},
};

/// Posts a form, whatever is in it.
async fn send_form(server: &Server, session: &str, form: &str) -> Response {
    let request = Request::post(format!("{session}/jsonp_send"))
        .header("Content-Type", "application/x-www-form-urlencoded")
        .body(form);
    server.ask(&request).await
}

/// Posts messages as the field of a form; they are taken.
async fn jsonp_send(server: &Server, session: &str, payload: &str) -> Response {
    let response = send_form(server, session, &format!("d={}", percent_encode(payload.as_bytes()))).await;
    assert_eq!((response.status, response.text()), (200, "ok"), "{response}");
    response
}

/// One poll.
async fn jsonp(server: &Server, session: &str) -> String {
    let response = server.get(format!("{session}/jsonp?c=f")).await;
    assert_eq!(response.status, 200, "{response}");
    response.text().to_owned()
}

/// Suite: `JsonPolling.test_transport`.
#[tokio::test]
async fn polls_bring_a_call_and_sending_is_answered_with_ok() {
    let server = apps::suite().await;
    let session = session_of("echo");
    let opened = server.get(format!("{session}/jsonp?c=w.%66unction")).await;
    assert_eq!((opened.status, opened.text()), (200, "/**/w.function(\"o\");\r\n"));
    assert_eq!(content_type(&opened), "application/javascript;charset=UTF-8");
    expect_not_cached(&opened);

    let sent = jsonp_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(content_type(&sent), "text/plain;charset=UTF-8");
    expect_not_cached(&sent);

    let polled = server.get(format!("{session}/jsonp?c=another-f_1")).await;
    assert_eq!((polled.status, polled.text()), (200, "/**/another-f_1(\"a[\\\"y\\\"]\");\r\n"));
}

/// Suite: `JsonPolling.test_no_callback`.
#[tokio::test]
async fn a_poll_without_a_callback_is_refused() {
    let server = apps::suite().await;
    for query in ["", "?", "?c=", "?d=x", "?callback"] {
        let response = server.get(format!("/echo/x/y/jsonp{query}")).await;
        assert_eq!(response.status, 500, "{query}");
        assert!(response.text().contains("\"callback\" parameter required"), "{response}");
    }
}

/// Suite: `JsonPolling.test_invalid_callback`.
#[tokio::test]
async fn a_callback_that_is_no_name_is_refused() {
    let server = apps::suite().await;
    for callback in ["%20", "*", "f(", "f%28", "f;g", "f%0Ag", "%3Cb%3E", "f%00", "%C3%A9"] {
        let response = server.get(format!("/echo/x/y/jsonp?c={callback}")).await;
        assert_eq!(response.status, 500, "{callback}");
        assert!(response.text().contains("invalid \"callback\" parameter"), "{response}");
    }
}

/// Suite: `JsonPolling.test_invalid_json`.
#[tokio::test]
async fn broken_and_missing_payloads_are_told_apart_and_forgiven() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"o\");\r\n");
    for (form, complaint) in [
        ("d=%5B%22y", "Broken JSON encoding."),
        ("", "Payload expected."),
        ("d=", "Payload expected."),
        ("e=%5B%5D", "Payload expected."),
    ] {
        let response = send_form(&server, &session, form).await;
        assert_eq!(response.status, 500, "{form}");
        assert!(response.text().contains(complaint), "{response}");
    }
    jsonp_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"a[\\\"y\\\"]\");\r\n");
}

/// Suite: `JsonPolling.test_content_types`.
#[tokio::test]
async fn a_payload_that_is_no_form_is_taken_as_it_is() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"o\");\r\n");
    let plain = Request::post(format!("{session}/jsonp_send")).header("Content-Type", "text/plain");
    let response = server.ask(&plain.body(r#"["%79+d=z"]"#)).await;
    assert_eq!((response.status, response.text()), (200, "ok"));
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"a[\\\"%79+d=z\\\"]\");\r\n");
    jsonp_send(&server, &session, r#"["%79+d=z"]"#).await;
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"a[\\\"%79+d=z\\\"]\");\r\n");
}

/// Suite: `JsonPolling.test_close`.
#[tokio::test]
async fn a_closed_session_says_so_to_every_poll() {
    let server = apps::suite().await;
    let session = session_of("close");
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"o\");\r\n");
    for _ in 0..3 {
        assert_eq!(jsonp(&server, &session).await, "/**/f(\"c[3000,\\\"Go away!\\\"]\");\r\n");
    }
}

/// Suite: `JsonPolling.test_sending_empty_frame`.
#[tokio::test]
async fn an_empty_array_is_taken_and_is_no_message() {
    let server = apps::suite().await;
    let session = session_of("echo");
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"o\");\r\n");
    jsonp_send(&server, &session, "[]").await;
    jsonp_send(&server, &session, r#"["y"]"#).await;
    assert_eq!(jsonp(&server, &session).await, "/**/f(\"a[\\\"y\\\"]\");\r\n");
}
