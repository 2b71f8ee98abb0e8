//! What has gone wrong in SockJS servers before: one test for each row of the table in SECURITY.md.

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{Router, http::HeaderMap};
use axum_sockjs::{Cookie, Options, Origins, Session, SockJs};

use crate::support::{
    apps::{self, Endpoint, Stage},
    client::{Client, Frame, Kind, WAYS, Way, http_ways, on_each, percent_encode},
    fresh_id,
    http::{Request, Response},
    log::Log,
    server::Server,
    until,
    urls::{answer, every_request},
};

#[tokio::test]
async fn upgrade_headers_change_nothing_on_other_paths_cve_2020_7693() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    let header_sets: [&[(&str, &str)]; 5] = [
        &[],
        &[("Upgrade", "websocket"), ("Connection", "Upgrade")],
        &[("Upgrade", "websocket")],
        &[
            ("Upgrade", "h2c"),
            ("Connection", "Upgrade, HTTP2-Settings"),
            ("HTTP2-Settings", "AAMAAABkAAQAAP__"),
        ],
        &[
            ("Upgrade", "websocket"),
            ("Connection", "keep-alive, Upgrade"),
            ("Sec-WebSocket-Version", "13"),
            ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ],
    ];
    for (number, headers) in header_sets.into_iter().enumerate() {
        for (method, target, status) in every_request() {
            let request = headers
                .iter()
                .fold(Request::new(method, &target), |request, (name, value)| request.header(*name, *value));
            let response = answer(&endpoint.server, &request).await;
            let status = match (method, number) {
                ("GET", 1) if target.ends_with("/websocket") && status == 400 => 426,
                ("GET", 4) if target.ends_with("/websocket") && status == 400 => 101,
                _ => status,
            };
            assert_eq!(response.status, status, "{method} {target} with {headers:?}: {response}");
            assert_eq!(response.header("allow").is_some(), status == 405, "{method} {target}: {response}");
        }
        endpoint.still_serves().await;
    }
}

#[tokio::test]
async fn a_callback_is_a_name_or_refused_cve_2020_8823() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    let bad = [
        "",
        " ",
        "a b",
        "a\r\nSet-Cookie: b=c",
        "a\0",
        "<script>",
        "alert(1)",
        "alert(1);//",
        "a;b",
        "a[0]",
        "a=b",
        "a'",
        "a\"",
        "a`",
        "$",
        "\\u0061",
        "é",
        "\u{2028}",
        "\u{202e}",
        "%61",
        "a,b",
        "a/*",
        "a{",
        "../a",
    ];
    let long = "a".repeat(33);
    let very_long = "a".repeat(5000);
    for name in ["htmlfile", "jsonp"] {
        for callback in bad.into_iter().chain([&*long, &*very_long]) {
            for parameter in ["c", "callback"] {
                let query = percent_encode(callback.as_bytes());
                let target = format!("/app/000/{}/{name}?{parameter}={query}", fresh_id());
                let response = endpoint.server.get(&target).await;
                let due = if callback.is_empty() {
                    "\"callback\" parameter required\n"
                } else {
                    "invalid \"callback\" parameter\n"
                };
                assert_eq!((response.status, response.text()), (500, due), "{callback:.20?}: {response}");
                assert_eq!(response.header("content-type"), Some("text/plain; charset=UTF-8"));
            }
        }
        // The first one counts, so that no checker is led astray by another.
        let target = format!("/app/000/{}/{name}?c=%3Cb%3E&c=a&callback=b", fresh_id());
        assert_eq!(endpoint.server.get(&target).await.status, 500);
        // Bytes that are no UTF-8.
        let target = format!("/app/000/{}/{name}?c=%ff%fe", fresh_id());
        assert_eq!(endpoint.server.get(&target).await.status, 500);
    }
    assert_eq!(endpoint.handle.len(), 0);
    let target = format!("/app/000/{}/jsonp?c={}", fresh_id(), "a.".repeat(16));
    assert_eq!(endpoint.server.get(&target).await.text(), format!("/**/{}(\"o\");\r\n", "a.".repeat(16)));
}

