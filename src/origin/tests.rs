use http::{
    HeaderMap, HeaderValue, Uri,
    header::{HOST, ORIGIN, REFERER},
    uri::Scheme,
};
use proptest::prelude::*;

use super::{pattern::*, policy::*, request::*};

/// Checks a request to `http://app.example/` with these headers, after `setting` has changed the context.
fn judged<V: AsRef<[u8]>>(
    origins: &Origins,
    headers: &[(&'static str, V)],
    setting: impl FnOnce(&mut OriginContext<'_>),
) -> bool {
    let headers: HeaderMap = headers.iter().fold(HeaderMap::new(), |mut headers, (name, value)| {
        headers.append(*name, HeaderValue::from_bytes(value.as_ref()).unwrap());
        headers
    });
    let uri = Uri::from_static("/");
    let mut request = OriginContext {
        uri: &uri,
        headers: &headers,
        trust_forwarded: false,
        scheme: None,
        missing: MissingOrigin::Allowed,
    };
    setting(&mut request);
    origins.check(&request).is_ok()
}

fn lets_in<V: AsRef<[u8]>>(origins: &Origins, headers: &[(&'static str, V)]) -> bool {
    judged(origins, headers, |_| {})
}

fn list(patterns: &[&str]) -> Origins {
    Origins::list(patterns).unwrap()
}

/// Whether a request from `origin` to `host` is allowed as the endpoint's own origin.
fn is_own(host: &str, origin: &str) -> bool {
    lets_in(&Origins::same(), &[("host", host), ("origin", origin)])
}

#[test]
fn an_own_origin_has_the_host_and_the_port_of_the_request() {
    for (host, origin) in [
        ("app.example", "http://app.example"),
        // A proxy may have terminated TLS.
        ("app.example", "https://app.example"),
        ("app.example:80", "http://app.example"),
        ("app.example:443", "https://app.example"),
        ("app.example", "https://app.example:443"),
        ("app.example:", "https://app.example"),
        ("app.example:8080", "http://app.example:8080"),
        ("APP.example", "https://app.EXAMPLE"),
        ("app.example.", "https://app.example."),
        ("127.0.0.1:8081", "http://127.0.0.1:8081"),
        ("[::1]:8081", "http://[::1]:8081"),
        ("[2001:DB8::1]", "https://[2001:db8::1]"),
        // As clients that are not browsers may write it.
        ("app.example", "wss://app.example"),
        ("app.example", "https://app.example/"),
        ("app.example:8080", "http://app.example:8080/"),
        ("[::1]:80", "http://[::1]/"),
        ("app.example", "app.example"),
        ("app.example:8080", "APP.example:8080"),
        ("app.example", "app.example:80"),
        ("app.example", "app.example:443"),
        ("app.example:443", "app.example"),
        ("127.0.0.1:8081", "127.0.0.1:8081"),
        ("[::1]:8081", "[::1]:8081"),
        ("app.example", ""),
    ] {
        assert!(is_own(host, origin), "{origin} at {host}");
    }
    for (host, origin) in [
        ("app.example", "http://app.example:8080"),
        ("app.example:8080", "http://app.example"),
        ("app.example:443", "http://app.example"),
        ("app.example:80", "https://app.example"),
        ("app.example", "https://app.example."),
        ("app.example", "https://evil.app.example"),
        ("app.example", "https://app.example.evil.example"),
        ("app.example", "https://app.example@evil.example"),
        ("app.example", "https://app.example:443@evil.example"),
        ("app.example", "https://app.example//"),
        ("app.example", "https://app.example/path"),
        ("app.example", "https://app.example/?"),
        ("app.example", "https://app.example?"),
        ("app.example", "https://app.example/#"),
        ("app.example", "https://user@app.example/"),
        ("app.example", "http://evil.example/"),
        ("app.example", "https://app.example:0443x"),
        ("app.example", "https://app.example:+443"),
        ("app.example", "https://app.example:65979"),
        ("app.example", "https:app.example"),
        ("app.example", "//app.example"),
        ("app.example", "app.example/"),
        ("app.example", "user@app.example"),
        ("app.example", "app.example:8080"),
        ("app.example:8080", "app.example"),
        ("app.example:8080", "app.example:80"),
        ("app.example", "evil.example"),
        ("app.example", "evil.app.example"),
        ("app.example", " app.example"),
        ("app.example", "app.example, app.example"),
        ("app.example", "null"),
        ("null", "null"),
        ("null", "Null"),
        ("localhost", "capacitor://localhost/"),
        ("localhost", "capacitor://localhost"),
        ("[::1]", "http://::1"),
        ("[::1]:80", "http://[::1]:81"),
        ("", "http://"),
        ("a b", "http://a b"),
        ("*", "http://*"),
        ("a,b", "http://a,b"),
    ] {
        assert!(!is_own(host, origin), "{origin} at {host}");
    }
}

#[test]
fn what_only_other_clients_write_is_for_the_own_host_alone() {
    let forms = ["https://www.example.com/", "www.example.com", "www.example.com:443", "null/"];
    let listed = list(&["https://www.example.com", "https://*.example.com"]);
    for origin in forms {
        let headers = [("host", "app.example"), ("origin", origin)];
        assert!(!lets_in(&listed, &headers), "{origin}");
        assert!(!lets_in(&Origins::custom(|_, _| true), &headers), "{origin}");
    }
    // `Sec-Fetch-Site` takes precedence.
    for origin in ["http://app.example/", "app.example", "app.example:80"] {
        for (site, own) in [("cross-site", false), ("same-site", false), ("none", true), ("?", true)] {
            let headers = [("host", "app.example"), ("origin", origin), ("sec-fetch-site", site)];
            assert_eq!(lets_in(&Origins::same(), &headers), own, "{origin}, {site}");
        }
        // The scheme does not matter.
        let old = [("host", "app.example"), ("sec-websocket-origin", origin)];
        assert!(lets_in(&Origins::same(), &old), "{origin}");
        let referer = [("host", "app.example"), ("referer", origin)];
        assert_eq!(lets_in(&Origins::same(), &referer), origin.contains("://"), "{origin}");
    }
    // If the scheme is known, so is its default port.
    for (origin, own) in [("app.example:443", true), ("app.example", true), ("app.example:80", false)] {
        let headers = [("host", "app.example"), ("origin", origin)];
        let judged = judged(&Origins::same(), &headers, |request| request.scheme = Some(&Scheme::HTTPS));
        assert_eq!(judged, own, "{origin}");
    }
}

#[test]
fn what_is_empty_has_not_been_said() {
    let host = ("host", "app.example");
    for name in ["origin", "sec-websocket-origin", "referer"] {
        let with = |other| [host, (name, ""), other];
        assert!(lets_in(&Origins::same(), &with(("cookie", "a=b"))), "{name}");
        let hidden = judged(&Origins::same(), &with(("cookie", "a=b")), |request| {
            request.missing = MissingOrigin::Refused;
        });
        assert!(!hidden, "{name}");
        for (origin, own) in [("http://app.example", true), ("http://evil.example", false)] {
            for other in ["origin", "sec-websocket-origin", "referer"] {
                assert_eq!(
                    lets_in(&Origins::same(), &with((other, origin))),
                    own,
                    "{name}, {other}: {origin}"
                );
            }
        }
        let site = |site| lets_in(&Origins::same(), &with(("sec-fetch-site", site)));
        assert!(!site("cross-site") && !site("same-site") && site("none") && site("same-origin"));
    }
}

#[test]
fn an_http2_request_names_its_host_in_its_url() {
    let mut headers = HeaderMap::new();
    headers.insert(ORIGIN, HeaderValue::from_static("https://app.example"));
    headers.insert(HOST, HeaderValue::from_static("ignored.example"));
    for (uri, own) in [("https://app.example/", true), ("https://other.example/", false)] {
        let uri = Uri::from_static(uri);
        let request = OriginContext {
            uri: &uri,
            headers: &headers,
            trust_forwarded: false,
            scheme: None,
            missing: MissingOrigin::Allowed,
        };
        assert_eq!(Origins::same().check(&request).is_ok(), own, "{uri}");
    }
}

#[test]
fn two_hosts_or_none_are_nobodys_own() {
    let origin = ("origin", "http://a.example");
    assert!(!lets_in(&Origins::same(), &[origin, ("host", "a.example"), ("host", "b.example")]));
    assert!(!lets_in(&Origins::same(), &[origin, ("host", "a.example"), ("host", "a.example")]));
    assert!(!lets_in(&Origins::same(), &[origin]));
}

#[test]
fn what_a_proxy_says_counts_only_when_it_is_trusted() {
    let origin = "https://app.example";
    for (name, value, own) in [
        ("x-forwarded-host", "app.example", true),
        ("x-forwarded-host", "app.example, inner.example", true),
        ("x-forwarded-host", "inner.example, app.example", false),
        ("x-forwarded-host", "app.example:443", true),
        ("x-forwarded-host", "app.example:8443", false),
        ("forwarded", "host=app.example;proto=https", true),
        ("forwarded", "for=192.0.2.1 ; Host=\"app.example:443\"; PROTO=https, host=inner", true),
        ("forwarded", "for=\"_a,host=app.example\";proto=https", false),
        ("forwarded", "for=\"[2001:db8::1]:4711\";host=app.example", true),
        ("forwarded", "proto=http;host=app.example", false),
        ("forwarded", "proto=wss;host=app.example", true),
        ("forwarded", "proto=gopher;host=app.example", false),
        ("forwarded", "host", false),
        ("forwarded", "\"", false),
    ] {
        let headers = [("host", "upstream"), ("origin", origin), (name, value)];
        assert!(!lets_in(&Origins::same(), &headers), "not trusted: {name}: {value}");
        let trusted = judged(&Origins::same(), &headers, |request| request.trust_forwarded = true);
        assert_eq!(trusted, own, "{name}: {value}");
    }
}

#[test]
fn a_known_scheme_counts() {
    let with = |headers: &[_]| judged(&Origins::same(), headers, |request| request.trust_forwarded = true);
    let host = ("host", "app.example");
    assert!(with(&[host, ("origin", "https://app.example"), ("x-forwarded-proto", "https")]));
    assert!(with(&[host, ("origin", "https://app.example"), ("x-forwarded-proto", "wss")]));
    assert!(!with(&[host, ("origin", "http://app.example"), ("x-forwarded-proto", "https")]));
    // Without a proxy's headers, `Host` decides.
    assert!(with(&[host, ("origin", "http://app.example")]));
    // `Forwarded` takes precedence.
    let both = [("forwarded", "host=a.example"), ("x-forwarded-host", "b.example"), ("host", "c.example")];
    for (origin, own) in
        [("http://a.example", true), ("http://b.example", false), ("http://c.example", false)]
    {
        assert_eq!(with(&[both[0], both[1], both[2], ("origin", origin)]), own, "{origin}");
    }
}

#[test]
fn a_forwarded_port_goes_with_a_host_that_names_none() {
    let with = |headers: &[_]| judged(&Origins::same(), headers, |request| request.trust_forwarded = true);
    let host = ("host", "in");
    let (to, proto) = (("x-forwarded-host", "example.com"), ("x-forwarded-proto", "https"));
    for (headers, origin, own) in [
        (&[host, to, proto, ("x-forwarded-port", "8443")][..], "https://example.com:8443", true),
        (&[host, to, proto, ("x-forwarded-port", "8443")], "https://example.com", false),
        (&[host, to, proto, ("x-forwarded-port", "443")], "https://example.com", true),
        (&[host, to, ("x-forwarded-port", "8080")], "http://example.com:8080", true),
        (&[host, to, ("x-forwarded-port", " 8443 , 80")], "https://example.com:8443", true),
        // The host's own port takes precedence.
        (&[("x-forwarded-host", "example.com:1"), ("x-forwarded-port", "2")], "http://example.com:1", true),
        (&[("x-forwarded-host", "example.com:1"), ("x-forwarded-port", "2")], "http://example.com:2", false),
        (&[("x-forwarded-host", "example.com:1"), ("x-forwarded-port", "?")], "http://example.com:1", true),
        // So does the port of `Host`.
        (&[host, ("x-forwarded-port", "8443")], "https://in:8443", true),
        (&[host, ("x-forwarded-port", "8443")], "https://in", false),
        (&[("host", "in:1"), ("x-forwarded-port", "8443")], "https://in:1", true),
        (&[("host", "in:"), ("x-forwarded-port", "8443")], "https://in:8443", true),
        // The host of `Forwarded` includes its port.
        (&[("forwarded", "host=example.com"), ("x-forwarded-port", "8443")], "https://example.com", true),
        (
            &[("forwarded", "host=example.com"), ("x-forwarded-port", "8443")],
            "https://example.com:8443",
            false,
        ),
        (&[("forwarded", "proto=https"), to, ("x-forwarded-port", "8443")], "https://example.com:8443", true),
        // Unreadable values are not guessed.
        (&[host, to, ("x-forwarded-port", "x")], "https://example.com", false),
        (&[host, to, ("x-forwarded-port", "+443")], "https://example.com", false),
        (&[host, to, ("x-forwarded-port", "65979")], "https://example.com", false),
        (&[host, to, ("x-forwarded-port", "\u{e9}")], "https://example.com", false),
        // Empty values are ignored.
        (&[host, to, ("x-forwarded-port", "")], "https://example.com", true),
        (&[host, to, ("x-forwarded-port", " , 8443")], "https://example.com", true),
        (&[host, ("x-forwarded-host", "")], "https://in", true),
        (&[host, ("x-forwarded-host", " , example.com")], "https://in", true),
        (&[host, to, ("x-forwarded-proto", "")], "http://example.com", true),
        (&[host, to, ("forwarded", "host=;proto=\"\"")], "http://example.com", true),
    ] {
        let headers = [headers, &[("origin", origin)]].concat();
        assert_eq!(with(&headers), own, "{headers:?}");
        // If the proxy is not trusted, only `Host` counts.
        let alone = headers.iter().copied().filter(|(name, _)| !name.contains("forwarded"));
        let alone = lets_in(&Origins::same(), &alone.collect::<Vec<_>>());
        assert_eq!(lets_in(&Origins::same(), &headers), alone, "{headers:?}");
    }
}

#[test]
fn a_scheme_that_the_application_knows_counts() {
    let https =
        |headers: &[_]| judged(&Origins::same(), headers, |request| request.scheme = Some(&Scheme::HTTPS));
    let http =
        |headers: &[_]| judged(&Origins::same(), headers, |request| request.scheme = Some(&Scheme::HTTP));
    for (host, secure, plain) in [
        ("app.example", "https://app.example", "http://app.example"),
        ("app.example:8443", "https://app.example:8443", "http://app.example:8443"),
        ("app.example:443", "https://app.example", "http://app.example:443"),
        ("app.example", "wss://app.example", "ws://app.example"),
        ("app.example", "HTTPS://app.example", "HTTP://app.example"),
        ("app.example:1", "https://app.example:1/", "http://app.example:1/"),
    ] {
        for name in ["origin", "sec-websocket-origin", "referer"] {
            let headers = |origin| [("host", host), (name, origin)];
            assert!(https(&headers(secure)) && !https(&headers(plain)), "{name} {secure} at {host}");
            assert!(http(&headers(plain)) || host.ends_with(":443"), "{name} {plain} at {host}");
            assert!(!http(&headers(secure)), "{name} {secure} at {host}");
        }
    }
    // A trusted proxy and the request itself take precedence.
    for (proto, origin) in [("http", "http://app.example"), ("https", "https://app.example")] {
        let headers = [("host", "app.example"), ("x-forwarded-proto", proto), ("origin", origin)];
        for scheme in [&Scheme::HTTP, &Scheme::HTTPS] {
            let trusted = judged(&Origins::same(), &headers, |request| {
                (request.scheme, request.trust_forwarded) = (Some(scheme), true);
            });
            assert!(trusted, "{origin}, {scheme}");
        }
        let untrusted = https(&headers);
        assert_eq!(untrusted, proto == "https", "nobody has vouched for the proxy");
    }
    let uri = Uri::from_static("https://app.example/");
    for (origin, own) in [("https://app.example", true), ("http://app.example", false)] {
        let headers = HeaderMap::from_iter([(ORIGIN, HeaderValue::from_static(origin))]);
        let request = OriginContext {
            uri: &uri,
            headers: &headers,
            trust_forwarded: false,
            scheme: Some(&Scheme::HTTP),
            missing: MissingOrigin::Allowed,
        };
        assert_eq!(Origins::same().check(&request).is_ok(), own, "{origin}");
    }
    // `Sec-Fetch-Site` needs no scheme.
    assert!(https(&[("host", "a"), ("origin", "http://a"), ("sec-fetch-site", "same-origin")]));
}

#[test]
fn bytes_above_ascii_cost_no_header_its_other_parts() {
    let host = ("host", &b"app.example"[..]);
    // The path and query of a page may have any bytes.
    for own in [
        &b"http://app.example/caf\xc3\xa9"[..],
        b"https://app.example/caf\xe9?\xff",
        b"http://app.example?\xe9",
        b"http://app.example#\xc3\xa9",
    ] {
        assert!(lets_in(&Origins::same(), &[host, ("referer", own)]), "{own:?}");
    }
    for foreign in [
        &b"http://evil.example/caf\xc3\xa9"[..],
        b"http://evil.example/\xe9http://app.example/",
        b"http://caf\xc3\xa9.example/",
        b"http://app.example\xe9/",
        b"\xe9://app.example/",
        b"http\xe9://app.example/",
        b"http://\xe9@app.example/",
    ] {
        assert!(!lets_in(&Origins::same(), &[host, ("referer", foreign)]), "{foreign:?}");
        assert!(!lets_in(
            &list(&["http://*.app.example", "http://a.example"]),
            &[host, ("referer", foreign)]
        ));
    }
    // An origin must be readable as a whole.
    for origin in
        [&b"http://app.example\xe9"[..], b"\xe9", b"http://app.example/\xc3\xa9", b"app.example\xa0"]
    {
        for name in ["origin", "sec-websocket-origin"] {
            assert!(!lets_in(&Origins::same(), &[host, (name, origin)]), "{origin:?}");
            assert!(!lets_in(&Origins::custom(|_, _| true), &[host, (name, origin)]), "{origin:?}");
        }
    }
    // A proxy's other parameters and elements do not matter.
    let (inner, origin) = (("host", &b"in"[..]), ("origin", &b"https://app.example"[..]));
    for (name, value, own) in [
        ("forwarded", &b"for=\"caf\xc3\xa9\";host=app.example;proto=https"[..], true),
        ("forwarded", b"host=app.example, for=\xe9;host=in", true),
        ("forwarded", b"\xe9=\xe9;host=app.example", true),
        ("forwarded", b"by=\"\xe9;\";host=\"app.example\";proto=https,\xff", true),
        ("x-forwarded-host", b"app.example, \xe9", true),
        ("x-forwarded-host", b"app.example,in\xff, in", true),
        // Used values must be readable, and nothing replaces them.
        ("forwarded", b"host=app\xe9.example", false),
        ("forwarded", b"host=app.example;proto=\xe9", false),
        ("x-forwarded-host", b"app.example\xe9", false),
        ("x-forwarded-host", b"\xe9, app.example", false),
    ] {
        let headers = [inner, origin, (name, value)];
        let trusted = judged(&Origins::same(), &headers, |request| request.trust_forwarded = true);
        assert_eq!(trusted, own, "{name}: {value:?}");
        // `Host` does not replace them either.
        let headers = [("host", &b"app.example"[..]), origin, (name, value)];
        let trusted = judged(&Origins::same(), &headers, |request| request.trust_forwarded = true);
        assert_eq!(trusted, own, "{name}: {value:?}");
    }
    for (proto, own) in [(&b"https, \xe9"[..], true), (b"https\xe9", false), (b"http, \xe9", false)] {
        let headers = [host, origin, ("x-forwarded-proto", proto)];
        let trusted = judged(&Origins::same(), &headers, |request| request.trust_forwarded = true);
        assert_eq!(trusted, own, "{proto:?}");
    }
}

#[test]
fn the_browsers_word_goes_before_hosts() {
    let same = Origins::same();
    let site =
        |site, origin| lets_in(&same, &[("host", "upstream"), ("sec-fetch-site", site), ("origin", origin)]);
    assert!(site("same-origin", "https://app.example"), "a proxy has changed the host");
    assert!(site("same-origin", "null"), "the form of a page with `no-referrer`");
    for foreign in ["same-site", "cross-site"] {
        assert!(!site(foreign, "http://upstream"), "the host only looks the same");
        assert!(!site(foreign, "https://app.example"));
        assert!(!lets_in(&same, &[("host", "a.example"), ("sec-fetch-site", foreign)]));
        let listed = [("sec-fetch-site", foreign), ("origin", "https://www.example.com")];
        assert!(lets_in(&list(&["https://www.example.com"]), &listed));
        let listed = [("sec-fetch-site", foreign), ("referer", "https://www.example.com/a?b")];
        assert!(lets_in(&list(&["https://www.example.com"]), &listed));
    }
    assert!(lets_in(&same, &[("host", "a.example"), ("sec-fetch-site", "none")]), "typed by the user");
    // For example an extension's request.
    assert!(!site("none", "chrome-extension://abc"));
    assert!(site("none", "http://upstream"));
    // Unknown values are ignored.
    assert!(!site("Same-Origin", "https://app.example"));
    assert!(!site("", "https://app.example"));
    let twice =
        [("sec-fetch-site", "same-origin"), ("sec-fetch-site", "same-origin"), ("origin", "https://a")];
    assert!(!lets_in(&same, &twice));
}

#[test]
fn referer_is_asked_where_there_is_no_origin() {
    let same = |referer| lets_in(&Origins::same(), &[("host", "app.example"), ("referer", referer)]);
    for own in [
        "http://app.example",
        "https://app.example/",
        "https://app.example/a://b?c=://d",
        "http://app.example?a",
    ] {
        assert!(same(own), "{own}");
    }
    for foreign in
        ["https://other.example/http://app.example/", "https://app.example:1/", "about:blank", "\u{e9}"]
    {
        assert!(!same(foreign), "{foreign}");
    }
    let both = [("host", "a.example"), ("origin", "http://b.example"), ("referer", "http://a.example/")];
    assert!(!lets_in(&Origins::same(), &both), "`Origin` comes first");
}

#[test]
fn what_says_nothing_is_no_browser_unless_only_browsers_ask() {
    let nothing = [("host", "app.example")];
    assert!(lets_in(&Origins::same(), &nothing));
    for (headers, allowed) in [
        (&nothing[..], false),
        (&[("host", "a.example"), ("referer", "http://a.example/")], true),
        (&[("host", "a.example"), ("referer", "http://b.example/")], false),
        (&[("host", "a.example"), ("sec-fetch-site", "same-origin")], true),
        (&[("host", "a.example"), ("sec-fetch-site", "none")], true),
        (&[("host", "a.example"), ("sec-fetch-site", "cross-site")], false),
    ] {
        let of_pages = judged(&Origins::same(), headers, |request| request.missing = MissingOrigin::Refused);
        assert_eq!(of_pages, allowed, "{headers:?}");
    }
    assert!(judged(&Origins::any(), &nothing, |request| request.missing = MissingOrigin::Refused));
}

#[test]
fn where_a_page_can_hide_a_users_credentials_have_to_say_where_they_come_from() {
    let hidden = |headers: &[_]| {
        judged(&Origins::same(), headers, |request| {
            request.missing = MissingOrigin::AllowedWithoutCredentials;
        })
    };
    let host = ("host", "a.example");
    assert!(hidden(&[host]));
    assert!(hidden(&[host, ("accept", "text/event-stream")]));
    for credentials in [("cookie", "id=1"), ("authorization", "Basic YTpi")] {
        assert!(!hidden(&[host, credentials]));
        assert!(!hidden(&[host, credentials, ("accept", "text/event-stream")]), "any page may set that");
        for own in
            [("origin", "http://a.example"), ("referer", "http://a.example/"), ("sec-fetch-site", "none")]
        {
            assert!(hidden(&[host, credentials, own]), "{own:?}");
        }
        assert!(!hidden(&[host, credentials, ("referer", "http://b.example/")]));
        assert!(lets_in(&Origins::same(), &[host, credentials]), "no page can ask so");
    }
}

#[test]
fn https_in_the_url_of_a_request_counts() {
    for (url, origin, own) in [
        ("https://app.example/", "https://app.example", true),
        ("https://app.example/", "http://app.example", false),
        ("https://app.example:8443/", "http://app.example:8443", false),
        // A proxy may have terminated TLS.
        ("http://app.example/", "https://app.example", true),
        ("http://app.example/", "http://app.example", true),
        ("/", "http://app.example", true),
    ] {
        let uri = url.parse().unwrap();
        let mut headers = HeaderMap::new();
        headers.insert(HOST, HeaderValue::from_static("app.example"));
        headers.insert(ORIGIN, HeaderValue::from_static(origin));
        let mut request = OriginContext {
            uri: &uri,
            headers: &headers,
            trust_forwarded: false,
            scheme: None,
            missing: MissingOrigin::Allowed,
        };
        assert_eq!(Origins::same().check(&request).is_ok(), own, "{origin} at {url}");
        // A trusted proxy's report takes precedence over its own request.
        let mut forwarded = headers.clone();
        forwarded.insert(X_FORWARDED_HOST, HeaderValue::from_static("app.example"));
        forwarded.insert(X_FORWARDED_PROTO, HeaderValue::from_static("http"));
        forwarded.insert(ORIGIN, HeaderValue::from_static("http://app.example"));
        (request.headers, request.trust_forwarded) = (&forwarded, true);
        assert!(Origins::same().check(&request).is_ok(), "{url}");
    }
}

#[test]
fn several_origins_are_none() {
    let twice = [("host", "a.example"), ("origin", "http://a.example"), ("origin", "http://a.example")];
    assert!(!lets_in(&Origins::same(), &twice));
    assert!(!lets_in(&list(&["http://a.example"]), &twice));
    assert!(!lets_in(&Origins::custom(|_, _| true), &twice));
    assert!(lets_in(&Origins::any(), &twice));
    assert!(!lets_in(&list(&["http://a.example"]), &[("origin", "http://a.example http://b.example")]));
}

#[test]
fn old_websockets_have_another_name_for_it() {
    let old = |origin| lets_in(&Origins::same(), &[("host", "a.example"), ("sec-websocket-origin", origin)]);
    assert!(old("http://a.example"));
    assert!(!old("http://b.example"));
}

#[test]
fn a_list_has_patterns() {
    let origins = list(&[
        "https://www.example.com",
        "https://*.Example.org",
        "http://localhost:*",
        "http://*.test:8080",
        "https://default.example:443",
        "http://[::1]:8080",
        "capacitor://localhost",
    ]);
    let allows = |origin| lets_in(&origins, &[("host", "app.example"), ("origin", origin)]);
    for origin in [
        "https://www.example.com",
        "HTTPS://WWW.example.com",
        "https://www.example.com:443",
        "https://a.example.org",
        "https://a.b.example.org",
        "http://localhost",
        "http://localhost:3000",
        "http://a.test:8080",
        "https://default.example",
        "http://[::1]:8080",
        "capacitor://localhost",
        "https://app.example",
    ] {
        assert!(allows(origin), "{origin}");
    }
    for origin in [
        "http://www.example.com",
        "https://www.example.com:8443",
        "https://www.example.com.",
        "https://example.com",
        "https://a.www.example.com",
        "https://example.org",
        "https://.example.org",
        "https://evilexample.org",
        "https://a.example.org:1",
        "https://a.example.org.evil.example",
        "https://localhost",
        "http://a.localhost",
        "http://a.test",
        "http://[::1]",
        "capacitor://elsewhere",
        "null",
        "*",
        "https://*.example.org",
    ] {
        assert!(!allows(origin), "{origin}");
    }
}

#[test]
fn a_pattern_is_refused_with_a_reason() {
    for (pattern, why) in [
        ("*", "Origins::any"),
        ("null", "any page can send it"),
        ("www.example.com", "scheme"),
        ("", "scheme"),
        ("://a", "scheme"),
        ("1a://b", "scheme"),
        ("https://", "host"),
        ("https://*", "host"),
        ("https://*.", "host"),
        ("https://a.*.example", "host"),
        ("https://*a.example", "host"),
        ("https://a.example:", ""),
        ("https://a.example:x", "port"),
        ("https://a.example:80:*", "port"),
        ("https://a.example:99999", "port"),
        ("https://a.example/", "nothing behind"),
        ("https://a.example?b", "nothing behind"),
        ("https://user@a.example", "nothing behind"),
        ("https://\u{e9}.example", "ASCII"),
        ("https://a.example; script-src *", "host"),
        ("https://a.example b", "host"),
        ("https://a.example,b", "host"),
    ] {
        match Origins::list([pattern]) {
            Ok(_) => assert_eq!(why, "", "{pattern}"),
            Err(error) => {
                assert!(!why.is_empty() && error.to_string().contains(why), "{error}");
                assert!(error.to_string().contains(&format!("{pattern:?}")), "{error}");
            }
        }
    }
}

#[test]
fn a_function_is_asked_about_other_origins_only() {
    let origins = Origins::custom(|origin, headers| {
        assert_ne!(origin, "http://app.example", "the endpoint's own");
        (origin == "null" || origin == "https://partner.example") && headers.contains_key("x-tenant")
    });
    let ask = |origin: &str, tenant| {
        lets_in(&origins, &[("host", "app.example"), ("origin", origin), (tenant, "1")])
    };
    assert!(ask("http://app.example", "x-other"));
    assert!(ask("https://partner.example", "x-tenant"));
    assert!(ask("null", "x-tenant"));
    assert!(!ask("https://partner.example", "x-other"));
    assert!(!ask("https://other.example", "x-tenant"));
    let all = Origins::custom(|_, _| true);
    for absurd in ["a", "https://a/b", "https://a/", "https://a b", "http://é"] {
        assert!(!lets_in(&all, &[("host", "app.example"), ("origin", absurd)]), "{absurd}");
    }
}

#[test]
fn a_policy_says_who_may_frame_a_page() {
    let policy = |origins: &Origins, referer: &str| {
        let mut headers = HeaderMap::new();
        headers.insert(REFERER, HeaderValue::from_bytes(referer.as_bytes()).unwrap());
        origins.frame_ancestors(&headers).map(|policy| policy.to_str().unwrap().to_owned())
    };
    assert_eq!(policy(&Origins::any(), ""), None);
    assert_eq!(policy(&Origins::same(), "").unwrap(), "frame-ancestors 'self'");
    let listed = list(&["https://A.example:443", "https://*.b.example:8443", "http://localhost:*"]);
    let expected = "frame-ancestors 'self' https://a.example https://*.b.example:8443 http://localhost:*";
    assert_eq!(policy(&listed, "").unwrap(), expected);
    let custom = Origins::custom(|origin, _| origin.starts_with("https://a."));
    for (referer, expected) in [
        ("https://a.example/page?x", "frame-ancestors 'self' https://a.example"),
        ("https://b.example/", "frame-ancestors 'self'"),
        ("https://a.example;script-src *", "frame-ancestors 'self'"),
        ("", "frame-ancestors 'self'"),
    ] {
        assert_eq!(policy(&custom, referer).unwrap(), expected);
    }
}

#[test]
fn a_refusal_is_fit_for_a_log() {
    let shown = Refused(Some(format!("a\n\u{1b}[2J{}", "x".repeat(1000)))).to_string();
    assert!(shown.starts_with("a\\n\\u{1b}[2J") && shown.len() < 300, "{shown}");
    assert_eq!(Refused(None).to_string(), "(hidden)");
}

#[test]
fn debug_shows_what_is_allowed() {
    assert_eq!(format!("{:?}", Origins::default()), "same origin");
    assert_eq!(format!("{:?}", list(&["https://*.a:1"])), "same origin, https://*.a:1");
    assert_eq!(format!("{:?} {:?}", Origins::any(), Origins::custom(|_, _| true)), "any same origin, custom");
}

proptest! {
    #[test]
    fn no_header_makes_a_judge_panic(
        origins in prop::collection::vec(any::<Vec<u8>>(), 0..3),
        others in prop::collection::vec((0..7_usize, "[ -~\u{80}-\u{ff}]{0,20}"), 0..6),
        trust_forwarded in any::<bool>(),
        scheme in prop::option::of(prop::sample::select(vec![Scheme::HTTP, Scheme::HTTPS])),
        missing in prop::sample::select(vec![MissingOrigin::Allowed, MissingOrigin::AllowedWithoutCredentials, MissingOrigin::Refused]),
    ) {
        let names = [
            "host",
            "referer",
            "forwarded",
            "x-forwarded-host",
            "x-forwarded-port",
            "x-forwarded-proto",
            "sec-fetch-site",
        ];
        let mut headers = HeaderMap::new();
        for origin in &origins {
            if let Ok(value) = HeaderValue::from_bytes(origin) {
                headers.append(ORIGIN, value);
            }
        }
        for (name, value) in &others {
            headers.append(names[*name], HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        let uri = Uri::from_static("/");
        let request = OriginContext { uri: &uri, headers: &headers, trust_forwarded, scheme: scheme.as_ref(), missing };
        let list = list(&["https://*.example.com", "http://localhost:*"]);
        for origins in [Origins::same(), list, Origins::custom(|_, _| true)] {
            let _ = origins.check(&request);
            prop_assert!(origins.frame_ancestors(&headers).is_some());
        }
        prop_assert!(Origins::any().check(&request).is_ok());
    }

    #[test]
    fn an_origin_is_its_own_and_no_others(
        scheme in "https?",
        host in "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,5}){0,3}",
        port in prop::option::of(1..u16::MAX),
        other in "[a-z][a-z0-9-]{0,8}(\\.[a-z]{1,5}){0,3}",
    ) {
        let port = port.map_or(String::new(), |port| format!(":{port}"));
        let origin = format!("{scheme}://{host}{port}");
        let own = format!("{host}{port}");
        prop_assert!(is_own(&own, &origin));
        prop_assert!(lets_in(&list(&[&origin]), &[("host", "elsewhere"), ("origin", &origin)]));
        if other != host {
            let foreign = format!("{scheme}://{other}{port}");
            prop_assert!(!is_own(&own, &foreign));
            prop_assert!(!lets_in(&list(&[&origin]), &[("host", "elsewhere"), ("origin", &foreign)]));
        }
        let below = format!("{scheme}://x.{host}{port}");
        let pattern = list(&[&format!("{scheme}://*.{host}{port}")]);
        prop_assert!(lets_in(&pattern, &[("host", "elsewhere"), ("origin", &below)]));
        prop_assert!(!lets_in(&pattern, &[("host", "elsewhere"), ("origin", &origin)]));
    }

    #[test]
    fn a_pattern_reads_as_it_is_written(
        pattern in "(http|https|app)://(\\*\\.)?[a-z]{1,5}(\\.[a-z]{1,5}){0,2}(:[1-9][0-9]{0,3}|:\\*)?",
    ) {
        let once = Pattern::parse(&pattern).unwrap();
        prop_assert_eq!(Pattern::parse(&once.to_string()).unwrap(), once);
    }
}
