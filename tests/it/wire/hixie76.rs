//! The WebSocket of 2010, "hixie-76": its handshake and its framing, byte by byte.

use std::time::Duration;

use axum::http::uri::Scheme;
use axum_sockjs::{CloseFrame, CloseReason, Message, Options};

use crate::support::{
    NEVER, PATIENCE,
    apps::{self, Endpoint, Reporting, Stage},
    as_time_passes, fresh_id,
    http::{Connection, Request, Response},
};

/// What both sides say last.
const GOODBYE: &[u8] = b"\xff\x00";

/// The three parts of a client's key, and the answer to them.
struct Example {
    key1: &'static str,
    key2: &'static str,
    key3: &'static [u8; 8],
    answer: &'static [u8; 16],
}

/// The draft's own examples.
const EXAMPLES: [Example; 2] = [
    Example {
        key1: "4 @1  46546xW%0l 1 5",
        key2: "12998 5 Y3 1  .P00",
        key3: b"^n:ds[4U",
        answer: b"8jKS'y:G*Co,Wxa-",
    },
    Example {
        key1: "18x 6]8vM;54 *(5:  {   U1]8  z [  8",
        key2: "1_ tx7X d  <  nw  334J702) 7]o}` 0",
        key3: b"Tm[K T2u",
        answer: b"fQJ,fN/4F4!~K~MH",
    },
];

fn options() -> Options {
    Options::new().hixie76(true)
}

/// The two URLs, and whether frames of SockJS travel there.
fn targets() -> [(bool, String); 2] {
    [(true, Endpoint::path(&fresh_id(), "websocket")), (false, "/app/websocket".to_owned())]
}

fn handshake(target: &str, Example { key1, key2, .. }: &Example) -> Request {
    Request::get(target)
        .header("Upgrade", "WebSocket")
        .header("Connection", "Upgrade")
        .header("Origin", "http://example.com")
        .header("Sec-WebSocket-Key1", *key1)
        .header("Sec-WebSocket-Key2", *key2)
}

/// A client behind the handshake, and behind the open frame where there is one.
async fn connect(endpoint: &Endpoint, framed: bool, target: &str) -> Connection {
    let [example, _] = EXAMPLES;
    let mut connection = endpoint.server.connect().await;
    connection.send(&handshake(target, &example)).await;
    assert_eq!(connection.head().await.status, 101);
    connection.write(example.key3).await;
    assert_eq!(connection.exactly(16).await, example.answer);
    if framed {
        expect(&mut connection, "o").await;
    }
    connection
}

fn frame(text: &str) -> Vec<u8> {
    [b"\x00", text.as_bytes(), b"\xff"].concat()
}

/// Expects one frame with this text.
async fn expect(connection: &mut Connection, text: &str) {
    let expected = frame(text);
    let received = connection.exactly(expected.len()).await;
    assert_eq!(received, expected, "{:?}", String::from_utf8_lossy(&received));
}

#[tokio::test]
async fn the_drafts_examples_are_answered() {
    let stage = Stage::start(options()).await;
    for (_, target) in targets() {
        for example in &EXAMPLES {
            let mut connection = stage.endpoint.server.connect().await;
            connection.send(&handshake(&target, example)).await;
            // Some proxies pass the last eight bytes on only when they have seen this.
            let head: Response = connection.head().await;
            assert_eq!(head.status, 101, "{head}");
            assert_eq!(head.header("upgrade"), Some("WebSocket"));
            assert_eq!(head.header("connection"), Some("Upgrade"));
            let location = format!("ws://localhost{target}");
            assert_eq!(head.header("sec-websocket-location"), Some(&*location));
            assert_eq!(head.header("sec-websocket-origin"), Some("http://example.com"));
            assert_eq!(head.header("sec-websocket-protocol"), None);
            assert_eq!(head.header("content-length"), None);
            assert_eq!(head.header("transfer-encoding"), None);
            let (first, second) = example.key3.split_at(3);
            connection.write(first).await;
            connection.write(second).await;
            assert_eq!(connection.exactly(16).await, example.answer);
        }
    }
}

