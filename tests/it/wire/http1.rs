//! HTTP/1.0 and 1.1: the ends of answers, and requests behind one another.

use std::convert::Infallible;

use axum::{
    body::Body,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
    response::IntoResponse as _,
};
use axum_sockjs::{Options, Session};

use crate::support::{
    apps::{self, Endpoint, one_frame_per_response},
    client::{Kind, http_ways, on_each},
    fresh_id,
    http::{Request, Response},
};

#[tokio::test]
async fn http_1_0_brings_the_same_bytes_and_then_the_end() {
    on_each(http_ways(), async |way| {
        let endpoint = Endpoint::start(apps::echo, one_frame_per_response()).await;
        let id = fresh_id();
        let same_id = fresh_id();
        let mut bodies = Vec::new();
        for _ in 0..2 {
            let chunked = endpoint.server.ask(&way.receiving(&same_id)).await;
            let mut connection = endpoint.server.connect().await;
            let response = connection.ask(&way.receiving(&id).http10()).await;
            assert_eq!(response.header("transfer-encoding"), None);
            connection.expect_end().await;
            assert_eq!(response.text(), chunked.text());
            bodies.push(response.body);
            for id in [&id, &same_id] {
                let response = endpoint.server.ask(&way.sending(id, r#"["hello"]"#).http10()).await;
                way.expect_taken(&response);
            }
        }
        assert_ne!(bodies[0], bodies[1], "first the open frame, then a message");
    })
    .await;
}

/// The values of all lines of `Connection`, as one list.
fn connection_options(response: &Response) -> Vec<String> {
    let lines = response.headers("connection").into_iter();
    lines.flat_map(|line| line.split(',')).map(|option| option.trim().to_lowercase()).collect()
}

#[tokio::test]
async fn http_1_0_is_told_that_a_stream_ends_with_its_connection() {
    let wishes = ["keep-alive", "Keep-Alive", "KEEP-ALIVE", "keep-alive, x-other", "close", ""];
    on_each(http_ways(), async |way| {
        let endpoint = Endpoint::start(apps::echo, one_frame_per_response()).await;
        for wish in wishes {
            let request = way.receiving(&fresh_id()).http10();
            let request = if wish.is_empty() { request } else { request.header("Connection", wish) };
            let mut connection = endpoint.server.connect().await;
            let response = connection.ask(&request).await;
            assert_eq!(response.version, "1.0", "{wish:?}: {response}");
            assert!(way.kind == Kind::Stream || response.header("content-length").is_some(), "{response}");
            let keeps = way.kind == Kind::Poll && wish.to_lowercase().starts_with("keep-alive");
            let options = connection_options(&response);
            match way.kind {
                Kind::Stream => assert_eq!(options, ["close"], "{wish:?}: {response}"),
                _ => assert_eq!(options == ["keep-alive"], keeps, "{wish:?}: {response}"),
            }
            if keeps {
                assert_eq!(connection.ask(&Request::get("/app")).await.text(), "Welcome to SockJS!\n");
            } else {
                connection.expect_end().await;
            }
        }
        // A second receiver is refused by a stream, too.
        let id = fresh_id();
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        let mut first = endpoint.server.connect().await;
        first.send(&way.receiving(&id)).await;
        if way.kind == Kind::Stream {
            first.head().await;
            let second = way.receiving(&id).http10().header("Connection", "keep-alive");
            let mut connection = endpoint.server.connect().await;
            let refusal = connection.ask(&second).await;
            assert_eq!(connection_options(&refusal), ["close"], "{refusal}");
            connection.expect_end().await;
        }
        // HTTP/1.1 has chunks, and keeps its connection.
        let mut connection = endpoint.server.connect().await;
        connection.send(&way.receiving(&fresh_id()).header("Connection", "keep-alive")).await;
        let options = connection_options(&connection.head().await);
        assert!(!options.contains(&"close".to_owned()), "{options:?}");
    })
    .await;
}

/// A rejection of the application whose body has no length.
#[tokio::test]
async fn http_1_0_is_told_that_a_rejection_of_unknown_length_ends_with_its_connection() {
    struct Never;
    impl<S: Sync> FromRequestParts<S> for Never {
        type Rejection = axum::response::Response;

        async fn from_request_parts(_: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
            let pieces = ["not ", "you"].map(Ok::<_, Infallible>);
            let body = Body::from_stream(futures_util::stream::iter(pieces));
            Err((StatusCode::UNAUTHORIZED, body).into_response())
        }
    }
    let endpoint = Endpoint::start(async |_: Never, _: Session| {}, Options::new()).await;
    on_each(http_ways(), async |way| {
        let mut connection = endpoint.server.connect().await;
        let request = way.receiving(&fresh_id());
        let response = connection.ask(&request.clone().http10().header("Connection", "Keep-Alive")).await;
        assert_eq!((response.status, response.text()), (401, "not you"), "{response}");
        assert_eq!(connection_options(&response), ["close"], "{response}");
        connection.expect_end().await;
        assert_eq!(connection_options(&endpoint.server.ask(&request).await), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn pipelined_requests_are_answered_in_order() {
    on_each(http_ways(), async |way| {
        let endpoint = Endpoint::start(apps::echo, one_frame_per_response()).await;
        let id = fresh_id();
        let requests = [
            way.receiving(&id),
            way.sending(&id, "[\"one\"]"),
            way.receiving(&id),
            way.sending(&id, "[\"two\"]"),
            way.sending(&id, "[]"),
            way.receiving(&id),
        ];
        let bytes: Vec<u8> = requests.iter().flat_map(|request| request.to_bytes()).collect();
        let mut connection = endpoint.server.connect().await;
        connection.write(bytes).await;
        let mut answers = Vec::new();
        for request in &requests {
            answers.push(connection.answer(&request.method).await);
        }
        assert!(answers[0].text().contains('o'), "{}", answers[0]);
        assert!(answers[2].text().contains("one"), "{}", answers[2]);
        assert!(answers[5].text().contains("two"), "{}", answers[5]);
        for taken in [1, 3, 4] {
            way.expect_taken(&answers[taken]);
        }
    })
    .await;
}
