//! What options switch on and off.

use std::time::Duration;

use axum::{
    Router,
    body::Body,
    http::{Request, StatusCode, header},
};
use axum_sockjs::{ClientScript, Cors, Options, SockJs, Transport};

use crate::support::in_process::{call, get, header, info, none, text, with_options};

#[tokio::test(start_paused = true)]
async fn each_transport_can_be_switched_off() {
    let urls = [
        (Transport::WebSocket, "GET", "000/x/websocket"),
        (Transport::RawWebSocket, "GET", "websocket"),
        (Transport::XhrStreaming, "POST", "000/a/xhr_streaming"),
        (Transport::EventSource, "GET", "000/b/eventsource"),
        (Transport::HtmlFile, "GET", "000/c/htmlfile?c=cb"),
        (Transport::XhrPolling, "POST", "000/d/xhr"),
        (Transport::JsonpPolling, "GET", "000/e/jsonp?c=cb"),
    ];
    let has_sockets = cfg!(feature = "websocket");
    for &off in Transport::ALL {
        let app = with_options(Options::new().disable(off));
        for (transport, method, url) in urls {
            let request = Request::builder().method(method).uri(format!("/app/{url}"));
            let status = call(&app, request.body(Body::empty()).unwrap()).await.status().as_u16();
            let socket = matches!(transport, Transport::WebSocket | Transport::RawWebSocket);
            let expected = match () {
                () if transport == off || socket && !has_sockets => 404,
                // A handshake without its headers.
                () if socket => 400,
                () => 200,
            };
            assert_eq!(status, expected, "{transport} without {off}");
        }
        let websocket = has_sockets && off != Transport::WebSocket;
        assert_eq!(info(&app).await["websocket"], websocket, "without {off}");
        let on_again = with_options(Options::new().disable(off).enable(off));
        assert_eq!(info(&on_again).await["websocket"], has_sockets);
    }
}