#[tokio::test]
async fn everything_may_come_in_one_piece() {
    let endpoint = Endpoint::start(apps::echo, options()).await;
    for (framed, target) in targets() {
        let [example, _] = EXAMPLES;
        let message = if framed { "[\"a\"]" } else { "a" };
        let all = [
            &handshake(&target, &example).to_bytes()[..],
            example.key3,
            &frame(message),
            &frame(""),
            GOODBYE,
        ];
        let mut connection = endpoint.server.connect().await;
        connection.write(all.concat()).await;
        assert_eq!(connection.head().await.status, 101);
        assert_eq!(connection.exactly(16).await, example.answer);
        if framed {
            expect(&mut connection, "o").await;
        }
        // The echoes may be overtaken by the end, which stands behind the messages.
        assert!(connection.rest().await.ends_with(GOODBYE));
    }
}

#[tokio::test]
async fn the_url_is_named_as_the_client_knows_it() {
    let stage = Stage::start(options()).await;
    for (headers, target, location) in [
        (&[][..], "/app/websocket?a=b%20c", "ws://localhost/app/websocket?a=b%20c"),
        (&[("X-Forwarded-Proto", "https")], "/app/websocket", "wss://localhost/app/websocket"),
        (&[("X-Forwarded-Proto", "http")], "/app/websocket", "ws://localhost/app/websocket"),
        (&[], "http://elsewhere:81/app/websocket", "ws://elsewhere:81/app/websocket"),
    ] {
        let request = headers
            .iter()
            .fold(handshake(target, &EXAMPLES[0]), |request, (name, value)| request.header(*name, *value))
            .header("Sec-WebSocket-Protocol", "chat");
        let mut connection = stage.endpoint.server.connect().await;
        connection.send(&request).await;
        let head = connection.head().await;
        assert_eq!((head.status, head.header("sec-websocket-location")), (101, Some(location)));
        assert_eq!(head.header("sec-websocket-protocol"), Some("chat"));
    }
}

#[tokio::test]
async fn the_url_has_the_scheme_and_the_host_that_the_origins_are_compared_with() {
    let proxied = options().trust_forwarded(true);
    let example = [("X-Forwarded-Host", "example.com"), ("X-Forwarded-Proto", "https")];
    for (options, headers, origin) in [
        // A server that ends TLS itself knows better than a proxy that nobody trusts.
        (options().scheme(Scheme::HTTPS), vec![], "wss://localhost"),
        (options().scheme(Scheme::HTTPS), vec![("X-Forwarded-Proto", "http")], "wss://localhost"),
        (options().scheme(Scheme::HTTP), vec![("X-Forwarded-Proto", "https")], "ws://localhost"),
        // One that is trusted knows best.
        (options().trust_forwarded(true).scheme(Scheme::HTTP), example.to_vec(), "wss://example.com"),
        (proxied.clone(), example.to_vec(), "wss://example.com"),
        (proxied.clone(), [&example[..], &[("X-Forwarded-Port", "8443")]].concat(), "wss://example.com:8443"),
        (proxied.clone(), [&example[..], &[("X-Forwarded-Port", "443")]].concat(), "wss://example.com"),
        (proxied.clone(), vec![("Forwarded", "proto=https;host=\"a.example:1\"")], "wss://a.example:1"),
        (proxied, vec![("X-Forwarded-Proto", "")], "ws://localhost"),
        // Else any proxy is believed, for nothing but this comparison, which is the client's.
        (options(), example.to_vec(), "wss://localhost"),
        (options(), vec![("X-Forwarded-Proto", "https, http")], "wss://localhost"),
    ] {
        let stage = Stage::start(options).await;
        for (_, target) in targets() {
            let request = headers.iter().fold(handshake(&target, &EXAMPLES[0]), |request, (name, value)| {
                request.header(*name, *value)
            });
            let mut connection = stage.endpoint.server.connect().await;
            connection.send(&request).await;
            let head = connection.head().await;
            let location = format!("{origin}{target}");
            assert_eq!(head.header("sec-websocket-location"), Some(&*location), "{headers:?}: {head}");
        }
    }
}

