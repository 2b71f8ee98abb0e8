//! One policy of origins over every URL: what pages of other origins get, and what their headers say.

use axum::{Router, http::uri::Scheme};
use axum_sockjs::{ClientScript, Cors, Options, Origins, SockJs, Transport};

use crate::support::{
    apps::{self, Endpoint},
    client::{WAYS, Way},
    fresh_id,
    http::{Connection, Request, Response},
    log::Log,
    server::Server,
    within,
};
#[cfg(feature = "websocket")]
use crate::support::{client::Kind, ws};

/// Listed by [`strict`].
const ALLOWED: &str = "https://www.example.com";
const FOREIGN: &str = "https://evil.example";

/// All that is judged, and not what any page may have.
fn strict() -> Options {
    let origins = Origins::list([ALLOWED, "https://*.example.org"]).expect("these are origins");
    Options::new().origins(origins).legacy_transports(true)
}

async fn start(options: Options) -> Server {
    Server::start(Router::new().nest_service("/app", SockJs::new(apps::echo).options(options))).await
}

/// A request to each kind of URL that is judged, a new session each time, and the status that it gets if it is
/// let in. `Host` is `localhost`.
fn requests() -> Vec<(String, Request, u16)> {
    let mut requests = vec![
        ("info".to_owned(), Request::get("/app/info"), 200),
        ("preflight of info".to_owned(), Request::new("OPTIONS", "/app/info"), 204),
        ("iframe".to_owned(), Request::get("/app/iframe.html"), 200),
    ];
    for way in WAYS {
        requests.push((way.transport.to_string(), receiving(way), if is_socket(way) { 101 } else { 200 }));
    }
    for name in ["xhr", "xhr_streaming", "xhr_send", "eventsource"] {
        let request = Request::new("OPTIONS", Endpoint::path(&fresh_id(), name));
        requests.push((format!("preflight of {name}"), request, 204));
    }
    for name in ["xhr_send", "jsonp_send"] {
        // Nobody knows the session.
        requests.push((name.to_owned(), Request::post(Endpoint::path(&fresh_id(), name)).body("[]"), 404));
    }
    requests
}

/// The request that opens a session.
fn receiving(way: &Way) -> Request {
    #[cfg(feature = "websocket")]
    if is_socket(way) {
        let id = fresh_id();
        let path = if way.framed { Endpoint::path(&id, way.receive) } else { "/app/websocket".to_owned() };
        return ws::handshake(path);
    }
    way.receiving(&fresh_id())
}

fn is_socket(way: &Way) -> bool {
    matches!(way.transport, Transport::WebSocket | Transport::RawWebSocket)
}

/// Whether only browsers ask for this, without an `Origin`.
fn is_legacy(name: &str) -> bool {
    matches!(name, "iframe" | "htmlfile" | "jsonp-polling" | "jsonp_send")
}

/// Asks with these headers, and reads the head of the answer.
async fn ask(server: &Server, request: &Request, headers: &[(&str, &str)]) -> Response {
    let request =
        headers.iter().fold(request.clone(), |request, (name, value)| request.header(*name, *value));
    let mut connection = server.connect().await;
    connection.send(&request).await;
    connection.head().await
}

fn is_refusal(response: &Response) -> bool {
    if response.status != 403 {
        return false;
    }
    assert!(response.header("cache-control").is_some_and(|value| value.contains("no-store")), "{response}");
    assert_eq!(response.header("access-control-allow-origin"), None, "{response}");
    assert_eq!(response.header("access-control-allow-credentials"), None, "{response}");
    assert_eq!(response.header("set-cookie"), None, "{response}");
    true
}

