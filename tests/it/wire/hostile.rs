//! Clients that mean harm, or have gone wrong: each gets its documented answer, and the server goes on.

use std::time::Duration;

use axum_sockjs::{ClientScript, Cookie, Options};

use crate::support::{
    apps::{self, Endpoint, Stage},
    client::{Client, Frame, Kind, WAYS, http_ways, on_each},
    fresh_id,
    http::{Connection, Request, Response},
    server::Server,
};

const MEGABYTE: usize = 1_000_000;

/// Long enough for nothing to end by itself while a test runs.
const NEVER: Duration = Duration::from_secs(600);

/// What a method gets that the path does not serve, or the path does not exist for.
const NOT_ALLOWED: u16 = 405;

/// One URL of an endpoint and what it answers; any other method gets 405.
struct Url {
    name: &'static str,
    answers: &'static [(&'static str, u16)],
}

/// Every URL below `/app`, with `ID` for a session that is not there yet.
const URLS: &[Url] = &[
    Url { name: "", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/info", answers: &[("GET", 200), ("HEAD", 200), ("OPTIONS", 204)] },
    Url { name: "/iframe.html", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/iframe-1.6.1.html", answers: &[("GET", 200), ("HEAD", 200)] },
    Url { name: "/000/ID/xhr", answers: &[("POST", 200), ("OPTIONS", 204)] },
    Url { name: "/000/ID/xhr_streaming", answers: &[("POST", 200), ("OPTIONS", 204)] },
    Url { name: "/000/ID/xhr_send", answers: &[("POST", 404), ("OPTIONS", 204)] },
    Url { name: "/000/ID/eventsource", answers: &[("GET", 200), ("OPTIONS", 204)] },
    Url { name: "/000/ID/htmlfile?c=callback", answers: &[("GET", 200)] },
    Url { name: "/000/ID/jsonp?c=callback", answers: &[("GET", 200)] },
    Url { name: "/000/ID/jsonp_send", answers: &[("POST", 404)] },
    #[cfg(feature = "websocket")]
    Url { name: "/websocket", answers: &[("GET", 400)] },
    #[cfg(feature = "websocket")]
    Url { name: "/000/ID/websocket", answers: &[("GET", 400)] },
];

/// Paths that are none.
const UNKNOWN: &[&str] = &[
    "//",
    "/unknown",
    "/000/ID",
    "/000/ID/",
    "/000/ID/unknown",
    "/000/ID/xhr/more",
    // A name that a browser would save what it gets under.
    "/000/ID/jsonp;x.bat?c=callback",
    "/000/ID/xhr.html",
    #[cfg(not(feature = "websocket"))]
    "/websocket",
    #[cfg(not(feature = "websocket"))]
    "/000/ID/websocket",
];

const METHODS: &[&str] = &["GET", "POST", "PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE", "BREW"];

/// Every URL with every method and the status that is due; each with a session id of its own.
pub(crate) fn every_request() -> impl Iterator<Item = (&'static str, String, u16)> {
    let known = URLS.iter().map(|url| (url.name, Some(url.answers)));
    let unknown = UNKNOWN.iter().map(|&name| (name, None));
    known.chain(unknown).flat_map(|(name, answers)| {
        METHODS.iter().map(move |&method| {
            let status = answers.map_or(404, |answers| {
                answers
                    .iter()
                    .find(|(served, _)| *served == method)
                    .map_or(NOT_ALLOWED, |(_, status)| *status)
            });
            (method, format!("/app{}", name.replace("ID", &fresh_id())), status)
        })
    })
}

/// Sends a request and reads its answer: whole, or of a stream the head only.
pub(crate) async fn answer(server: &Server, request: &Request) -> Response {
    let mut connection = server.connect().await;
    connection.send(request).await;
    let mut head = connection.head().await;
    let is_stream = head.header("x-accel-buffering").is_some();
    if request.method != "HEAD" && head.status != 101 && !is_stream {
        head.body = connection.body(&head).await;
    }
    head
}

// Methods.

#[tokio::test]
async fn head_never_opens_a_session() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    for (_, target, _) in every_request().filter(|(method, ..)| *method == "HEAD") {
        for headers in [false, true] {
            let mut request = Request::new("HEAD", &target);
            if headers {
                request = request
                    .header("Upgrade", "websocket")
                    .header("Connection", "Upgrade")
                    .header("Sec-WebSocket-Version", "13")
                    .header("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ==");
            }
            let mut connection = endpoint.server.connect().await;
            connection.send(&request).await;
            let response = connection.head().await;
            assert!(matches!(response.status, 200 | 404 | 405), "{target}: {response}");
            assert_eq!(endpoint.handle.len(), 0, "{target}");
            // No byte of a body: the next answer begins right behind the head.
            assert_eq!(connection.ask(&Request::get("/app")).await.text(), "Welcome to SockJS!\n");
        }
    }
}

// Headers.

/// Only the part of a header that is used has to be readable: RFC 9110 calls bytes above 0x7f opaque.
#[tokio::test]
async fn bytes_above_ascii_cost_no_header_its_other_parts() {
    let options = Options::new().client_script(ClientScript::from_bytes("script"));
    let endpoint = Endpoint::start(apps::echo, options.cookie(Cookie::jsessionid())).await;
    let server = &endpoint.server;
    // What a browser has already.
    for path in ["/app/iframe.html", "/app/sockjs.min.js"] {
        let tag = server.get(path).await.header("etag").expect("there is a tag").to_owned();
        for known in [
            [b"\"caf\xc3\xa9\", ", tag.as_bytes()].concat(),
            [tag.as_bytes(), b",\"\xe9\""].concat(),
            [b"W/\"\xff\", W/", tag.as_bytes(), b" , \xe9"].concat(),
        ] {
            let response = server.ask(&Request::get(path).header_of_bytes("If-None-Match", known)).await;
            assert_eq!(response.status, 304, "{path}: {response}");
        }
        let other = Request::get(path).header_of_bytes("If-None-Match", b"\"\xe9\"");
        assert_eq!(server.ask(&other).await.status, 200, "{path}");
    }
    // A form, whatever its parameters are.
    let id = fresh_id();
    assert_eq!(server.get(Endpoint::path(&id, "jsonp?c=f")).await.text(), "/**/f(\"o\");\r\n");
    for parameter in [&b"; charset=\xe9"[..], b";caf\xc3\xa9=\"\xff\"", b" ; \xe9", b";\x80"] {
        let content_type = [b"application/x-www-form-urlencoded", parameter].concat();
        let request = Request::post(Endpoint::path(&id, "jsonp_send"))
            .header_of_bytes("Content-Type", content_type)
            .body("d=%5B%5D");
        let response = server.ask(&request).await;
        assert_eq!((response.status, response.text()), (200, "ok"), "{parameter:?}: {response}");
    }
    // Cookies beside the one that is echoed.
    for (cookie, expected) in [
        (&b"city=Z\xc3\xbcrich; JSESSIONID=abc.n1"[..], "abc.n1"),
        (b"city=Z\xfcrich; JSESSIONID=\"abc.n1\"", "\"abc.n1\""),
        (b"JSESSIONID=abc.n1; \xff", "abc.n1"),
        (b"city=Z\xc3\xbcrich", "dummy"),
        (b"JSESSIONID=Z\xc3\xbcrich", "Z\u{fc}rich"),
    ] {
        for way in WAYS {
            let request = way.opening(&fresh_id()).header("Cookie", "a=b").header_of_bytes("Cookie", cookie);
            let response = answer(server, &request).await;
            let expected = way.framed.then(|| format!("JSESSIONID={expected}; path=/"));
            assert_eq!(response.header("set-cookie"), expected.as_deref(), "{}: {response}", way.transport);
        }
    }
}

#[cfg(feature = "websocket")]
#[tokio::test]
async fn bytes_above_ascii_beside_an_upgrade_are_ignored() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    for (connection, upgrade, status) in [
        (&b"Upgrade, caf\xc3\xa9"[..], &b"websocket"[..], 101),
        (b"\xe9,upgrade", b"websocket", 101),
        (b"keep-alive , Upgrade, \xff", b"\xe9, websocket", 101),
        (b"Upgrade", b"websocket, \xc3\xa9/1", 101),
        (b"Upgrade\xe9", b"websocket", 400),
        (b"Upgrade", b"websocket\xa0", 400),
    ] {
        for target in ["/app/websocket".to_owned(), Endpoint::path(&fresh_id(), "websocket")] {
            let request = Request::get(target)
                .header_of_bytes("Connection", connection)
                .header_of_bytes("Upgrade", upgrade)
                .header("Sec-WebSocket-Version", "13")
                .header("Sec-WebSocket-Key", crate::support::ws::KEY);
            let response = answer(&endpoint.server, &request).await;
            assert_eq!(response.status, status, "{connection:?}, {upgrade:?}: {response}");
        }
    }
}

