//! Clients that mean harm, or have gone wrong: each gets its documented answer, and the server goes on.

use std::time::Duration;

use axum_sockjs::{ClientScript, Cookie, Options};

use crate::support::{
    NEVER,
    apps::{self, Endpoint, Stage},
    client::{Client, Frame, Kind, WAYS, http_ways, on_each},
    fresh_id,
    http::{EXITS, MEGABYTE, Request, leave},
    server::Server,
    urls::{answer, every_request},
};

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