/// What a request says of where it comes from, and whether it is let in: with a list that has [`ALLOWED`].
const CASES: &[(&[(&str, &str)], bool)] = &[
    (&[("Origin", "http://localhost")], true),
    (&[("Origin", "https://localhost")], true),
    (&[("Origin", "http://localhost:8080")], false),
    (&[("Origin", ALLOWED)], true),
    (&[("Origin", "https://a.b.example.org")], true),
    (&[("Origin", "http://www.example.com")], false),
    (&[("Origin", FOREIGN)], false),
    (&[("Origin", "null")], false),
    (&[("Origin", "\u{e9}")], false),
    // What other clients than browsers write.
    (&[("Origin", "localhost")], true),
    (&[("Origin", "http://localhost/")], true),
    (&[("Origin", "http://localhost/path")], false),
    (&[("Sec-WebSocket-Origin", ALLOWED)], true),
    (&[("Sec-WebSocket-Origin", FOREIGN)], false),
    (&[("Origin", ALLOWED), ("Origin", ALLOWED)], false),
    (&[("Sec-Fetch-Site", "same-origin"), ("Origin", "https://behind.a.proxy.example")], true),
    (&[("Sec-Fetch-Site", "same-origin")], true),
    (&[("Sec-Fetch-Site", "none")], true),
    (&[("Sec-Fetch-Site", "same-site")], false),
    (&[("Sec-Fetch-Site", "cross-site")], false),
    (&[("Sec-Fetch-Site", "same-site"), ("Origin", "http://localhost")], false),
    (&[("Sec-Fetch-Site", "cross-site"), ("Origin", FOREIGN)], false),
    (&[("Sec-Fetch-Site", "cross-site"), ("Origin", ALLOWED)], true),
    (&[("Sec-Fetch-Site", "cross-site"), ("Referer", "https://www.example.com/")], true),
    (&[("Sec-Fetch-Site", "cross-site"), ("Referer", "https://evil.example/")], false),
    (&[("Referer", "http://localhost/page?a=b")], true),
    (&[("Referer", "https://www.example.com")], true),
    (&[("Referer", "https://evil.example/http://localhost/")], false),
    (&[("Referer", "http://localhost/caf\u{e9}")], true),
    (&[("Referer", "http://localhost\u{e9}/")], false),
];