// Payloads.

/// Bytes that are no UTF-8, in an array that is otherwise fine.
const NOT_UTF8: &[&[u8]] = &[
    b"[\"\xff\"]",
    b"[\"\xc3\"]",
    b"[\"\xc0\x80\"]",
    // A surrogate, and a code point beyond the last one.
    b"[\"\xed\xa0\x80\"]",
    b"[\"\xf4\x90\x80\x80\"]",
    b"\xff\xfe[\0\"\0a\0\"\0]\0",
];

#[tokio::test]
async fn what_is_posted_must_be_utf8() {
    let mut stage = Stage::start(Options::new()).await;
    let server = &stage.endpoint.server;
    assert_eq!(server.post("/app/000/id/xhr", "").await.text(), "o\n");
    for payload in NOT_UTF8 {
        for name in ["xhr_send", "jsonp_send"] {
            let response = server.post(format!("/app/000/id/{name}"), *payload).await;
            assert_eq!((response.status, response.text()), (500, "Broken JSON encoding.\n"), "{payload:?}");
        }
        let encoded: String = payload.iter().map(|byte| format!("%{byte:02x}")).collect();
        let form = Request::post("/app/000/id/jsonp_send")
            .header("Content-Type", "application/x-www-form-urlencoded")
            .body(format!("d={encoded}"));
        let response = server.ask(&form).await;
        assert_eq!((response.status, response.text()), (500, "Broken JSON encoding.\n"), "{encoded}");
    }
    let mut session = stage.session().await;
    assert!(session.try_recv().is_none());
}

// Sizes.