#[tokio::test]
async fn messages_travel_both_ways() {
    let mut stage = Stage::start(options()).await;
    for (framed, target) in targets() {
        let mut connection = connect(&stage.endpoint, framed, &target).await;
        let mut session = stage.session().await;
        let texts = ["a", "é€😀\u{fffe}", "\"\\\n", &"long ".repeat(20_000)];
        let mut bytes = Vec::new();
        for text in texts {
            let json = serde_json::to_string(&[text]).unwrap();
            bytes.extend(frame(if framed { &json } else { text }));
        }
        if framed {
            bytes.extend(frame("[]"));
            bytes.extend(frame(""));
        }
        connection.write(bytes).await;
        for text in texts {
            assert_eq!(session.recv().await.unwrap(), text);
        }
        // Nothing is awaited in between: they leave together in a frame of SockJS.
        session.try_send("a").unwrap();
        session.try_send("é😀").unwrap();
        if framed {
            expect(&mut connection, "a[\"a\",\"é😀\"]").await;
        } else {
            expect(&mut connection, "a").await;
            expect(&mut connection, "é😀").await;
        }
        // A frame may come in any number of pieces.
        for byte in frame(if framed { "[\"é\"]" } else { "é" }) {
            connection.write([byte]).await;
        }
        assert_eq!(session.recv().await.unwrap(), "é");
        // It has no way to carry anything but text.
        session.send(Message::binary(vec![1, 2, 3])).await.unwrap_err();
        assert_eq!(session.close_reason(), None);
    }
}

#[tokio::test]
async fn a_client_that_closes_is_answered() {
    let mut reporting = Reporting::start(options().disconnect_delay(NEVER)).await;
    for (framed, target) in targets() {
        let mut connection = connect(&reporting.endpoint, framed, &target).await;
        connection.write(GOODBYE).await;
        assert_eq!(connection.rest().await, GOODBYE);
        assert_eq!(reporting.end().await, CloseReason::Client(None));
    }
    reporting.endpoint.is_left_empty().await;
}

#[tokio::test]
async fn a_server_that_closes_waits_for_the_answer() {
    let mut stage = Stage::start(options().disconnect_delay(NEVER)).await;
    for (framed, target) in targets() {
        let mut connection = connect(&stage.endpoint, framed, &target).await;
        let session = stage.session().await;
        session.try_send("last words").unwrap();
        session.close(3001, "Good bye");
        if framed {
            expect(&mut connection, "a[\"last words\"]").await;
            expect(&mut connection, "c[3001,\"Good bye\"]").await;
        } else {
            expect(&mut connection, "last words").await;
        }
        assert_eq!(connection.exactly(2).await, GOODBYE);
        // What was on its way is thrown away.
        connection.write(frame("[\"crossing\"]")).await;
        connection.write(GOODBYE).await;
        connection.expect_end().await;
    }
}

#[tokio::test]
async fn a_client_that_breaks_off_is_lost() {
    let mut reporting = Reporting::start(options().disconnect_delay(NEVER)).await;
    for (framed, target) in targets() {
        for with_reset in [false, true] {
            let mut connection = connect(&reporting.endpoint, framed, &target).await;
            connection.write(b"\x00half a fra").await;
            if with_reset {
                connection.abort();
            } else {
                drop(connection);
            }
            assert_eq!(reporting.end().await, CloseReason::ConnectionLost);
        }
    }
    reporting.endpoint.is_left_empty().await;
}

