//! What extractors must not show.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    body::Body,
    extract::{
        MatchedPath, NestedPath, OriginalUri, Path, Query, RawPathParams,
        rejection::{MatchedPathRejection, NestedPathRejection, PathRejection, RawPathParamsRejection},
    },
    http::{HeaderMap, Method, Request, Uri, Version, request::Parts},
};
use axum_sockjs::{Options, Session, SockJs};
use tower::{Layer as _, ServiceExt};

#[cfg(feature = "websocket")]
use crate::support::server::Server;
#[cfg(feature = "websocket")]
use crate::support::ws;
#[cfg(feature = "websocket")]
use crate::support::ws::until_closed;
use crate::support::{
    apps::open_to_all,
    in_process::{call, http_transports, receiving_url, text},
    mounts::{Mount, mounts},
};

const SECRET: &str = "s3cret%2Did";

/// Everything that a handler can learn of its request, as one text.
#[expect(clippy::too_many_arguments, reason = "every extractor that shows a part of the URL")]
async fn show_all(
    uri: Uri,
    original: OriginalUri,
    params: Result<RawPathParams, RawPathParamsRejection>,
    map: Result<Path<HashMap<String, String>>, PathRejection>,
    matched: Result<MatchedPath, MatchedPathRejection>,
    nested: Result<NestedPath, NestedPathRejection>,
    request: (Method, Version, HeaderMap, Query<HashMap<String, String>>),
    parts: Parts,
    session: Session,
) {
    let matched = matched.map(|path| path.as_str().to_owned());
    let nested = nested.map(|path| path.as_str().to_owned());
    let session_text = format!("{session:?} {:?} {}", session.sender(), session.id());
    let seen = format!(
        "{uri:?} {original:?} {params:?} {map:?} {matched:?} {nested:?} {request:?} {parts:?} {session_text}"
    );
    session.send(seen).await.ok();
}

/// Whether a text tells the session id, or the name beside it in the URL.
fn tells_the_secret(seen: &str) -> bool {
    seen.contains("s3cret") || seen.contains("the-server")
}

#[tokio::test(start_paused = true)]
async fn no_extractor_shows_the_session_id() {
    let endpoint = || SockJs::new(show_all).options(open_to_all(Options::new()));
    for Mount { prefix, app, .. } in mounts(endpoint) {
        for transport in http_transports() {
            let (method, name) = receiving_url(transport);
            let uri = format!("{prefix}/the-server/{SECRET}-{transport}/{name}");
            let mut seen = String::new();
            // Enough for a poll's three frames; a stream says it all in one answer.
            for _ in 0..3 {
                let request = Request::builder().method(method).uri(&uri).body(Body::empty()).unwrap();
                seen += &text(call(&app, request).await).await;
            }
            assert!(seen.contains("OriginalUri"), "the handler has run: {seen}");
            assert!(!tells_the_secret(&seen), "{prefix}, {transport}: {seen}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn no_extractor_shows_the_session_id_where_no_router_is_around() {
    for prefix in ["", "/front", "/a/b"] {
        let identified = Arc::new(Mutex::new(String::new()));
        let identify = {
            let identified = Arc::clone(&identified);
            move |uri: Uri, original: OriginalUri, parts: Parts| {
                *identified.lock().unwrap() += &format!("{uri:?} {original:?} {parts:?}");
                async {}
            }
        };
        let endpoint = SockJs::new(show_all).options(open_to_all(Options::new())).identity(identify);
        let service = endpoint.layer(prefix).layer(Router::new());
        let mut seen = String::new();
        for _ in 0..3 {
            let uri = format!("{prefix}/the-server/{SECRET}/xhr?t=1");
            let poll = Request::post(uri).body(Body::empty()).unwrap();
            seen += &text(service.clone().oneshot(poll).await.unwrap()).await;
        }
        let shown = format!("OriginalUri({}?t=1)", if prefix.is_empty() { "/" } else { prefix });
        let identified = identified.lock().unwrap();
        assert!(seen.contains(&shown) && identified.contains(&shown), "{prefix}: {seen}");
        assert!(!tells_the_secret(&seen) && !tells_the_secret(&identified), "{prefix}: {seen}");
    }
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn no_extractor_shows_the_session_id_of_a_websocket() {
    for Mount { prefix, app, .. } in mounts(|| SockJs::new(show_all)) {
        let server = Server::start(app).await;
        let socket = ws::open(server.addr, &format!("{prefix}/the-server/{SECRET}/websocket")).await;
        let seen = until_closed(socket).await;
        assert!(seen.contains("OriginalUri"), "the handler has run: {seen}");
        assert!(!tells_the_secret(&seen), "{prefix}: {seen}");
    }
}
