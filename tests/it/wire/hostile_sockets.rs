//! WebSocket clients that mean harm, or have gone wrong.

use axum_sockjs::{CloseFrame, CloseReason, Options};

use crate::support::{
    NEVER,
    apps::{self, Endpoint, Reporting},
    client::{Client, Way, http_ways, on_each, sockets},
    fresh_id,
    http::{Connection, EXITS, MEGABYTE, Request, leave},
    urls::answer,
    within,
    ws::{self, BINARY, CLOSE, CONTINUATION, FIN, PING, PONG, TEXT, close_payload, frame, target},
};

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
                .header("Sec-WebSocket-Key", ws::KEY);
            let response = answer(&endpoint.server, &request).await;
            assert_eq!(response.status, status, "{connection:?}, {upgrade:?}: {response}");
        }
    }
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
                .write(&request[..if behind.is_some() { request.len() } else { cut.min(request.len() - 1) }])
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
