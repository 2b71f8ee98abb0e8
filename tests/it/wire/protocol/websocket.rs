//! The WebSocket endpoints, framed and raw.

use crate::support::{
    apps,
    http::{Request, Response},
    suite::session_of,
    ws::{self, expect_end, send, text},
};

#[track_caller]
fn expect_method_not_allowed(response: &Response) {
    assert_eq!(response.status, 405, "{response}");
    assert!(response.header("allow").is_some_and(|allow| !allow.is_empty()), "{response}");
    assert_eq!(response.header("content-type"), None, "{response}");
    assert!(response.body.is_empty(), "{response}");
}

/// Suite: `WebsocketHttpErrors.test_httpMethod`.
#[tokio::test]
async fn a_get_that_asks_for_no_upgrade_is_refused() {
    assert_eq!(apps::suite().await.get("/echo/1/1/websocket").await.status, 400);
}

/// Suite: `WebsocketHttpErrors.test_invalidConnectionHeader`.
#[tokio::test]
async fn a_connection_header_that_a_proxy_rewrote_is_refused() {
    let server = apps::suite().await;
    for connection in ["close", "keep-alive"] {
        let request = Request::get("/echo/1/1/websocket")
            .header("Upgrade", "websocket")
            .header("Connection", connection)
            .header("Sec-WebSocket-Version", "13")
            .header("Sec-WebSocket-Key", ws::KEY);
        let response = server.ask(&request).await;
        assert_eq!(response.status, 400, "{connection}");
        assert!(!response.body.is_empty());
    }
}

/// Suite: `WebsocketHttpErrors.test_invalidMethod`.
#[tokio::test]
async fn only_get_becomes_a_websocket() {
    let server = apps::suite().await;
    let plain = Request::post("/echo/1/1/websocket");
    expect_method_not_allowed(&server.ask(&plain).await);
    let upgrade = plain.header("Upgrade", "websocket").header("Connection", "Upgrade");
    expect_method_not_allowed(&server.ask(&upgrade).await);
}

/// Suite: `Websocket.test_transport`.
#[tokio::test]
async fn frames_travel_both_ways() {
    let server = apps::suite().await;
    let mut socket = ws::open(server.addr, &(session_of("echo") + "/websocket")).await;
    assert_eq!(text(&mut socket).await, "o");
    send(&mut socket, r#"["b"]"#).await;
    assert_eq!(text(&mut socket).await, r#"a["b"]"#);
}

/// Suite: `Websocket.test_close`.
#[tokio::test]
async fn a_close_ends_the_connection() {
    let server = apps::suite().await;
    let mut socket = ws::open(server.addr, &(session_of("close") + "/websocket")).await;
    assert_eq!(text(&mut socket).await, "o");
    assert_eq!(text(&mut socket).await, r#"c[3000,"Go away!"]"#);
    expect_end(&mut socket).await;
}

/// Suite: `Websocket.test_headersSanity`.
#[tokio::test]
async fn the_handshake_is_answered_to_the_letter() {
    let server = apps::suite().await;
    let mut connection = server.connect().await;
    connection.send(&ws::handshake(session_of("echo") + "/websocket")).await;
    let head = connection.head().await;
    assert_eq!(head.status, 101);
    assert_eq!(head.header("sec-websocket-accept"), Some(ws::ACCEPT));
    assert!(head.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert!(head.header("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
    assert_eq!(head.header("content-length"), None);
}

/// Suite: `Websocket.test_empty_frame`.
#[tokio::test]
async fn empty_frames_and_empty_arrays_are_nothing() {
    let server = apps::suite().await;
    let mut socket = ws::open(server.addr, &(session_of("echo") + "/websocket")).await;
    assert_eq!(text(&mut socket).await, "o");
    for nothing in ["", "[]", "", "[]"] {
        send(&mut socket, nothing).await;
    }
    send(&mut socket, r#"["b"]"#).await;
    assert_eq!(text(&mut socket).await, r#"a["b"]"#);
}

/// Suite: `Websocket.test_reuseSessionId`.
#[tokio::test]
async fn sockets_may_share_an_id_and_use_it_again() {
    let server = apps::suite().await;
    let url = session_of("echo") + "/websocket";
    let mut one = ws::open(server.addr, &url).await;
    let mut two = ws::open(server.addr, &url).await;
    assert_eq!((text(&mut one).await, text(&mut two).await), ("o".to_owned(), "o".to_owned()));
    send(&mut one, r#"["one"]"#).await;
    send(&mut two, r#"["two"]"#).await;
    assert_eq!(text(&mut one).await, r#"a["one"]"#);
    assert_eq!(text(&mut two).await, r#"a["two"]"#);
    for mut socket in [one, two] {
        socket.close(None).await.unwrap();
        expect_end(&mut socket).await;
    }
    let mut again = ws::open(server.addr, &url).await;
    assert_eq!(text(&mut again).await, "o");
    send(&mut again, r#"["again"]"#).await;
    assert_eq!(text(&mut again).await, r#"a["again"]"#);
}

/// With the example of the draft, section 1.3. Suite: `Websocket.test_haproxy`.
#[tokio::test]
async fn the_hixie_76_answer_does_not_wait_for_the_last_eight_bytes() {
    let server = apps::suite().await;
    let url = session_of("echo") + "/websocket";
    let request = Request::get(&url)
        .header("Upgrade", "WebSocket")
        .header("Connection", "Upgrade")
        .header("Origin", "http://example.com")
        .header("Sec-WebSocket-Key1", "4 @1  46546xW%0l 1 5")
        .header("Sec-WebSocket-Key2", "12998 5 Y3 1  .P00");
    let mut connection = server.connect().await;
    connection.send(&request).await;
    let head = connection.head().await;
    assert_eq!(head.status, 101);
    assert!(head.header("connection").unwrap().eq_ignore_ascii_case("upgrade"));
    assert!(head.header("upgrade").unwrap().eq_ignore_ascii_case("websocket"));
    assert_eq!(head.header("sec-websocket-location"), Some(&*format!("ws://localhost{url}")));
    assert_eq!(head.header("sec-websocket-origin"), Some("http://example.com"));
    assert_eq!(head.header("content-length"), None);
    connection.write("^n:ds[4U").await;
    assert_eq!(connection.exactly(16).await, b"8jKS'y:G*Co,Wxa-");
}

/// Suite: `Websocket.test_broken_json`.
#[tokio::test]
async fn broken_json_ends_the_connection_at_once() {
    let server = apps::suite().await;
    let mut socket = ws::open(server.addr, &(session_of("echo") + "/websocket")).await;
    assert_eq!(text(&mut socket).await, "o");
    send(&mut socket, r#"["b"#).await;
    assert_eq!(expect_end(&mut socket).await, Some((1007, "Broken JSON encoding".to_owned())));
}

/// Suite: `RawWebsocket.test_transport`.
#[tokio::test]
async fn raw_messages_travel_as_they_are() {
    let server = apps::suite().await;
    let mut socket = ws::open(server.addr, "/echo/websocket").await;
    for message in ["Good day!\u{ffff}", "", "[]", "h", r#"["b"]"#] {
        send(&mut socket, message).await;
        assert_eq!(text(&mut socket).await, message);
    }
}

/// Suite: `RawWebsocket.test_close`.
#[tokio::test]
async fn a_raw_socket_is_closed_with_the_applications_reason() {
    let server = apps::suite().await;
    let mut socket = ws::open(server.addr, "/close/websocket").await;
    assert_eq!(expect_end(&mut socket).await, Some((3000, "Go away!".to_owned())));
}
