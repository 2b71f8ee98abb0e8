//! What pages of other origins may read, and ask for beforehand.

use axum_sockjs::{ClientScript, Cors, Options, Origins};

use crate::support::{
    apps::Endpoint,
    fresh_id,
    http::Request,
    origins::{ALLOWED, FOREIGN, ask, is_legacy, is_refusal, modern_requests, requests, start, strict},
};

#[tokio::test]
async fn an_allowed_origin_is_named_with_credentials_and_no_other_answer_is_readable() {
    let named = ["info", "xhr-streaming", "eventsource", "xhr-polling", "xhr_send"];
    for (options, cross_origin) in [(strict(), true), (strict().cors(Cors::External), false)] {
        let server = start(options).await;
        // A request of the same origin may have no `Origin`: nobody else is to read its answer.
        for (header, expected) in [
            (("Origin", ALLOWED), (Some(ALLOWED), Some("true"))),
            (("Sec-Fetch-Site", "same-origin"), (None, None)),
        ] {
            for (name, request, _) in requests() {
                let is_preflight = name.starts_with("preflight");
                let is_named = cross_origin && (named.contains(&name.as_str()) || is_preflight);
                let response = ask(&server, &request, &[header]).await;
                let allow = response.header("access-control-allow-origin");
                let credentials = response.header("access-control-allow-credentials");
                let expected = if is_named { expected } else { (None, None) };
                assert_eq!((allow, credentials), expected, "{name}, {header:?}: {response}");
                assert_eq!(response.headers("vary").contains(&"Origin"), is_named, "{name}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn a_layer_that_answers_for_cors_does_not_let_anyone_in() {
    let server = start(strict().cors(Cors::External)).await;
    for (name, request, status) in requests() {
        let preflight = name.starts_with("preflight");
        let response = ask(&server, &request, &[("Origin", ALLOWED)]).await;
        assert_eq!(response.status, if preflight { 405 } else { status }, "{name}: {response}");
        let response = ask(&server, &request, &[("Origin", FOREIGN)]).await;
        assert!(is_refusal(&response), "{name}: {response}");
    }
}

#[tokio::test]
async fn what_is_the_same_for_all_is_for_all() {
    let server = start(strict().client_script(ClientScript::from_bytes("script"))).await;
    for path in ["/app", "/app/sockjs.min.js"] {
        for headers in [&[("Origin", FOREIGN)][..], &[("Sec-Fetch-Site", "cross-site")], &[]] {
            let response = ask(&server, &Request::get(path), headers).await;
            assert_eq!(response.status, 200, "{path}, {headers:?}: {response}");
            assert_eq!(response.header("access-control-allow-credentials"), None, "{response}");
        }
    }
    // For the `integrity` of a script element.
    let response = ask(&server, &Request::get("/app/sockjs.min.js"), &[("Origin", FOREIGN)]).await;
    assert_eq!(response.header("access-control-allow-origin"), Some("*"), "{response}");
}

#[tokio::test]
async fn an_empty_origin_is_none_in_the_answer_too() {
    for (options, anyone) in
        [(strict(), None), (Options::new().origins(Origins::any()), Some("*")), (Options::new(), None)]
    {
        let server = start(options).await;
        for (name, request, status) in modern_requests() {
            let response = ask(&server, &request, &[("Origin", "")]).await;
            assert_eq!(response.status, status, "{name}: {response}");
            let is_named = !is_socket_name(&name);
            let allow = response.header("access-control-allow-origin");
            assert_eq!(allow, anyone.filter(|_| is_named), "{name}: {response}");
            assert_eq!(response.header("access-control-allow-credentials"), None, "{name}: {response}");
        }
    }
    // Where only browsers ask, it says as little as none.
    let server = start(strict()).await;
    for (name, request, _) in requests().into_iter().filter(|(name, ..)| is_legacy(name)) {
        let response = ask(&server, &request, &[("Origin", "")]).await;
        assert!(is_refusal(&response), "{name}: {response}");
    }
}

fn is_socket_name(name: &str) -> bool {
    name.starts_with("websocket")
}

/// The URLs that other origins may read, with their methods.
fn readable_urls() -> Vec<(String, &'static str)> {
    let session =
        ["xhr", "xhr_streaming", "xhr_send"].map(|name| (Endpoint::path(&fresh_id(), name), "OPTIONS, POST"));
    let mut urls = session.to_vec();
    urls.push((Endpoint::path(&fresh_id(), "eventsource"), "OPTIONS, GET"));
    urls.push(("/app/info".to_owned(), "OPTIONS, GET"));
    urls.push(("/app/sockjs.min.js".to_owned(), "OPTIONS, GET"));
    urls
}

#[tokio::test]
async fn every_url_that_other_origins_may_read_can_be_asked_for_beforehand() {
    let server = start(strict().client_script(ClientScript::from_bytes("script"))).await;
    for (path, methods) in readable_urls() {
        for lines in [
            &["cache-control"][..],
            &["cache-control", "last-event-id, x-requested-with"],
            &["cache-control", "", "x-one", "x-two"],
            &[],
        ] {
            let request = Request::new("OPTIONS", &path).header("Access-Control-Request-Method", "GET");
            let headers = lines.iter().map(|&line| ("Access-Control-Request-Headers", line));
            let headers: Vec<_> = headers.chain([("Origin", ALLOWED)]).collect();
            let response = ask(&server, &request, &headers).await;
            assert_eq!(response.status, 204, "{path}, {lines:?}: {response}");
            let asked: Vec<_> = lines.iter().copied().filter(|line| !line.is_empty()).collect();
            assert_eq!(response.headers("access-control-allow-headers"), asked, "{path}: {response}");
            assert_eq!(response.header("access-control-allow-methods"), Some(methods), "{path}");
            let everyone = path.ends_with(".js");
            let allowed = Some(if everyone { "*" } else { ALLOWED });
            assert_eq!(response.header("access-control-allow-origin"), allowed, "{path}: {response}");
            assert!(response.header("access-control-max-age").is_some(), "{path}: {response}");
        }
        // Nobody else may.
        let foreign = ask(&server, &Request::new("OPTIONS", &path), &[("Origin", FOREIGN)]).await;
        assert!(path.ends_with(".js") || is_refusal(&foreign), "{path}: {foreign}");
    }
}

#[tokio::test]
async fn a_405_lists_options_where_that_is_served() {
    let script = || ClientScript::from_bytes("script");
    for (cors, answers) in [(Cors::BuiltIn, true), (Cors::External, false)] {
        let server = start(strict().client_script(script()).cors(cors)).await;
        for (path, methods) in readable_urls() {
            let pages = [".js", "/info"].iter().any(|end| path.ends_with(end));
            let methods = if answers { methods } else { &methods["OPTIONS, ".len()..] };
            let allow = if pages { format!("{methods}, HEAD") } else { methods.to_owned() };
            let others = if answers { &["DELETE", "PUT"][..] } else { &["DELETE", "PUT", "OPTIONS"] };
            for method in others {
                let response = ask(&server, &Request::new(*method, &path), &[("Origin", ALLOWED)]).await;
                assert_eq!(response.status, 405, "{method} {path}: {response}");
                assert_eq!(response.header("allow"), Some(&*allow), "{method} {path}: {response}");
                assert_eq!(response.header("content-type"), None, "{method} {path}: {response}");
                assert_eq!(response.header("content-length"), Some("0"), "{method} {path}: {response}");
            }
        }
        for name in ["jsonp?c=f", "htmlfile?c=f", "jsonp_send"] {
            let path = Endpoint::path(&fresh_id(), name);
            let response = ask(&server, &Request::new("OPTIONS", path), &[("Origin", ALLOWED)]).await;
            assert_eq!(response.status, 405, "{name}: {response}");
            assert!(!response.header("allow").is_some_and(|allow| allow.contains("OPTIONS")), "{response}");
        }
    }
}