#[tokio::test(start_paused = true)]
async fn the_sending_urls_are_there_while_someone_needs_them() {
    let by_xhr =
        [Transport::XhrStreaming, Transport::EventSource, Transport::HtmlFile, Transport::XhrPolling];
    let (mut off, by_jsonp) = (Options::new(), Transport::JsonpPolling);
    for transport in by_xhr {
        off = off.disable(transport);
    }
    let methods = |app: Router| async move {
        let mut statuses = Vec::new();
        for name in ["xhr_send", "jsonp_send"] {
            // 405 says that there is such a path.
            statuses.push(get(&app, &format!("/app/000/x/{name}")).await.status().as_u16());
        }
        statuses
    };
    assert_eq!(methods(with_options(off.clone())).await, [404, 405]);
    assert_eq!(methods(with_options(Options::new().disable(by_jsonp))).await, [405, 404]);
    for transport in by_xhr {
        assert_eq!(methods(with_options(off.clone().enable(transport))).await, [405, 405], "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn cors_can_be_left_to_others() {
    for (cors, ours) in [(Cors::BuiltIn, true), (Cors::External, false)] {
        let app = with_options(Options::new().cors(cors));
        for (method, uri, status) in [
            ("GET", "/app/info", [200, 200]),
            ("OPTIONS", "/app/info", [204, 405]),
            ("POST", "/app/000/x/xhr", [200, 200]),
            ("OPTIONS", "/app/000/x/xhr", [204, 405]),
            ("OPTIONS", "/app/000/x/xhr_send", [204, 405]),
            ("OPTIONS", "/app/000/x/xhr_streaming", [204, 405]),
            ("OPTIONS", "/app/000/z/eventsource", [204, 405]),
            ("POST", "/app/000/y/xhr_send", [404, 404]),
            ("GET", "/app/000/z/eventsource", [200, 200]),
        ] {
            let request = Request::builder().method(method).uri(uri).header("origin", "http://other");
            let response = call(&app, request.body(Body::empty()).unwrap()).await;
            assert_eq!(response.status().as_u16(), status[usize::from(!ours)], "{cors:?}: {method} {uri}");
            let names = response.headers().keys();
            let count = names.filter(|name| name.as_str().starts_with("access-control-")).count();
            assert_eq!(count > 0, ours, "{cors:?}: {method} {uri}: {:?}", response.headers());
            let varies = response.headers().get_all(header::VARY).iter().any(|value| value == "Origin");
            assert_eq!(varies, ours, "{cors:?}: {method} {uri}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn urls_can_be_told_to_clients() {
    assert!(info(&with_options(Options::new())).await.get("base_url").is_none());
    let app =
        with_options(Options::new().base_url("https://node7.example/app").client_url("/js/sockjs.js?v=1"));
    assert_eq!(info(&app).await["base_url"], "https://node7.example/app");
    for page in ["/app/iframe.html", "/app/iframe-1.6.1.html"] {
        let page = text(get(&app, page).await).await;
        assert!(page.contains(r#"<script src="/js/sockjs.js?v=1"></script>"#), "{page}");
    }
}

#[test]
fn an_endpoint_shows_its_options() {
    let endpoint = SockJs::new(none).options(Options::new().base_url("/x"));
    let text = format!("{endpoint:?} {:?}", endpoint.clone().layer("/prefix"));
    assert!(text.contains("base_url: /x") && text.contains("/prefix"), "{text}");
}

#[tokio::test(start_paused = true)]
async fn the_client_script_is_served_where_the_iframe_page_loads_it() {
    const SCRIPT: &str = "window.SockJS = function () {};";
    let script = ClientScript::from_bytes(SCRIPT);
    let versioned = format!("/app/sockjs-{}.min.js", script.version());
    let app = with_options(Options::new().client_script(script.clone()));
    assert!(text(get(&app, "/app/iframe.html").await).await.contains("<script src=\"sockjs.min.js\">"));
    for (path, cached) in
        [("/app/sockjs.min.js", "public, no-cache"), (&*versioned, "public, max-age=31536000")]
    {
        let response = get(&app, path).await;
        assert_eq!(response.status(), StatusCode::OK, "{path}");
        assert_eq!(header(&response, "content-type"), "text/javascript; charset=UTF-8");
        assert_eq!(header(&response, "x-content-type-options"), "nosniff");
        assert_eq!(header(&response, "cache-control"), cached);
        let etag = header(&response, "etag").to_owned();
        assert_eq!(text(response).await, SCRIPT);

        let again = Request::get(path).header(header::IF_NONE_MATCH, etag).body(Body::empty()).unwrap();
        let response = call(&app, again).await;
        assert_eq!(response.status(), StatusCode::NOT_MODIFIED, "{path}");
        assert_eq!(text(response).await, "");

        let posted = call(&app, Request::post(path).body(Body::empty()).unwrap()).await;
        assert_eq!(posted.status(), StatusCode::METHOD_NOT_ALLOWED);
    }
    for missing in ["/app/sockjs-0123456789abcdef.min.js", "/app/sockjs-.min.js", "/app/sockjs.js"] {
        assert_eq!(get(&app, missing).await.status(), StatusCode::NOT_FOUND, "{missing}");
    }
    // Another file has another name, and without the option there is none.
    assert_ne!(ClientScript::from_bytes("other").version(), script.version());
    let app = with_options(Options::new());
    assert_eq!(get(&app, "/app/sockjs.min.js").await.status(), StatusCode::NOT_FOUND);
}

#[test]
fn a_client_script_comes_from_a_file_or_says_why_not() {
    let this_file = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/operating/options.rs");
    let script = ClientScript::from_file(this_file).unwrap();
    assert_eq!(script.version(), ClientScript::from_bytes(include_bytes!("options.rs").as_slice()).version());
    assert!(ClientScript::from_file("no/such/file.js").is_err());
}

#[test]
#[should_panic(expected = "before it is cloned")]
fn a_clone_keeps_its_options() {
    let sockjs: SockJs = SockJs::new(none);
    let _clone = sockjs.clone();
    drop(sockjs.options(Options::new()));
}

#[test]
#[should_panic(expected = "`None` disables heartbeats")]
fn what_cannot_work_does_not_start() {
    drop(SockJs::<()>::new(none).options(Options::new().heartbeat(Duration::ZERO)));
}