/// The bytes of a request with a large body, with its length or in chunks.
fn with_large_body(method: &str, target: &str, chunked: bool) -> Vec<u8> {
    let head = format!("{method} {target} HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/plain\r\n");
    let body = vec![b'x'; 10 * MEGABYTE];
    if !chunked {
        return [format!("{head}Content-Length: {}\r\n\r\n", body.len()).as_bytes(), &body].concat();
    }
    let mut bytes = format!("{head}Transfer-Encoding: chunked\r\n\r\n").into_bytes();
    for chunk in body.chunks(50_000) {
        bytes.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        bytes.extend_from_slice(chunk);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes.extend_from_slice(b"0\r\n\r\n");
    bytes
}

#[tokio::test]
async fn an_answer_to_10_megabytes_is_read_and_the_connection_goes_on() {
    let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
    assert_eq!(stage.endpoint.server.post("/app/000/open/xhr", "").await.text(), "o\n");
    let mut session = stage.session().await;
    let server = &stage.endpoint.server;
    for chunked in [false, true] {
        let to_a_session =
            ["xhr_send", "jsonp_send"].map(|name| ("POST", format!("/app/000/open/{name}"), 500));
        let elsewhere = every_request().filter(|(method, target, _)| match *method {
            "POST" => !target.contains("streaming"),
            // A body has no business here at all; streams are left out, for they would not end.
            "GET" => !chunked && !target.contains("eventsource") && !target.contains("htmlfile"),
            _ => false,
        });
        for (method, target, status) in to_a_session.into_iter().chain(elsewhere) {
            let mut connection = server.connect().await;
            connection.write(with_large_body(method, &target, chunked)).await;
            let response = connection.answer(method).await;
            assert_eq!(response.status, status, "{method} {target}: {response}");
            let again = connection.ask(&Request::get("/app")).await;
            assert_eq!(again.text(), "Welcome to SockJS!\n", "after {method} {target}");
        }
    }
    // Nothing of it has come in, and the session goes on.
    assert_eq!(server.post("/app/000/open/xhr_send", "[\"a\"]").await.status, 204);
    assert_eq!(session.recv().await.unwrap(), "a");
}

#[tokio::test]
async fn a_stream_begins_behind_10_megabytes_of_body() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    on_each(http_ways().filter(|way| way.kind == Kind::Stream), async |way| {
        let mut connection = endpoint.server.connect().await;
        let target = way.receiving(&fresh_id()).target;
        connection.write(with_large_body(way.method, &target, true)).await;
        assert_eq!(connection.head().await.status, 200);
        connection.chunk().await;
        assert_eq!(way.read(&connection.text_chunk().await), Frame::Open);
    })
    .await;
}

#[tokio::test]
async fn a_body_without_end_is_cut_off_and_the_server_goes_on() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    for target in ["/app/unknown", "/app/000/id/xhr", "/app/000/id/xhr_send"] {
        let mut connection = endpoint.server.connect().await;
        let head =
            format!("POST {target} HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1000000000000\r\n\r\n");
        connection.write(head).await;
        let megabyte = vec![b'x'; MEGABYTE];
        let mut written = 0;
        // How far it gets depends on the buffers in between; it is not as far as this.
        while written < 200 && connection.try_write(&megabyte).await.is_ok() {
            written += 1;
        }
        assert!(written < 200, "{target}: the server reads on and on");
    }
    endpoint.still_serves().await;
}

#[tokio::test]
async fn a_client_that_waits_to_be_told_to_continue_is_answered() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    assert_eq!(endpoint.server.post("/app/000/id/xhr", "").await.text(), "o\n");
    for (target, length, status) in [
        ("/app/000/id/xhr_send", 5, 204),
        ("/app/000/id/xhr_send", 2 * MEGABYTE, 204),
        ("/app/000/id/xhr_send", 4 * MEGABYTE, 413),
        ("/app/000/unknown/xhr_send", 5, 404),
        ("/app/info", 5, 405),
        ("/app/unknown", 5, 404),
    ] {
        let mut connection = endpoint.server.connect().await;
        let head = format!(
            "POST {target} HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\nContent-Length: {length}\r\n\r\n"
        );
        connection.write(head).await;
        let mut response = connection.head().await;
        if response.status == 100 {
            let mut body = b"[\"a\"]".to_vec();
            body.resize(length, b' ');
            connection.write(body).await;
            response = connection.head().await;
        }
        assert_eq!(response.status, status, "{target}: {response}");
    }
}

// Requests that are broken, or break off.

/// The status of the answer to these bytes, if there is one before the server hangs up.
async fn status_of(server: &Server, bytes: impl AsRef<[u8]>) -> Option<u16> {
    let mut connection = server.connect().await;
    // The server may hang up before it has read all.
    let _ = connection.try_write(bytes).await;
    let answer = connection.until_gone().await;
    let line = String::from_utf8_lossy(&answer);
    line.strip_prefix("HTTP/1.1 ").and_then(|rest| rest.get(..3)?.parse().ok())
}