/// What the receiving URLs answer at first, of a stream the head only.
async fn first_answer(server: &Server, way: &Way) -> Response {
    answer(server, &way.receiving(&fresh_id())).await
}

#[tokio::test]
async fn nothing_is_taken_for_another_type_than_it_says() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    for (method, target, _) in every_request() {
        let response = answer(&endpoint.server, &Request::new(method, &target)).await;
        if response.status != 204 && response.header("content-type").is_some() {
            assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{method} {target}");
        }
    }
    on_each(http_ways(), async |way| {
        let response = first_answer(&endpoint.server, way).await;
        assert_eq!(response.header("x-content-type-options"), Some("nosniff"), "{response}");
        // A Flash file begins with CWS, and a script that a page names is nothing else.
        if way.receive.starts_with("jsonp") {
            assert!(response.text().starts_with("/**/callback("), "{response}");
            assert_eq!(response.header("content-type"), Some("application/javascript; charset=UTF-8"));
        }
    })
    .await;
}

#[tokio::test]
async fn a_path_has_no_end_to_save_a_file_under_cve_2015_5211() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    let names = [
        "",
        "/",
        "/info",
        "/iframe.html",
        "/iframe-1.6.1.html",
        "/websocket",
        "/000/ID/jsonp",
        "/000/ID/htmlfile",
        "/000/ID/xhr",
        "/000/ID/xhr_streaming",
        "/000/ID/eventsource",
        "/000/ID/xhr_send",
        "/000/ID/jsonp_send",
        "/000/ID/websocket",
    ];
    for name in names {
        for end in [";x.bat", ";/x.bat", "%3Bx.bat", "/x.bat", ".bat", "%2Ebat", "%00.bat", "/;x.bat"] {
            let target = format!("/app{name}{end}?c=callback").replace("ID", &fresh_id());
            for method in ["GET", "POST"] {
                let response = answer(&endpoint.server, &Request::new(method, &target)).await;
                assert!(matches!(response.status, 404 | 405), "{method} {target}: {response}");
                assert!(!response.text().contains("callback"), "{method} {target}: {response}");
            }
        }
    }
    assert_eq!(endpoint.handle.len(), 0);
}

/// Text that would end a string, a script, a page's element or an event, were it not escaped.
const HOSTILE_TEXT: &str = "\"]\");</script><script>x()</script><!-- \r\n\r\ndata: c[1,\"\"]\n\nc[1,\"\"]\n \
                            \revent: x\r\rid: 1\r %41%0D%0A&lt;\u{2028}\u{2029}\0\u{feff}'\\";

/// A frame with that text in the way of a transport, as it comes: a message, or a close.
async fn hostile_frame(way: &'static Way, close: bool) -> String {
    let mut stage = Stage::start(Options::new()).await;
    let mut client = Client::open(&stage.endpoint, way).await;
    let session = stage.session().await;
    if way.kind == Kind::Stream {
        client.down.request().await;
    }
    let expected = if close {
        session.close(3001, HOSTILE_TEXT);
        Frame::Close(3001, HOSTILE_TEXT.to_owned())
    } else {
        session.try_send(HOSTILE_TEXT).expect("there is room");
        Frame::messages(&[HOSTILE_TEXT])
    };
    let wire = client.down.frame_as_it_comes().await;
    assert_eq!(way.read(&wire), expected);
    assert!(!wire.contains(['\u{2028}', '\u{2029}', '\0']), "{wire}");
    wire
}

fn ways_named<'a>(names: &'a [&str]) -> impl Iterator<Item = &'static Way> + 'a {
    let is_named = |way: &&Way| names.iter().any(|name| way.receive.split('?').next() == Some(name));
    WAYS.iter().filter(is_named)
}