#[tokio::test]
async fn heartbeats_are_sent_in_frames_only() {
    let mut stage = Stage::start(options().heartbeat(Duration::from_millis(10))).await;
    let [(_, framed), (_, raw)] = targets();
    let mut framed = connect(&stage.endpoint, true, &framed).await;
    let mut raw = connect(&stage.endpoint, false, &raw).await;
    let _first = stage.session().await;
    let session = stage.session().await;
    for _ in 0..5 {
        expect(&mut framed, "h").await;
    }
    // As many were due here by now.
    session.send("no ping").await.unwrap();
    expect(&mut raw, "no ping").await;
}

#[tokio::test]
async fn what_breaks_the_rules_ends_the_session() {
    let options = options().disconnect_delay(NEVER).max_message_bytes(1000).max_body_bytes(2000);
    let mut reporting = Reporting::start(options).await;
    let long = |length: usize| [b"\x00", &vec![b'x'; length][..]].concat();
    let on_both = [
        // A frame with a length, and types that there never were.
        (b"\x80\x01a".to_vec(), 1002),
        (b"\x01a\xff".to_vec(), 1002),
        (b"\xff\x01".to_vec(), 1002),
        (b"GET / HTTP/1.1\r\n\r\n".to_vec(), 1002),
        (b"\x00\xc3\xff".to_vec(), 1007),
        (b"\x00\xed\xa0\x80\xff".to_vec(), 1007),
        // Too long already, though their end has not come.
        (long(2001), 1009),
        (long(10_000_000), 1009),
    ];
    let on_one = [
        (true, frame("[\"a\""), 1007),
        (true, frame("[null,\"a\"]"), 1007),
        (true, frame(&format!("[\"{}\"]", "x".repeat(1001))), 1009),
        (false, frame(&"x".repeat(1001)), 1009),
    ];
    let on_both =
        on_both.into_iter().flat_map(|(bytes, code)| [(true, bytes.clone(), code), (false, bytes, code)]);
    for (framed, bytes, code) in on_both.chain(on_one) {
        let (_, target) = targets().into_iter().find(|(is_framed, _)| *is_framed == framed).unwrap();
        let mut connection = connect(&reporting.endpoint, framed, &target).await;
        connection.write(&bytes).await;
        let beginning = String::from_utf8_lossy(&bytes[..bytes.len().min(20)]).into_owned();
        assert_eq!(connection.exactly(2).await, GOODBYE, "{beginning:?}");
        let end = reporting.end().await;
        let CloseReason::ProtocolError(frame) = &end else { panic!("{end} after {beginning:?}") };
        assert_eq!(frame.code(), code, "{beginning:?}");
        connection.finish_writing().await;
        connection.expect_end().await;
    }
    reporting.endpoint.is_left_empty().await;
    reporting.endpoint.still_serves().await;
}

#[tokio::test]
async fn an_application_may_close_with_any_code() {
    let mut stage = Stage::start(options()).await;
    let [(_, target), _] = targets();
    let mut connection = connect(&stage.endpoint, true, &target).await;
    let session = stage.session().await;
    session.close(60_000, "\"\u{fffe}\n");
    expect(&mut connection, "c[60000,\"\\\"\\ufffe\\n\"]").await;
    assert_eq!(connection.exactly(2).await, GOODBYE);
    assert_eq!(session.close_reason(), Some(CloseReason::Server(CloseFrame::new(60_000, "\"\u{fffe}\n"))));
}