#[tokio::test]
async fn absurd_requests_are_refused() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    let post = |headers: &str, body: &str| {
        format!(
            "POST /app/000/id/xhr_send HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n{headers}\r\n{body}"
        )
    };
    let get = |headers: &str| post(headers, "").replace("POST", "GET").replace("000/id/xhr_send", "info");
    // Which status it is, the HTTP library decides.
    let refused = [
        post("Content-Length: -1\r\n", ""),
        post("Content-Length: 99999999999999999999999\r\n", ""),
        post("Content-Length: 2\r\nContent-Length: 3\r\n", "[]x"),
        post("Content-Length: 0x2\r\n", "[]"),
        post("Transfer-Encoding: gzip\r\n", "[]"),
        post("Transfer-Encoding: chunked\r\n", "-1\r\n\r\n"),
        post("Transfer-Encoding: chunked\r\n", "fffffffffffffffffff\r\n[]"),
        get("No colon\r\n"),
        get("Na me: value\r\n"),
        get(": value\r\n"),
        get("Name: a\0b\r\n"),
        get(" Folded: yes\r\n"),
        get(&"A: b\r\n".repeat(200)),
        get(&format!("A: {}\r\n", "b".repeat(MEGABYTE))),
        get("").replace("info", &"x".repeat(70_000)),
        get("").replace("info", &"x".repeat(MEGABYTE)),
        "GET\r\n\r\n".to_owned(),
        "GET /app HTTP/9.9\r\n\r\n".to_owned(),
        "GET app HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        "GET /app/\u{e9} HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        "OPTIONS * HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        "CONNECT /app/000/id/xhr HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n".to_owned(),
        "\0\0\0\0\r\n\r\n".to_owned(),
        "\u{16}\u{3}\u{1}\u{2}\0\u{1}\0\u{1}\r\n\r\n".to_owned(),
    ];
    for bytes in &refused {
        let status = status_of(&endpoint.server, bytes).await;
        let beginning: String = bytes.chars().take(150).collect();
        assert!(status.is_some_and(|status| (400..500).contains(&status)), "{status:?}: {beginning:?}");
    }
    // Odd, but allowed.
    for headers in [
        "Origin: \u{e9}\r\n",
        "Origin: a\r\nOrigin: b\r\n",
        "Cookie: ;;;=;,\r\n",
        "Content-Type: \t\r\n",
        "If-None-Match: \"\r\n",
        "Connection: close, close, Upgrade\r\n",
        "Accept-Encoding: gzip;q=nan\r\n",
    ] {
        assert_eq!(status_of(&endpoint.server, get(headers)).await, Some(200), "{headers:?}");
    }
    let absolute = "GET http://elsewhere/app/info HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    assert_eq!(status_of(&endpoint.server, absolute).await, Some(200));
    assert_eq!(endpoint.handle.len(), 0);
    endpoint.still_serves().await;
}

/// How a client goes away in the middle of something.
#[derive(Clone, Copy)]
enum Exit {
    Close,
    Reset,
    /// Says that it will send no more, and waits for the server to hang up.
    HalfClose,
}

const EXITS: [Exit; 3] = [Exit::Close, Exit::Reset, Exit::HalfClose];

async fn leave(mut connection: Connection, exit: Exit) {
    match exit {
        Exit::Close => drop(connection),
        Exit::Reset => connection.abort(),
        Exit::HalfClose => {
            connection.finish_writing().await;
            connection.until_gone().await;
        }
    }
}

#[tokio::test]
async fn a_receiving_request_may_break_off_at_any_byte() {
    on_each(http_ways(), async |way| {
        // A request that is whole opens a session, which ends soon.
        let options = Options::new().disconnect_delay(Duration::from_millis(20));
        let endpoint = Endpoint::start(apps::echo, options).await;
        let length = way.receiving(&fresh_id()).to_bytes().len();
        for cut in 0..=length {
            for exit in EXITS {
                let mut connection = endpoint.server.connect().await;
                let request = way.receiving(&fresh_id()).to_bytes();
                connection.write(&request[..cut.min(request.len())]).await;
                leave(connection, exit).await;
            }
        }
        endpoint.is_left_empty().await;
        endpoint.still_serves().await;
    })
    .await;
}

#[tokio::test]
async fn a_sending_request_that_breaks_off_brings_nothing() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
        let id = fresh_id();
        let mut client = Client::open_as(&stage.endpoint, way, &id).await;
        let mut session = stage.session().await;
        let request = way.sending(&id, "[\"half\",\"a batch\"]").to_bytes();
        let chunked = format!(
            "POST {} HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n8\r\n[\"half\",\r\na\r\n\"a batch\"]\r\n0\r\n\r\n",
            way.sending(&id, "").target
        );
        for bytes in [&request[..], chunked.as_bytes()] {
            for cut in 0..bytes.len() {
                let mut connection = stage.endpoint.server.connect().await;
                connection.write(&bytes[..cut]).await;
                leave(connection, EXITS[cut % 3]).await;
            }
        }
        // Whatever those left behind would come before this.
        client.send(&["whole"]).await;
        assert_eq!(session.recv().await.unwrap(), "whole");
        assert_eq!(session.close_reason(), None);
        drop(session);
        stage.endpoint.is_left_empty().await;
        stage.endpoint.still_serves().await;
    })
    .await;
}

// Whose session it is.

#[tokio::test]
async fn an_id_is_compared_as_it_stands() {
    let endpoint = Endpoint::start(apps::echo, Options::new()).await;
    assert_eq!(endpoint.server.post("/app/000/id%41/xhr", "").await.text(), "o\n");
    for other in ["idA", "id%2541", "ID%41", "id%41%00"] {
        let response = endpoint.server.post(format!("/app/000/{other}/xhr_send"), "[\"a\"]").await;
        assert_eq!(response.status, 404, "{other}");
    }
    assert_eq!(endpoint.server.post("/app/999/id%41/xhr_send", "[\"a\"]").await.status, 204);
}

#[cfg(feature = "websocket")]
mod websocket {
    use std::{
        future::poll_fn,
        io,
        pin::Pin,
        sync::{
            Arc,
            atomic::{AtomicUsize, Ordering},
        },
        task::{Context, Poll},
    };

    use axum::{Router, body::Body};
    use axum_sockjs::{CloseFrame, CloseReason, Session, SockJs};
    use hyper::{body::Incoming, server::conn::http1, service::service_fn};
    use hyper_util::rt::TokioIo;
    use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
    use tower::ServiceExt as _;