#[tokio::test]
async fn a_message_adds_no_line_to_an_event_stream_cve_2026_22735() {
    on_each(ways_named(&["eventsource"]), async |way| {
        for close in [false, true] {
            let wire = hostile_frame(way, close).await;
            // As browsers read it: a line ends with CR, LF or both, and an event with an empty line.
            let lines: Vec<&str> = wire.split("\r\n").collect();
            assert!(matches!(lines[..], [data, "", ""] if data.starts_with("data: ")), "{wire}");
            assert!(!lines[0].contains(['\r', '\n']), "{wire}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_adds_no_line_to_a_plain_answer() {
    on_each(ways_named(&["xhr", "xhr_streaming"]), async |way| {
        for close in [false, true] {
            let wire = hostile_frame(way, close).await;
            let line_ends = wire.matches('\n').count();
            assert!(line_ends == 1 && wire.ends_with('\n') && !wire.contains('\r'), "{wire}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_message_stays_inside_its_script_cve_2026_41845() {
    on_each(ways_named(&["htmlfile", "jsonp"]), async |way| {
        for close in [false, true] {
            let wire = hostile_frame(way, close).await;
            let count = |needle: &str| wire.matches(needle).count();
            let (tags, lines) = if way.kind == Kind::Stream { (2, 3) } else { (0, 1) };
            assert_eq!((count("<"), count(">"), count("&")), (tags, tags, 0), "{wire}");
            assert_eq!((count("\n"), count("\r")), (lines, 1), "{wire}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_close_reason_is_escaped_like_a_message() {
    on_each(WAYS, async |way| {
        // A WebSocket's own close frame has room for this much.
        let reason = "\"]\n\r\u{2028}\\ </script> <!-- %41 \u{1f600}";
        let mut stage = Stage::start(Options::new()).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        stage.session().await.close(3001, reason);
        assert_eq!(client.frame().await, Frame::close(way, 3001, reason));
    })
    .await;
}

#[tokio::test]
async fn ids_and_entropy_cannot_be_predicted_cve_2026_41838() {
    const SAMPLES: usize = 1000;
    let mut stage = Stage::start(Options::new()).await;
    let mut connection = stage.endpoint.server.connect().await;
    let mut entropies = HashSet::new();
    let mut ids = HashSet::new();
    let mut bits = [0; 32];
    for _ in 0..SAMPLES {
        let info = connection.ask(&Request::get("/app/info")).await;
        let info: serde_json::Value = serde_json::from_slice(&info.body).unwrap();
        let entropy = info["entropy"].as_u64().and_then(|entropy| u32::try_from(entropy).ok()).unwrap();
        entropies.insert(entropy);
        for (at, ones) in bits.iter_mut().enumerate() {
            *ones += entropy >> at & 1;
        }
        connection.ask(&Request::post(Endpoint::path(&fresh_id(), "xhr"))).await;
        let id = stage.session().await.id();
        let text = id.to_string();
        assert_eq!((text.len(), &text[14..15]), (36, "4"), "all but six bits are random");
        ids.insert(id);
    }
    // Two of a thousand are the same with one chance in 8,000; four are with none worth the name.
    assert!(entropies.len() >= SAMPLES - 2);
    assert_eq!(ids.len(), SAMPLES);
    // Ten times the standard deviation away from the half.
    assert!(bits.iter().all(|ones| (342..=658).contains(ones)), "{bits:?}");
}

#[tokio::test]
async fn ids_mean_nothing_to_another_endpoint() {
    let one = SockJs::new(apps::echo);
    let two = SockJs::new(apps::echo);
    let handles = [one.handle(), two.handle()];
    let app = Router::new().nest_service("/one", one).nest_service("/two", two);
    let server = Server::start(app).await;
    assert_eq!(server.post("/one/000/id/xhr", "").await.text(), "o\n");
    assert_eq!(server.post("/two/000/id/xhr_send", "[\"a\"]").await.status, 404);
    assert_eq!(server.post("/two/000/id/jsonp_send", "[\"a\"]").await.status, 404);
    // The same id there is another session.
    assert_eq!(server.post("/two/000/id/xhr", "").await.text(), "o\n");
    assert_eq!(server.post("/two/000/id/xhr_send", "[\"two\"]").await.status, 204);
    assert_eq!(server.post("/one/000/id/xhr_send", "[\"one\"]").await.status, 204);
    assert_eq!(server.post("/one/000/id/xhr", "").await.text(), "a[\"one\"]\n");
    assert_eq!(server.post("/two/000/id/xhr", "").await.text(), "a[\"two\"]\n");
    assert_eq!(handles[0].close_all(3000, "one"), 1);
    assert_eq!((handles[0].len(), handles[1].len()), (0, 1));
}

/// JSON, or nearly so, but no array of strings.
fn no_arrays_of_strings() -> Vec<String> {
    let mut payloads: Vec<String> = [
        "[null,\"a\"]",
        "[\"a\",null]",
        "[1]",
        "[true]",
        "{}",
        "{\"0\":\"a\",\"length\":1}",
        "[[]]",
        "[[\"a\"]]",
        "[{\"a\":\"b\"}]",
        "[[97]]",
        "\"a\"",
        "null",
        "1",
        "[\"a\"",
        "[\"a\"]]",
        "[\"a\",]",
        "['a']",
        "[a]",
        "[\"\u{1}\"]",
        "[\"\\x41\"]",
        "[\"\\u12\"]",
        "\u{feff}[\"a\"]",
        "[\"a\"]\0",
        "NaN",
        "-",
    ]
    .map(str::to_owned)
    .to_vec();
    for (open, close) in [("[", "]"), ("[\"a\",", "]"), ("{\"a\":", "}"), ("[{\"a\":", "}]")] {
        payloads.push(open.repeat(10_000));
        payloads.push(format!("{}\"a\"{}", open.repeat(10_000), close.repeat(10_000)));
    }
    payloads
}

#[tokio::test]
async fn null_in_an_array_is_refused_and_so_is_all_but_strings() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let mut session = stage.session().await;
        for payload in no_arrays_of_strings() {
            let response = client.up.post(payload.as_bytes()).await;
            assert_eq!((response.status, response.text()), (500, "Broken JSON encoding.\n"), "{payload:.80}");
        }
        client.send(&["an honest one"]).await;
        assert_eq!(session.recv().await.unwrap(), "an honest one");
    })
    .await;
    on_each(WAYS.iter().filter(|way| way.kind == Kind::Socket), async |way| {
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        for payload in no_arrays_of_strings() {
            let mut client = Client::open(&endpoint, way).await;
            client.up.send_payload(&payload).await;
            let expected = match way.framed {
                // One string may stand alone there.
                true if payload == "\"a\"" => Frame::messages(&["a"]),
                true => Frame::Goodbye(1007, "Broken JSON encoding".to_owned()),
                // To the raw WebSocket it is a text like any other.
                false => Frame::messages(&[&payload]),
            };
            assert_eq!(client.frame().await, expected, "{payload:.80}");
        }
        endpoint.still_serves().await;
    })
    .await;
}

/// What a browser says of a request by a foreign page, with the cookies of the user who looks at it.
const FOREIGN: &[&[(&str, &str)]] = &[
    &[("Origin", "https://evil.example")],
    &[("Origin", "null")],
    &[("Sec-Fetch-Site", "cross-site")],
    &[("Sec-Fetch-Site", "same-site"), ("Origin", "http://localhost:8080")],
    &[("Referer", "https://evil.example/page")],
];

/// A request to every URL that does something, in the name of a user. By `legacy`, those too that are off by
/// default.
fn in_the_name_of_a_user(legacy: bool) -> Vec<Request> {
    let mut requests = vec![Request::get("/app/info"), Request::new("OPTIONS", "/app/info")];
    let id = fresh_id();
    for (method, name, is_legacy) in [
        ("POST", "xhr", false),
        ("POST", "xhr_streaming", false),
        ("POST", "xhr_send", false),
        ("OPTIONS", "xhr_send", false),
        ("GET", "eventsource", false),
        ("GET", "htmlfile?c=f", true),
        ("GET", "jsonp?c=f", true),
        ("POST", "jsonp_send", true),
    ] {
        if legacy || !is_legacy {
            requests.push(Request::new(method, Endpoint::path(&id, name)).body(r#"["transfer"]"#));
        }
    }
    if legacy {
        requests.push(Request::get("/app/iframe.html"));
    }
    #[cfg(feature = "websocket")]
    for path in [Endpoint::path(&id, "websocket"), "/app/websocket".to_owned()] {
        requests.push(crate::support::ws::handshake(path));
    }
    requests.into_iter().map(|request| request.header("Cookie", "login=victim")).collect()
}

/// Cross-site hijacking of sockets and requests (CVE-2025-41254, CVE-2026-41700).
#[tokio::test]
async fn a_foreign_page_does_nothing_with_its_visitors_cookies_cve_2025_41254_cve_2026_41700() {
    for (legacy, options) in [(false, Options::new()), (true, Options::new().legacy_transports(true))] {
        let opened = Arc::new(AtomicUsize::new(0));
        let count = Arc::clone(&opened);
        let endpoint = SockJs::new(move |session: Session| async move {
            count.fetch_add(1, Ordering::SeqCst);
            drop(session);
        });
        let endpoint = endpoint.options(options.cookie(Cookie::jsessionid()));
        let server = Server::start(Router::new().nest_service("/app", endpoint)).await;
        for headers in FOREIGN {
            for request in in_the_name_of_a_user(legacy) {
                let request =
                    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value));
                let response = server.ask(&request).await;
                assert_eq!(response.status, 403, "{request:?}: {response}");
                for name in ["access-control-allow-origin", "access-control-allow-credentials", "set-cookie"]
                {
                    assert_eq!(response.header(name), None, "{request:?}: {response}");
                }
            }
        }
        assert_eq!(opened.load(Ordering::SeqCst), 0, "no handler has run");
    }
}

/// What happens to sessions in a busy hour, all of it seen by the log.
#[tokio::test]
async fn ids_of_sessions_stay_out_of_the_log() {
    let log = Log::start(tracing::Level::TRACE);
    let id = "very-secret-session-id";
    let handler = |mut session: Session| async move {
        while let Some(message) = session.recv().await {
            assert_ne!(message, "panic", "as asked for");
            session.send(message).await.ok();
        }
    };
    let who = |headers: HeaderMap| async move { headers.get("x-user").cloned() };
    let options = || Options::new().max_message_bytes(100).disconnect_delay(Duration::from_millis(20));
    for origins in [Origins::any(), Origins::same()] {
        for way in WAYS {
            let endpoint = SockJs::new(handler).identity(who).options(options().origins(origins.clone()));
            let handle = endpoint.handle();
            let server = Server::start(Router::new().nest_service("/app", endpoint)).await;
            let path = |name: &str| Endpoint::path(id, name);
            #[cfg(feature = "websocket")]
            if way.kind == Kind::Socket {
                for bad in [r#"["panic"]"#, "not JSON", "panic"] {
                    let target = if way.framed { path("websocket") } else { "/app/websocket".to_owned() };
                    let mut socket = crate::support::ws::open(server.addr, &target).await;
                    crate::support::ws::send(&mut socket, bad.to_owned()).await;
                }
                let handshake = crate::support::ws::handshake(path("websocket"));
                server
                    .ask(&handshake.header("Origin", "https://evil.example").header("Connection", "close"))
                    .await;
            }
            if way.kind != Kind::Socket {
                let mut receiver = server.connect().await;
                receiver.send(&way.receiving(id)).await;
                receiver.head().await;
                for request in [
                    way.sending(id, r#"["hello"]"#),
                    way.sending(id, "no JSON"),
                    way.sending(id, format!("[{:?}]", "x".repeat(101))),
                    way.sending(id, r#"["stolen"]"#).header("X-User", "eve"),
                    way.sending(id, r#"["foreign"]"#).header("Origin", "https://evil.example"),
                    way.receiving(id).header("Referer", format!("https://evil.example/{id}")),
                    Request::new("PUT", path("xhr_send")),
                    Request::get(path("nothing")),
                    way.sending(id, r#"["panic"]"#),
                ] {
                    let mut sender = server.connect().await;
                    sender.send(&request).await;
                    sender.head().await;
                }
            }
            until("the end of the sessions", || handle.is_empty()).await;
        }
    }
    let text = log.text();
    for said in
        ["session opened", "session closed", "the session's handler panicked", "another origin was refused"]
    {
        assert!(text.contains(said), "no {said:?}: the log has not seen it");
    }
    let told = |line: &&str| line.contains(id) && (line.contains("axum_sockjs") || is_info_or_above(line));
    assert_eq!(text.lines().find(told), None);
}

fn is_info_or_above(line: &str) -> bool {
    !line.contains(" DEBUG ") && !line.contains(" TRACE ")
}

#[tokio::test]
async fn cookies_are_not_reflected_but_for_the_affinity_cookie() {
    let handler = |session: Session| async move { drop(session) };
    let endpoint = Endpoint::start(handler, Options::new().cookie(Cookie::jsessionid())).await;
    let long = format!("JSESSIONID={}", "a".repeat(5000));
    for (cookies, expected) in [
        (&["secret=1; JSESSIONID=a.node1; other=2"][..], Some("a.node1")),
        (&["secret=1; other=2"], Some("dummy")),
        (&["secret=1", "JSESSIONID=second"], Some("second")),
        (&["XJSESSIONID=1; jsessionid=2; JSESSIONID2=3"], Some("dummy")),
        (&["JSESSIONID=\"quoted\""], Some("\"quoted\"")),
        (&["JSESSIONID=\u{e9}"], Some("\u{e9}")),
        // What could be read in another way than it was meant is not repeated, nor replaced.
        (&["JSESSIONID=a b"], None),
        (&["JSESSIONID=a,b"], None),
        (&["JSESSIONID="], None),
        (&["JSESSIONID=a\\b"], None),
        (&["JSESSIONID=\"a; Domain=example.com\""], None),
        (&["JSESSIONID=a\"b\""], None),
        (&[&*long], None),
    ] {
        let request = Request::post(Endpoint::path(&fresh_id(), "xhr"));
        let request = cookies.iter().fold(request, |request, cookie| request.header("Cookie", *cookie));
        let response = endpoint.server.ask(&request).await;
        let expected = expected.map(|value| format!("JSESSIONID={value}; path=/"));
        assert_eq!(response.header("set-cookie"), expected.as_deref(), "{cookies:?}");
    }
}

#[tokio::test]
async fn arrays_of_messages_answer_no_request_that_another_site_can_make() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    for name in ["xhr", "xhr_streaming"] {
        // What a `<script src>` of another site asks for.
        let response = endpoint.server.get(Endpoint::path(&fresh_id(), name)).await;
        assert_eq!((response.status, response.text()), (405, ""), "{name}: {response}");
    }
    // No answer is an array by itself, which a page could catch as it is made.
    on_each(http_ways(), async |way| {
        let mut client = Client::open(&endpoint, way).await;
        client.send(&["secret"]).await;
        let wire = client.down.frame_as_it_comes().await;
        assert!(wire.contains("secret") && !wire.trim_start().starts_with(['[', '{']), "{wire}");
    })
    .await;
}

/// A few more than there were when this was written, all features on (a quarter of them for `cluster` alone): many more
/// are a decision, no accident.
const MAX_CRATES: usize = 98;

#[test]
fn dependencies_are_few_and_their_advisories_are_checked() {
    let tree = std::process::Command::new(env!("CARGO"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .args(["tree", "--package", "axum-sockjs", "--edges", "normal", "--prefix", "none"])
        .args(["--all-features", "--locked", "--offline", "--format", "{p}"])
        .output()
        .expect("cargo runs, as it has built this");
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let crates = String::from_utf8_lossy(&tree.stdout);
    let crates = crates.lines().filter_map(|line| line.split(' ').next());
    // Those of this repository are no strangers.
    let crates: HashSet<&str> = crates.filter(|name| !name.contains("sockjs")).collect();
    assert!(crates.contains("tokio") && crates.len() <= MAX_CRATES, "{}: {crates:?}", crates.len());
    let script = include_str!("../../../scripts/test");
    assert!(script.contains("cargo deny --workspace --log-level error check advisories"));
}
