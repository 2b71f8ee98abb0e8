//! The answer to `/info`.

use std::time::Duration;

use sockjs_client::{ConnectError, Error, Transport};

use super::TAKEN;
use crate::support::{raw::RawServer, soon};

async fn failed(server: &RawServer) -> ConnectError {
    let error = soon("an end", server.client().connect()).await.unwrap_err();
    server.nothing_is_left().await;
    assert!(matches!(error, ConnectError::Info(_)), "{error:?}");
    assert_eq!(error.close_frame().reason(), "Cannot connect to server");
    assert!(server.requests("websocket").is_empty(), "no transport is tried");
    assert!(server.written() < TAKEN, "{} bytes were taken", server.written());
    error
}

#[tokio::test]
async fn a_refusal_of_info_is_the_code() {
    for (status, sentence) in [
        ("404 Not Found", "/info: the server answered 404 Not Found"),
        ("500 Oh No", "/info: the server answered 500 Internal Server Error"),
        ("302 Found", "/info: the server answered 302 Found, a redirect to \"/elsewhere\""),
        ("204 No Content", "/info: the server answered 204 No Content"),
    ] {
        let server =
            RawServer::of(
                move |_, conn| async move { conn.answer(status, "Location: /elsewhere\r\n", "").await },
            );
        let error = failed(&server).await;
        assert!(error.to_string().starts_with(sentence), "{error}");
        assert_eq!(error.close_frame().code().to_string(), status[..3]);
        assert_eq!(server.requests("elsewhere").len(), 0, "a redirect is not followed");
    }
}

#[tokio::test]
async fn a_page_in_place_of_info_is_told() {
    let server = RawServer::of(move |_, conn| async move { conn.ok("\n <!doctype html><p>Hello").await });
    let error = failed(&server).await;
    assert_eq!(
        error.to_string(),
        "/info: /info is a page, not JSON: the URL is not that of a SockJS endpoint"
    );
    assert_eq!(error.close_frame().code(), 1002);
}

/// As the browser's client has it.
#[tokio::test]
async fn info_that_is_no_json_says_nothing() {
    for body in ["", "{", "[1]", "null", "\0\u{ff}", "{\"websocket\":0,\"base_url\":1}"] {
        let server = RawServer::of(move |request, mut conn| async move {
            if request.name() == "info" {
                return conn.ok(body).await;
            }
            conn.websocket(&request).await?;
            conn.text("o").await?;
            conn.idle().await
        });
        let session = soon("a session", server.client().connect()).await.unwrap();
        assert_eq!(session.transport(), Transport::WebSocket, "{body:?}");
        drop(session);
        server.nothing_is_left().await;
    }
}

#[tokio::test]
async fn info_without_an_end_is_given_up() {
    let server = RawServer::of(move |_, mut conn| async move {
        conn.stream("application/json").await?;
        conn.endlessly("8\r\n        \r\n").await
    });
    let error = failed(&server).await;
    assert_eq!(error.to_string(), "/info: the server's answer is longer than 64 KiB");
    assert_eq!(error.close_frame().code(), 1002);
}

#[tokio::test]
async fn a_refusal_without_an_end_is_told_by_its_status() {
    let server = RawServer::of(move |_, mut conn| async move {
        conn.say("HTTP/1.1 503 Busy\r\n\r\n").await?;
        conn.endlessly("wait ").await
    });
    let error = failed(&server).await;
    assert_eq!(error.close_frame().code(), 503);
    assert_eq!(error.response().unwrap().body().len(), 64 << 10);
}

#[tokio::test]
async fn a_head_without_an_end_is_given_up() {
    for (begin, piece) in [
        ("HTTP/1.1 200 OK\r\nX: ", "aaaa"),
        ("HTTP/1.1 200 OK\r\n", "X: a\r\n"),
        ("HTTP/1.1 200 ", "OK"),
        ("", "a"),
    ] {
        let server = RawServer::of(move |_, mut conn| async move {
            conn.say(begin).await?;
            conn.endlessly(piece).await
        });
        let error = failed(&server).await;
        assert_eq!(error.close_frame().code(), 1002, "{error}");
        assert!(matches!(&error, ConnectError::Info(Error::Lost(_))), "{error:?}");
        let text = error.to_string();
        let sentences = ["message head is too large", "invalid HTTP"];
        assert!(sentences.iter().any(|sentence| text.contains(sentence)), "{begin:?}: {text}");
    }
}

#[tokio::test]
async fn a_head_of_thousands_of_headers_is_refused() {
    let headers = "a: b\r\n".repeat(5000);
    let server = RawServer::of(move |_, conn| {
        let headers = headers.clone();
        async move { conn.answer("200 OK", &headers, "{}").await }
    });
    let error = failed(&server).await;
    assert!(error.to_string().contains("message head is too large"), "{error}");
}

#[tokio::test]
async fn a_base_url_that_is_none_is_told() {
    for base_url in ["ftp://host/", "http://", "http://u:p@host/", "#a"] {
        let server = RawServer::of(move |_, conn| async move {
            conn.ok(&format!("{{\"base_url\":\"{base_url}\"}}")).await
        });
        let error = failed(&server).await;
        assert!(error.to_string().contains("base_url"), "{error}");
        assert_eq!(error.close_frame().code(), 1002);
    }
}

#[tokio::test]
async fn a_connection_that_ends_before_the_answer_is_lost() {
    for with_reset in [false, true] {
        for begin in ["", "HTTP/1.1 2", "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{"] {
            let server = RawServer::of(move |_, mut conn| async move {
                conn.say(begin).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
                if with_reset {
                    conn.reset();
                }
                None
            });
            let error = failed(&server).await;
            assert_eq!(error.close_frame().code(), 1002, "{error}");
            assert!(error.to_string().starts_with("/info: the connection was lost: "), "{error}");
        }
    }
}