#[tokio::test]
async fn one_policy_holds_for_every_url() {
    let server = start(strict()).await;
    for (headers, let_in) in CASES {
        for (name, request, status) in requests() {
            let response = ask(&server, &request, headers).await;
            if *let_in {
                assert_eq!(response.status, status, "{name}, {headers:?}: {response}");
            } else {
                assert!(is_refusal(&response), "{name}, {headers:?}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn what_says_nothing_is_let_in_unless_only_browsers_ask_for_it() {
    let server = start(strict()).await;
    for (name, request, status) in requests() {
        let response = ask(&server, &request, &[]).await;
        if is_legacy(&name) {
            assert!(is_refusal(&response), "{name}: {response}");
        } else {
            assert_eq!(response.status, status, "{name}: {response}");
        }
    }
}

#[tokio::test]
async fn a_page_that_hides_opens_nothing_in_its_visitors_name() {
    let server = start(Options::new()).await;
    // An image's request, and one by `fetch` with `no-cors`.
    for accept in ["image/avif,image/webp,*/*;q=0.8", "text/event-stream"] {
        for credentials in [("Cookie", "session=visitor"), ("Authorization", "Basic dmlzaXRvcjo=")] {
            for (name, request, status) in requests().into_iter().filter(|(name, ..)| !is_legacy(name)) {
                let response = ask(&server, &request, &[("Accept", accept), credentials]).await;
                if name.ends_with("eventsource") {
                    assert!(is_refusal(&response), "{response}");
                } else {
                    assert_eq!(response.status, status, "{name}: {response}");
                }
            }
        }
    }
}

#[tokio::test]
async fn the_default_is_the_same_origin() {
    let server = start(Options::new()).await;
    for (name, request, status) in requests() {
        if is_legacy(&name) {
            for headers in [&[][..], &[("Origin", "http://localhost")]] {
                assert_eq!(ask(&server, &request, headers).await.status, 404, "{name} is off");
            }
            continue;
        }
        let response = ask(&server, &request, &[("Origin", "http://localhost")]).await;
        assert_eq!(response.status, status, "{name}: {response}");
        for foreign in [ALLOWED, FOREIGN, "null"] {
            let response = ask(&server, &request, &[("Origin", foreign)]).await;
            assert!(is_refusal(&response), "{name}, {foreign}: {response}");
        }
    }
}

#[tokio::test]
async fn any_origin_is_let_in_where_the_option_says_so() {
    let server = start(Options::new().origins(Origins::any())).await;
    for headers in CASES.iter().map(|(headers, _)| *headers).chain([&[][..]]) {
        for (name, request, status) in requests() {
            let response = ask(&server, &request, headers).await;
            assert_eq!(response.status, status, "{name}, {headers:?}: {response}");
        }
    }
}

#[tokio::test]
async fn a_function_judges_what_is_not_the_endpoints_own() {
    let origins = Origins::custom(|origin, headers| origin == ALLOWED && headers.contains_key("x-tenant"));
    let server = start(Options::new().origins(origins).legacy_transports(true)).await;
    for (headers, let_in) in [
        (&[("Origin", "http://localhost")][..], true),
        (&[("Origin", ALLOWED), ("X-Tenant", "1")], true),
        (&[("Referer", "https://www.example.com/"), ("X-Tenant", "1")], true),
        (&[("Origin", ALLOWED)], false),
        (&[("Origin", FOREIGN), ("X-Tenant", "1")], false),
    ] {
        for (name, request, status) in requests() {
            let response = ask(&server, &request, headers).await;
            if let_in {
                assert_eq!(response.status, status, "{name}, {headers:?}: {response}");
            } else {
                assert!(is_refusal(&response), "{name}, {headers:?}: {response}");
            }
        }
    }
}

#[tokio::test]
async fn a_proxys_word_counts_where_it_is_trusted() {
    for (trusted, options) in [(false, Options::new()), (true, Options::new().trust_forwarded(true))] {
        let server = start(options).await;
        for headers in [
            &[("Origin", ALLOWED), ("X-Forwarded-Host", "www.example.com")][..],
            &[("Origin", ALLOWED), ("Forwarded", "for=192.0.2.1;proto=https;host=www.example.com")],
            &[("Origin", ALLOWED), ("Forwarded", "for=\"caf\u{e9}\";host=www.example.com")],
            &[
                ("Origin", "https://www.example.com:8443"),
                ("X-Forwarded-Host", "www.example.com"),
                ("X-Forwarded-Port", "8443"),
            ],
        ] {
            for (name, request, status) in requests().into_iter().filter(|(name, ..)| !is_legacy(name)) {
                let response = ask(&server, &request, headers).await;
                assert_eq!(response.status, if trusted { status } else { 403 }, "{name}, {headers:?}");
            }
        }
    }
}

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
async fn legacy_transports_go_together() {
    let list = || Origins::list([ALLOWED]).expect("this is an origin");
    for (options, on) in [
        (Options::new(), false),
        (Options::new().origins(list()), false),
        (Options::new().origins(Origins::custom(|_, _| true)), false),
        (Options::new().origins(Origins::any()), true),
        (Options::new().legacy_transports(true), true),
        (Options::new().origins(list()).legacy_transports(true), true),
        (Options::new().origins(Origins::any()).legacy_transports(false), false),
    ] {
        let shown = format!("{options:?}");
        let server = start(options.clone()).await;
        for (name, request, status) in requests() {
            let response = ask(&server, &request, &[("Referer", "http://localhost/")]).await;
            let expected = if is_legacy(&name) && !on { 404 } else { status };
            assert_eq!(response.status, expected, "{name}, {shown}: {response}");
        }
        // One alone can still be switched off.
        let server = start(options.disable(Transport::JsonpPolling)).await;
        let request = Request::get(Endpoint::path(&fresh_id(), "jsonp?c=f"));
        let response = ask(&server, &request, &[("Referer", "http://localhost/")]).await;
        assert_eq!(response.status, 404, "{shown}");
    }
}

#[tokio::test]
async fn the_iframe_page_says_who_may_frame_it() {
    let own = [("Sec-Fetch-Site", "same-origin")];
    let page = Request::get("/app/iframe.html");
    for (options, policy) in [
        (Options::new().legacy_transports(true), "frame-ancestors 'self'"),
        (strict(), "frame-ancestors 'self' https://www.example.com https://*.example.org"),
    ] {
        let server = start(options).await;
        let response = ask(&server, &page, &own).await;
        assert_eq!(response.header("content-security-policy"), Some(policy), "{response}");
        // Judged anew each time, for browsers that do not know the policy.
        let cache = response.header("cache-control").unwrap_or_default();
        assert!(cache.contains("no-store"), "{response}");
    }
    let server = start(Options::new().origins(Origins::any())).await;
    let response = ask(&server, &page, &own).await;
    assert_eq!(response.header("content-security-policy"), None, "{response}");
    assert!(response.header("cache-control").is_some_and(|cache| cache.contains("public")), "{response}");
}

#[tokio::test]
async fn the_body_of_a_refused_request_is_read() {
    let server = start(strict()).await;
    let mut connection = server.connect().await;
    for size in [0, 1000, 3 << 20] {
        let request = Request::post(Endpoint::path(&fresh_id(), "xhr_send"))
            .header("Origin", FOREIGN)
            .body("x".repeat(size));
        let response = connection.ask(&request).await;
        assert!(is_refusal(&response), "{size}: {response}");
        assert_eq!(response.text(), "Origin not allowed.\n");
    }
    // The connection is still good.
    assert_eq!(connection.ask(&Request::get("/app")).await.status, 200);
}

#[tokio::test]
async fn a_refused_origin_opens_no_session_and_reaches_none() {
    let endpoint = SockJs::new(apps::echo).options(strict());
    let handle = endpoint.handle();
    let server = Server::start(Router::new().nest_service("/app", endpoint)).await;
    let id = fresh_id();
    let poll = Request::post(Endpoint::path(&id, "xhr"));
    let send = Request::post(Endpoint::path(&id, "xhr_send")).body(r#"["foreign"]"#);
    assert!(is_refusal(&server.ask(&poll.clone().header("Origin", FOREIGN)).await));
    assert_eq!(handle.len(), 0);
    assert_eq!(server.ask(&poll.clone().header("Origin", ALLOWED)).await.text(), "o\n");
    assert!(is_refusal(&server.ask(&send.header("Origin", FOREIGN)).await));
    assert!(is_refusal(&server.ask(&poll.clone().header("Origin", FOREIGN)).await));
    let own = Request::post(Endpoint::path(&id, "xhr_send")).body(r#"["own"]"#);
    assert_eq!(server.ask(&own).await.status, 204);
    assert_eq!(server.ask(&poll).await.text(), "a[\"own\"]\n");
}

#[tokio::test]
async fn a_refusal_is_logged_once_and_names_the_option() {
    let log = Log::start(tracing::Level::WARN);
    let server = start(strict()).await;
    let id = fresh_id();
    for _ in 0..20 {
        let poll = Request::post(Endpoint::path(&id, "xhr?token=secret"))
            .header("Referer", "https://evil.example/secret?token=secret");
        assert!(is_refusal(&server.ask(&poll).await));
    }
    let text = log.text();
    assert_eq!(text.lines().count(), 1, "{text}");
    for part in ["WARN", FOREIGN, "Options::origins", "Options::trust_forwarded", "localhost"] {
        assert!(text.contains(part), "no {part}: {text}");
    }
    assert!(!text.contains(&id) && !text.contains("secret"), "{text}");
}

#[tokio::test]
async fn a_line_about_a_refusal_has_a_bounded_length() {
    let log = Log::start(tracing::Level::WARN);
    let server = start(strict()).await;
    let long = "x".repeat(5000);
    let request = Request::get(format!("http://{long}.example/app/info"));
    assert!(is_refusal(&ask(&server, &request, &[("Origin", &format!("https://{long}.elsewhere"))]).await));
    let text = log.text();
    assert!(text.contains("host=xxx") && text.len() < 1000, "{text}");
}

// What old browsers, proxies and other clients write.

/// Asks every URL with these headers of any bytes, and expects the same verdict for each.
async fn expect_verdict(
    server: &Server,
    requests: impl Fn() -> Vec<(String, Request, u16)>,
    headers: &[(&str, &[u8])],
    let_in: bool,
) {
    for (name, request, status) in requests() {
        let with =
            |request: Request, (header, value): &(&str, &[u8])| request.header_of_bytes(*header, *value);
        let request = headers.iter().fold(request.clone(), with);
        let response = ask(server, &request, &[]).await;
        if let_in {
            assert_eq!(response.status, status, "{name}, {headers:?}: {response}");
        } else {
            assert!(is_refusal(&response), "{name}, {headers:?}: {response}");
        }
    }
}

/// The URLs that are there by default.
fn modern_requests() -> Vec<(String, Request, u16)> {
    requests().into_iter().filter(|(name, ..)| !is_legacy(name)).collect()
}

/// As [`modern_requests`], to another host.
fn requests_to(host: &str) -> Vec<(String, Request, u16)> {
    modern_requests().into_iter().map(|(name, request, status)| (name, request.host(host), status)).collect()
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

#[tokio::test]
async fn a_server_that_ends_tls_itself_knows_its_scheme() {
    for (scheme, own, foreign) in [
        (Scheme::HTTPS, "https://victim", "http://victim"),
        ("HTTPS".parse().expect("this is a scheme"), "https://victim", "http://victim"),
        (Scheme::HTTP, "http://victim", "https://victim"),
    ] {
        let server = start(Options::new().scheme(scheme)).await;
        let requests = || requests_to("victim");
        for (origin, let_in) in [(own, true), (foreign, false)] {
            expect_verdict(&server, requests, &[("Origin", origin.as_bytes())], let_in).await;
            let page = format!("{origin}/page");
            expect_verdict(&server, requests, &[("Referer", page.as_bytes())], let_in).await;
            let old = [("Sec-WebSocket-Origin", origin.as_bytes())];
            expect_verdict(&server, requests, &old, let_in).await;
            // The browser's own word goes before it.
            let own = [("Origin", origin.as_bytes()), ("Sec-Fetch-Site", b"same-origin")];
            expect_verdict(&server, requests, &own, true).await;
        }
    }
    // It is not known by default, and a proxy that is trusted goes before it.
    for (options, origin) in [
        (Options::new(), "http://victim"),
        (Options::new(), "https://victim"),
        (Options::new().scheme(Scheme::HTTPS).trust_forwarded(true), "http://victim"),
    ] {
        let server = start(options).await;
        let with = [("Origin", origin.as_bytes()), ("X-Forwarded-Proto", b"http")];
        expect_verdict(&server, || requests_to("victim"), &with, true).await;
    }
}

#[test]
fn an_endpoints_scheme_is_http_or_https() {
    for scheme in ["ws", "wss", "ftp", "httpss", "x"] {
        let scheme: Scheme = scheme.parse().expect("this is a scheme");
        let refused = std::panic::catch_unwind(|| Options::new().scheme(scheme.clone()));
        assert!(refused.is_err(), "{scheme}");
    }
}

#[tokio::test]
async fn credentials_have_to_say_where_they_come_from_if_the_option_asks_for_it() {
    const CREDENTIALS: [(&str, &[u8]); 2] =
        [("Cookie", b"session=visitor"), ("Authorization", b"Basic dmlzaXRvcjo=")];
    let endpoint = SockJs::new(apps::echo).options(strict().require_origin_with_credentials(true));
    let handle = endpoint.handle();
    let server = Server::start(Router::new().nest_service("/app", endpoint)).await;
    for credentials in CREDENTIALS {
        // What a page with `no-referrer` makes old browsers send: forms among it.
        for silent in [
            &[credentials][..],
            &[credentials, ("Content-Type", b"text/plain")],
            &[credentials, ("Origin", b""), ("Referer", b"")],
            &[credentials, ("Accept", b"text/event-stream"), ("Sec-Fetch-Site", b"")],
        ] {
            expect_verdict(&server, requests, silent, false).await;
            assert!(handle.is_empty());
        }
    }
    for credentials in CREDENTIALS {
        for own in [
            ("Origin", &b"http://localhost"[..]),
            ("Origin", ALLOWED.as_bytes()),
            ("Referer", b"http://localhost/page"),
            ("Sec-Fetch-Site", b"same-origin"),
            ("Sec-Fetch-Site", b"none"),
        ] {
            expect_verdict(&server, requests, &[credentials, own], true).await;
        }
        expect_verdict(&server, requests, &[credentials, ("Origin", FOREIGN.as_bytes())], false).await;
    }
    // Without credentials, and without the option, it is as ever; and so it is where all are let in.
    expect_verdict(&server, modern_requests, &[], true).await;
    let server = start(Options::new()).await;
    let posts =
        || modern_requests().into_iter().filter(|(name, ..)| !name.ends_with("eventsource")).collect();
    expect_verdict(&server, posts, &CREDENTIALS, true).await;
    let server = start(Options::new().origins(Origins::any()).require_origin_with_credentials(true)).await;
    expect_verdict(&server, requests, &CREDENTIALS, true).await;
}

#[tokio::test]
async fn a_form_of_a_page_that_hides_sends_nothing_if_the_option_asks_for_an_origin() {
    let server = start(Options::new().require_origin_with_credentials(true)).await;
    let id = fresh_id();
    let own = |name| Request::post(Endpoint::path(&id, name)).header("Cookie", "session=visitor");
    let opened = server.ask(&own("xhr").header("Origin", "http://localhost")).await;
    assert_eq!((opened.status, opened.text()), (200, "o\n"));
    let form = own("xhr_send").header("Content-Type", "text/plain").body("[\"forged=\"]\r\n");
    assert!(is_refusal(&server.ask(&form).await));
    let sent = server.ask(&own("xhr_send").header("Origin", "http://localhost").body("[\"own\"]")).await;
    assert_eq!(sent.status, 204);
    let polled = server.ask(&own("xhr").header("Referer", "http://localhost/")).await;
    assert_eq!(polled.text(), "a[\"own\"]\n");
}

// Asking beforehand.

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

#[cfg(feature = "websocket")]
#[tokio::test]
async fn clients_that_are_no_browsers_open_websockets_as_ever() {
    let server = start(Options::new()).await;
    for way in WAYS.iter().filter(|way| way.kind == Kind::Socket) {
        let path =
            if way.framed { Endpoint::path(&fresh_id(), way.receive) } else { "/app/websocket".to_owned() };
        let mut socket = ws::open(server.addr, &path).await;
        if way.framed {
            assert_eq!(ws::text(&mut socket).await, "o");
        }
    }
}

#[tokio::test]
async fn http_1_0_has_no_host_to_compare_with() {
    let server = start(Options::new()).await;
    for (origin, status) in [("", "200"), ("Origin: http://localhost\r\n", "403")] {
        let mut connection = Connection::open(server.addr).await;
        connection.write(format!("GET /app/info HTTP/1.0\r\n{origin}\r\n")).await;
        let answer = within("the answer", connection.rest()).await;
        let answer = String::from_utf8_lossy(&answer).into_owned();
        assert!(answer.split(' ').nth(1) == Some(status), "{origin:?}: {answer}");
    }
}