    use super::*;
    use crate::support::{
        apps::Reporting,
        client::Way,
        within,
        ws::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, close_payload, frame},
    };

    fn sockets() -> impl Iterator<Item = &'static Way> {
        WAYS.iter().filter(|way| way.kind == Kind::Socket)
    }

    fn target(way: &Way) -> String {
        if way.framed { Endpoint::path(&fresh_id(), "websocket") } else { "/app/websocket".to_owned() }
    }

    /// A client that writes frames as bytes, behind the open frame.
    async fn connect(endpoint: &Endpoint, way: &Way) -> Connection {
        let mut connection = ws::upgraded(endpoint.server.addr, &target(way)).await;
        if way.framed {
            assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, b"o".to_vec()));
        }
        connection
    }

    /// Writes bytes, and expects the close frame with this code and the end of the connection.
    async fn expect_violation(reporting: &mut Reporting, way: &Way, bytes: &[u8], code: u16) {
        let mut connection = connect(&reporting.endpoint, way).await;
        connection.write(bytes).await;
        let close = within("a close frame", ws::read_close(&mut connection)).await.expect("it has a code");
        assert_eq!(close.code(), code, "{}: {:.40?}", way.transport, bytes);
        assert_eq!(reporting.end().await, CloseReason::ProtocolError(close));
        connection.finish_writing().await;
        connection.until_gone().await;
    }

    #[tokio::test]
    async fn a_message_of_10_megabytes_is_told_1009() {
        let message = vec![b'x'; 10 * MEGABYTE];
        let whole = frame(FIN | TEXT, &message);
        let mut fragments = frame(TEXT, b"x");
        for part in message.chunks(50_000) {
            fragments.extend(frame(CONTINUATION, part));
        }
        fragments.extend(frame(FIN | CONTINUATION, b""));
        on_each(sockets(), async |way| {
            let mut reporting = Reporting::start(Options::new().disconnect_delay(NEVER)).await;
            expect_violation(&mut reporting, way, &whole, 1009).await;
            expect_violation(&mut reporting, way, &fragments, 1009).await;
            reporting.endpoint.is_left_empty().await;
            reporting.endpoint.still_serves().await;
        })
        .await;
    }

    #[tokio::test]
    async fn violations_are_told_by_their_code() {
        let mut unmasked = frame(FIN | TEXT, b"");
        unmasked = vec![unmasked[0], 5, b'[', b'"', b'a', b'"', b']'];
        let cases: &[(Vec<u8>, u16)] = &[
            (unmasked, 1002),
            (frame(FIN | 0x40 | TEXT, b"[]"), 1002),
            (frame(FIN | 0x10 | TEXT, b"[]"), 1002),
            (frame(FIN | 3, b"[]"), 1002),
            (frame(FIN | 11, b""), 1002),
            (frame(FIN | CONTINUATION, b"[]"), 1002),
            ([frame(TEXT, b"["), frame(FIN | TEXT, b"]")].concat(), 1002),
            (frame(PING, b"in parts"), 1002),
            (frame(FIN | PING, &[b'x'; 126]), 1002),
            (frame(FIN | CLOSE, b"x"), 1002),
            (frame(FIN | CLOSE, &[b'x'; 126]), 1002),
            (frame(FIN | CLOSE, &[&close_payload(1000, "")[..], b"\xff"].concat()), 1007),
            // A length that no memory has.
            ([vec![FIN | TEXT, 0xff], vec![0x7f; 8], vec![0; 4]].concat(), 1009),
            (frame(FIN | TEXT, b"[\"\xff\"]"), 1007),
            (frame(FIN | TEXT, b"[\"\xed\xa0\x80\"]"), 1007),
            ([frame(TEXT, b"[\"\xc3"), frame(FIN | CONTINUATION, b"\x28\"]")].concat(), 1007),
        ];
        on_each(sockets(), async |way| {
            let mut reporting = Reporting::start(Options::new().disconnect_delay(NEVER)).await;
            for (bytes, code) in cases {
                expect_violation(&mut reporting, way, bytes, *code).await;
            }
            if way.framed {
                for data in [&b"[\"a\"]"[..], b""] {
                    expect_violation(&mut reporting, way, &frame(FIN | BINARY, data), 1003).await;
                }
            }
            reporting.endpoint.is_left_empty().await;
            reporting.endpoint.still_serves().await;
        })
        .await;
    }

    #[tokio::test]
    async fn who_breaks_rfc_6455_is_told_and_not_waited_for() {
        on_each(sockets(), async |way| {
            let mut reporting = Reporting::start(Options::new().disconnect_delay(NEVER)).await;
            for bytes in [frame(FIN | PING, &[b'x'; 126]), frame(FIN | TEXT, b"\xff"), frame(FIN | 3, b"")] {
                let mut connection = connect(&reporting.endpoint, way).await;
                connection.write(&bytes).await;
                let close = ws::read_close(&mut connection).await.expect("it has a code");
                assert_eq!(reporting.end().await, CloseReason::ProtocolError(close));
                // Nothing was said in answer, as a client that is broken may not.
                connection.expect_end().await;
            }
            reporting.endpoint.is_left_empty().await;
        })
        .await;
    }

    #[tokio::test]
    async fn control_frames_are_answered_between_the_parts_of_a_message() {
        on_each(sockets(), async |way| {
            let endpoint = Endpoint::start(apps::echo, Options::new()).await;
            let mut connection = connect(&endpoint, way).await;
            let message: &[&[u8]] = &[b"[\"\xf0", b"\x9f\x98", b"", b"\x80\"]"];
            for (number, part) in message.iter().enumerate() {
                let opcode = if number == 0 { TEXT } else { CONTINUATION };
                let fin = if number + 1 == message.len() { FIN } else { 0 };
                connection.write(frame(fin | opcode, part)).await;
                if fin == 0 {
                    connection.write(frame(FIN | PONG, b"unasked")).await;
                    connection.write(frame(FIN | PING, &[b'p', number as u8])).await;
                    assert_eq!(ws::read_frame(&mut connection).await, (FIN | PONG, vec![b'p', number as u8]));
                }
            }
            let echoed = if way.framed { "a[\"\u{1f600}\"]" } else { "[\"\u{1f600}\"]" };
            assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, echoed.as_bytes().to_vec()));
        })
        .await;
    }

    #[tokio::test]
    async fn a_socket_may_break_off_at_any_byte() {
        on_each(sockets(), async |way| {
            let mut reporting = Reporting::start(Options::new()).await;
            let handshake = ws::handshake(target(way)).to_bytes().len();
            let frames = [
                frame(FIN | TEXT, b"[\"a\"]"),
                frame(FIN | PING, b"ping"),
                frame(FIN | TEXT, &[b"[\"", &[b'x'; 200][..], b"\"]"].concat()),
                frame(FIN | CLOSE, &close_payload(1000, "enough")),
            ]
            .concat();
            let mut opened = 0;
            for cut in 0..=handshake + frames.len() {
                let mut connection = reporting.endpoint.server.connect().await;
                let request = ws::handshake(target(way)).to_bytes();
                // Ids differ in length, so the cut counts from the end of the handshake.
                let behind = cut.checked_sub(handshake);
                connection
                    .write(
                        &request[..if behind.is_some() { request.len() } else { cut.min(request.len() - 1) }],
                    )
                    .await;
                if let Some(behind) = behind {
                    assert_eq!(connection.head().await.status, 101);
                    connection.write(&frames[..behind]).await;
                    opened += 1;
                }
                leave(connection, EXITS[cut % 3]).await;
            }
            for _ in 0..opened {
                let reason = reporting.end().await;
                let enough = CloseReason::Client(Some(CloseFrame::new(1000, "enough")));
                assert!(reason == CloseReason::ConnectionLost || reason == enough, "{reason}");
            }
            reporting.endpoint.is_left_empty().await;
            assert!(reporting.has_no_more());
            reporting.endpoint.still_serves().await;
        })
        .await;
    }

    #[tokio::test]
    async fn handshakes_are_judged_by_the_letter() {
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        let version = "Sec-WebSocket-Version";
        let key = "Sec-WebSocket-Key";
        on_each(sockets(), async |way| {
            let request = |headers: &[(&str, &str)]| {
                let request =
                    Request::get(target(way)).header("Upgrade", "websocket").header("Connection", "Upgrade");
                headers.iter().fold(request, |request, (name, value)| request.header(*name, *value))
            };
            for (headers, status) in [
                (&[(version, "13"), (key, ws::KEY)][..], 101),
                (&[(version, "8"), (key, ws::KEY)], 101),
                (&[(version, "12"), (key, ws::KEY)], 426),
                (&[(version, "13, 8"), (key, ws::KEY)], 426),
                (&[(key, ws::KEY)], 426),
                (&[(version, "13")], 400),
                (&[(version, "13"), (key, "")], 400),
                (&[(version, "13"), (key, "c2hvcnQ=")], 400),
                (&[(version, "13"), (key, "dGhlIHNhbXBsZSBub25jZSBpcyB0b28gbG9uZw==")], 400),
                (&[(version, "13"), (key, "!!!!!!!!!!!!!!!!!!!!!!==")], 400),
                // The old handshake is off by default.
                (
                    &[
                        ("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5"),
                        ("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00"),
                    ],
                    426,
                ),
            ] {
                let mut connection = endpoint.server.connect().await;
                connection.send(&request(headers)).await;
                let head = connection.head().await;
                assert_eq!(head.status, status, "{headers:?}: {head}");
                let supported = (status == 426).then_some("13");
                assert_eq!(head.header("sec-websocket-version"), supported, "{head}");
            }
            let old = endpoint.server.ask(&ws::handshake(target(way)).http10()).await;
            assert_eq!(old.status, 426, "{old}");
            endpoint.is_left_empty().await;
        })
        .await;
    }

    /// As sockjs-node does, and no sending request.
    #[tokio::test]
    async fn a_lone_string_is_a_message() {
        let options = Options::new().disconnect_delay(NEVER).max_message_bytes(9).max_body_bytes(100);
        let mut reporting = Reporting::start(options).await;
        let way = sockets().find(|way| way.framed).expect("there is one");
        let mut connection = connect(&reporting.endpoint, way).await;
        for (payload, echoed) in [
            ("\"a\"", "a[\"a\"]"),
            ("\"\"", "a[\"\"]"),
            (" \t\r\n\"a b\" \n", "a[\"a b\"]"),
            (r#""\u00e9\ud83d\ude00\"""#, "a[\"\u{e9}\u{1f600}\\\"\"]"),
            ("\"123456789\"", "a[\"123456789\"]"),
        ] {
            connection.write(frame(FIN | TEXT, payload.as_bytes())).await;
            assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, echoed.as_bytes().to_vec()));
        }
        // In parts, as any message.
        connection.write([frame(TEXT, b"\"a"), frame(FIN | CONTINUATION, b"\"")].concat()).await;
        assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, b"a[\"a\"]".to_vec()));
        expect_violation(&mut reporting, way, &frame(FIN | TEXT, b"\"1234567890\""), 1009).await;
        for json in
            ["\"a", "\"a\" \"b\"", "\"a\",\"b\"", "1", "null", "true", "{\"a\":\"b\"}", "'a'", "[\"a\"]\"b\""]
        {
            expect_violation(&mut reporting, way, &frame(FIN | TEXT, json.as_bytes()), 1007).await;
        }
        drop(connection);
        on_each(http_ways(), async |way| {
            let mut client = Client::open(&reporting.endpoint, way).await;
            assert_eq!(client.up.post(b"\"a\"").await.status, 500, "{}", way.transport);
        })
        .await;
    }

    /// A code that may be on the wire is the client's own, whatever text is with it.
    #[tokio::test]
    async fn the_clients_close_is_told_as_it_came() {
        on_each(sockets(), async |way| {
            let mut reporting = Reporting::start(Options::new().disconnect_delay(NEVER)).await;
            let close = async |endpoint: &Endpoint, payload: &[u8]| {
                let mut connection = connect(endpoint, way).await;
                connection.write(frame(FIN | CLOSE, payload)).await;
                let (first, answer) = ws::read_frame(&mut connection).await;
                assert_eq!(first, FIN | CLOSE);
                connection.expect_end().await;
                answer
            };
            let longest = "\u{e9}".repeat(61) + "!";
            for (code, reason) in [
                (1002, "Protocol violation"),
                (1002, "Protocol error"),
                (1002, ""),
                (1000, "Protocol violation"),
                (1007, "Not UTF-8"),
                (3000, "\u{e9}"),
                (4999, longest.as_str()),
            ] {
                let payload = close_payload(code, reason);
                assert_eq!(close(&reporting.endpoint, &payload).await, payload);
                let own = CloseReason::Client(Some(CloseFrame::new(code, reason.to_owned())));
                assert_eq!(reporting.end().await, own, "{}", way.transport);
            }
            assert_eq!(close(&reporting.endpoint, b"").await, b"");
            assert_eq!(reporting.end().await, CloseReason::Client(None));
            for code in [0, 999, 1004, 1005, 1006, 1015, 2999, 5000, 65535] {
                for reason in ["", "Protocol violation"] {
                    let answer = close(&reporting.endpoint, &close_payload(code, reason)).await;
                    assert_eq!(answer[..2], 1002_u16.to_be_bytes(), "{code}");
                    let CloseReason::ProtocolError(close) = reporting.end().await else { panic!("{code}") };
                    assert_eq!(close.code(), 1002, "{code}");
                }
            }
            reporting.endpoint.is_left_empty().await;
        })
        .await;
    }

    /// hyper says `close` where the request does; the socket lives all the same.
    #[tokio::test]
    async fn a_connection_that_is_asked_to_close_becomes_a_socket() {
        let endpoint = Endpoint::start(apps::echo, Options::new()).await;
        on_each(sockets(), async |way| {
            for (connection, answer) in [
                ("Upgrade", "Upgrade"),
                ("keep-alive, Upgrade", "Upgrade"),
                ("close, Upgrade", "Upgrade, close"),
                ("Upgrade,close", "Upgrade, close"),
                ("UPGRADE, Close, te", "Upgrade, close"),
            ] {
                let request = Request::get(target(way))
                    .header("Upgrade", "websocket")
                    .header("Connection", connection)
                    .header("Sec-WebSocket-Version", "13")
                    .header("Sec-WebSocket-Key", ws::KEY);
                let mut connection = endpoint.server.connect().await;
                connection.send(&request).await;
                let head = connection.head().await;
                assert_eq!((head.status, head.header("connection")), (101, Some(answer)), "{head}");
                if way.framed {
                    ws::read_frame(&mut connection).await;
                }
                for _ in 0..2 {
                    connection.write(frame(FIN | TEXT, b"[]")).await;
                    connection.write(frame(FIN | PING, b"alive")).await;
                    assert_eq!(ws::read_frame(&mut connection).await, (FIN | PONG, b"alive".to_vec()));
                    if !way.framed {
                        assert_eq!(ws::read_frame(&mut connection).await, (FIN | TEXT, b"[]".to_vec()));
                    }
                }
            }
        })
        .await;
    }

    /// A peer that always has more, up to a bound, and takes whatever it is sent.
    struct Endless {
        before: Vec<u8>,
        then: Vec<u8>,
        at: usize,
        end: usize,
        read: Arc<AtomicUsize>,
    }

    impl AsyncRead for Endless {
        fn poll_read(
            mut self: Pin<&mut Self>,
            _: &mut Context<'_>,
            buffer: &mut ReadBuf<'_>,
        ) -> Poll<io::Result<()>> {
            let this = &mut *self;
            if this.at >= this.end {
                // For ever.
                return Poll::Pending;
            }
            while buffer.remaining() > 0 {
                let part = match this.before.get(this.at..) {
                    Some(rest @ [_, ..]) => rest,
                    _ => &this.then[(this.at - this.before.len()) % this.then.len()..],
                };
                let part = &part[..part.len().min(buffer.remaining())];
                buffer.put_slice(part);
                this.at += part.len();
            }
            this.read.store(this.at, Ordering::Relaxed);
            Poll::Ready(Ok(()))
        }
    }

    impl AsyncWrite for Endless {
        fn poll_write(self: Pin<&mut Self>, _: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
            Poll::Ready(Ok(data.len()))
        }

        fn poll_flush(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }

        fn poll_shutdown(self: Pin<&mut Self>, _: &mut Context<'_>) -> Poll<io::Result<()>> {
            Poll::Ready(Ok(()))
        }
    }

    /// Serves a flood, and gives what counts the bytes that are read of it.
    fn flood(endpoint: &SockJs, before: Vec<u8>, then: Vec<u8>, end: usize) -> Arc<AtomicUsize> {
        let read = Arc::new(AtomicUsize::new(0));
        let peer = Endless { before, then, at: 0, end, read: read.clone() };
        let app = Router::new().nest_service("/app", endpoint.clone());
        let service =
            service_fn(move |request: hyper::Request<Incoming>| app.clone().oneshot(request.map(Body::new)));
        tokio::spawn(http1::Builder::new().serve_connection(TokioIo::new(peer), service).with_upgrades());
        read
    }

    fn hixie76(target: &str) -> Vec<u8> {
        let head = Request::get(target)
            .header("Upgrade", "WebSocket")
            .header("Connection", "Upgrade")
            .header("Sec-WebSocket-Key1", "18x 6]8vM;54 *(5:  {   U1]8  z [  8")
            .header("Sec-WebSocket-Key2", "1_ tx7X d  <  nw  334J702) 7]o}` 0");
        [&head.to_bytes()[..], b"Tm[K T2u"].concat()
    }

    fn endpoint(closes: bool) -> SockJs {
        let handler = move |mut session: Session| async move {
            if closes {
                session.close(3000, "Go away!");
            }
            while session.recv().await.is_some() {}
        };
        let options = Options::new().hixie76(true).disconnect_delay(NEVER);
        SockJs::new(handler).options(apps::open_to_all(options))
    }

    /// Lets each other task of this thread have one turn.
    async fn turn() {
        let mut waited = false;
        poll_fn(|cx| {
            if std::mem::replace(&mut waited, true) {
                return Poll::Ready(());
            }
            cx.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }

    /// Whatever a peer floods its socket with, other tasks have their turns in between.
    #[tokio::test]
    async fn a_flood_takes_no_more_than_its_turn() {
        const END: usize = 8 << 20;
        let fragment = || frame(TEXT, b"");
        let cases: &[(&str, bool, Vec<u8>, Vec<u8>)] = &[
            ("empty fragments", false, fragment(), frame(CONTINUATION, b"")),
            ("fragments of a byte", false, fragment(), frame(CONTINUATION, b"x")),
            (
                "empty fragments and pongs",
                false,
                fragment(),
                [frame(CONTINUATION, b""), frame(FIN | PONG, b"")].concat(),
            ),
            ("pings", false, Vec::new(), frame(FIN | PING, b"")),
            ("whole messages", false, Vec::new(), frame(FIN | TEXT, b"")),
            ("large messages", false, Vec::new(), frame(FIN | TEXT, &b"[]".repeat(500))),
            ("pongs after the close", true, Vec::new(), frame(FIN | PONG, b"")),
            ("pings after the close", true, Vec::new(), frame(FIN | PING, b"")),
            ("messages after the close", true, Vec::new(), frame(FIN | TEXT, b"")),
            ("fragments after the close", true, fragment(), frame(CONTINUATION, b"")),
            ("anything behind an error", false, vec![0xff; 100], vec![0xff; 1000]),
            ("anything behind an error after the close", true, vec![0xff; 100], vec![0xff; 1000]),
        ];
        let old: &[(&str, bool, Vec<u8>, Vec<u8>)] = &[
            ("empty frames", false, Vec::new(), b"\x00\xff".to_vec()),
            ("an endless frame", false, b"\x00".to_vec(), b"x".to_vec()),
            ("empty frames after the close", true, Vec::new(), b"\x00\xff".to_vec()),
            ("anything behind an error", false, vec![0x80], vec![0x80; 1000]),
        ];
        on_each(sockets(), async |way| {
            let rfc6455 = cases.iter().map(|case| (case, ws::handshake(target(way)).to_bytes()));
            let hixie76 = old.iter().map(|case| (case, hixie76(&target(way))));
            for ((name, closes, before, then), handshake) in rfc6455.chain(hixie76) {
                let endpoint = endpoint(*closes);
                let read = flood(&endpoint, [&handshake, &before[..]].concat(), then.clone(), END);
                let turns = tokio::spawn(async move {
                    let mut turns = vec![0];
                    for _ in 0..100 {
                        turn().await;
                        turns.push(read.load(Ordering::Relaxed));
                    }
                    turns
                });
                let turns = turns.await.expect("it is not cut off");
                let longest = turns.windows(2).map(|pair| pair[1] - pair[0]).max();
                assert!(longest <= Some(192 << 10), "{longest:?} bytes in a turn: {name}");
                let all = turns.last().copied().unwrap_or_default();
                assert!(all > handshake.len() + before.len(), "{name}");
                let frames = all / then.len();
                let small = (2..10).contains(&then.len());
                assert!(!small || frames < 100 * 500, "{frames} frames in 100 turns: {name}");
            }
        })
        .await;
    }

    /// However little there is in it.
    #[tokio::test(start_paused = true)]
    async fn what_is_read_for_nothing_after_the_close_is_bounded() {
        let empty_pong = [&[FIN | PONG, 0xff][..], &[0; 12]].concat();
        on_each(sockets(), async |way| {
            let endpoint = endpoint(true);
            let read = flood(&endpoint, ws::handshake(target(way)).to_bytes(), empty_pong.clone(), 64 << 20);
            // The connection is dropped, and its peer with it.
            while Arc::strong_count(&read) > 1 && read.load(Ordering::Relaxed) < 64 << 20 {
                tokio::task::yield_now().await;
            }
            let read = read.load(Ordering::Relaxed);
            assert!((32 << 20..33 << 20).contains(&read), "{read} bytes");
        })
        .await;
    }
}