#[tokio::test]
async fn keys_that_are_none_are_refused() {
    let stage = Stage::start(options()).await;
    let Example { key1, key2, .. } = EXAMPLES[0];
    for (first, second) in [
        (key1, ""),
        ("", key2),
        // No spaces, a number that the spaces do not divide, one beyond 32 bits.
        (key1, "1234"),
        (key1, "1 0 0 1 1"),
        (key1, "99999 99999"),
    ] {
        let example = Example { key1: first, key2: second, ..EXAMPLES[0] };
        let response = stage.endpoint.server.ask(&handshake("/app/websocket", &example)).await;
        assert_eq!(response.status, 426, "{first:?}, {second:?}");
    }
    // A client that speaks both is answered in the new way.
    let both = handshake("/app/websocket", &EXAMPLES[0])
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", crate::support::ws::KEY);
    let mut connection = stage.endpoint.server.connect().await;
    connection.send(&both).await;
    let head = connection.head().await;
    assert_eq!(head.header("sec-websocket-accept"), Some(crate::support::ws::ACCEPT));
    assert_eq!(head.header("sec-websocket-location"), None);
}

#[tokio::test]
async fn a_handshake_that_is_never_finished_runs_out_of_time() {
    let mut stage = Stage::start(options().open_timeout(NEVER).disconnect_delay(NEVER)).await;
    for (_, target) in targets() {
        for part in [0, 7] {
            let [example, _] = EXAMPLES;
            let mut connection = stage.endpoint.server.connect().await;
            connection.send(&handshake(&target, &example)).await;
            assert_eq!(connection.head().await.status, 101);
            connection.write(&example.key3[..part]).await;
            as_time_passes("the end", connection.readable()).await;
            connection.expect_end().await;
        }
    }
    // No application has heard of them.
    stage.endpoint.is_left_empty().await;
    assert!(stage.has_no_more());
}

#[tokio::test]
async fn a_handshake_that_breaks_off_leaves_nothing() {
    let mut stage = Stage::start(options().open_timeout(2 * PATIENCE).disconnect_delay(NEVER)).await;
    for (_, target) in targets() {
        for part in 0..8 {
            let [example, _] = EXAMPLES;
            let mut connection = stage.endpoint.server.connect().await;
            connection.send(&handshake(&target, &example)).await;
            assert_eq!(connection.head().await.status, 101);
            connection.write(&example.key3[..part]).await;
            if part % 2 == 0 {
                connection.abort();
            }
        }
    }
    stage.endpoint.is_left_empty().await;
    assert!(stage.has_no_more());
}

#[tokio::test]
async fn an_unfinished_frame_has_a_minute() {
    let options = options().heartbeat(None).disconnect_delay(NEVER);
    let mut reporting = Reporting::start(options).await;
    for unfinished in [&b"\x00[\"half a fra"[..], b"\x00", b"\xff", b"\x00[\"a\"]\xff\x00\xff\x00["] {
        for (framed, target) in targets() {
            let mut connection = connect(&reporting.endpoint, framed, &target).await;
            connection.write(unfinished).await;
            let slow = CloseReason::ProtocolError(CloseFrame::new(1008, "Message too slow"));
            assert_eq!(reporting.end_as_time_passes().await, slow, "{unfinished:?}");
            connection.finish_writing().await;
            assert!(connection.rest().await.ends_with(GOODBYE));
        }
    }
    reporting.endpoint.is_left_empty().await;
}

#[tokio::test]
async fn a_connection_that_is_asked_to_close_becomes_a_socket() {
    let endpoint = Endpoint::start(apps::echo, options()).await;
    for (framed, target) in targets() {
        let [example, _] = EXAMPLES;
        let request = handshake(&target, &example).header("Connection", "close");
        let mut connection = endpoint.server.connect().await;
        connection.send(&request).await;
        let head = connection.head().await;
        assert_eq!(
            (head.status, head.header("connection")),
            (101, Some("Upgrade, close")),
            "hyper adds to it"
        );
        connection.write(example.key3).await;
        assert_eq!(connection.exactly(16).await, example.answer);
        connection.write(frame(if framed { "[\"a\"]" } else { "a" })).await;
        if framed {
            expect(&mut connection, "o").await;
        }
        expect(&mut connection, if framed { "a[\"a\"]" } else { "a" }).await;
    }
}
