//! One policy of origins over every URL: what pages of other origins get, and what their headers say.

use axum::{Router, http::uri::Scheme};
use axum_sockjs::{Options, Origins, SockJs, Transport};

use crate::support::{
    apps::{self, Endpoint},
    fresh_id,
    http::{Connection, Request},
    log::Log,
    origins::{
        ALLOWED, FOREIGN, ask, expect_verdict, is_legacy, is_refusal, modern_requests, requests, requests_to,
        start, strict,
    },
    server::Server,
    within,
};
#[cfg(feature = "websocket")]
use crate::support::{client::sockets, ws};

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

#[cfg(feature = "websocket")]
#[tokio::test]
async fn clients_that_are_no_browsers_open_websockets_as_ever() {
    let server = start(Options::new()).await;
    for way in sockets() {
        let mut socket = ws::open(server.addr, &ws::target(way)).await;
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
