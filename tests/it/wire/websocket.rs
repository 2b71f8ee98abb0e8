//! WebSockets: closing, binary messages, extractors.

use std::{net::SocketAddr, time::Duration};

use axum::{
    Extension, Router,
    extract::ConnectInfo,
    http::{Method, Uri},
};
use axum_sockjs::{CloseFrame, CloseReason, LoneSurrogates, Message, Options, Session, SockJs};
use tokio_tungstenite::tungstenite::Message as WsMessage;

use crate::support::{
    NEVER,
    apps::{self, Endpoint, Stage, end_of},
    client::{Client, Frame, on_each, sockets},
    server::Server,
    within,
    ws::{self, until_closed},
};

#[tokio::test]
async fn a_websockets_handler_has_extractors_too() {
    let handler = |ConnectInfo(peer): ConnectInfo<SocketAddr>, method: Method, uri: Uri, session: Session| async move {
        assert_eq!(session.peer_addr(), Some(peer));
        session.send(format!("{method} {uri} {} {}", session.transport(), peer.ip())).await.unwrap();
    };
    let app = Router::new().nest_service("/app", SockJs::new(handler)).nest_service(
        "/closed",
        SockJs::new(|_: Extension<&'static str>, session: Session| async move { drop(session) }),
    );
    let server = Server::start(app).await;
    for (path, expected) in [
        ("/app/000/x/websocket?a=b", "oa[\"GET /?a=b websocket 127.0.0.1\"]c[1000,\"Normal closure\"]"),
        ("/app/websocket?a=b", "GET /?a=b websocket-raw 127.0.0.1"),
    ] {
        let seen = until_closed(ws::open(server.addr, path).await).await;
        assert!(seen.starts_with(expected), "{path}: {seen}");
    }
    for path in ["/closed/000/x/websocket", "/closed/websocket"] {
        let response = server.ask(&ws::handshake(path)).await;
        assert_eq!(response.status, 500, "{path}: the rejection is the answer");
        assert!(response.text().contains("Extension"), "{path}");
    }
}

#[tokio::test]
async fn a_broken_rule_ends_the_connection_as_soon_as_the_client_has_answered() {
    on_each(sockets().filter(|way| way.framed), async |way| {
        let endpoint = Endpoint::start(apps::echo, Options::new().disconnect_delay(NEVER)).await;
        let mut client = Client::open(&endpoint, way).await;
        client.up.send_payload("nonsense").await;
        let Frame::Goodbye(..) = client.frame().await else { panic!("no close frame") };
        // The library has answered that; the server ends the connection.
        assert_eq!(client.frame().await, Frame::Gone);
    })
    .await;
}

#[tokio::test]
async fn what_a_client_says_before_it_hangs_up_is_heard_however_fast_it_is() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::start(Options::new()).await;
        // All of it is there before the server has begun to read.
        let bytes = [
            ws::handshake(ws::target(way)).to_bytes(),
            ws::frame(ws::FIN | ws::TEXT, if way.framed { b"[\"a\"]" } else { b"a" }),
            ws::frame(ws::FIN | ws::CLOSE, &ws::close_payload(1000, "done")),
        ];
        let mut connection = stage.endpoint.server.connect().await;
        connection.write(bytes.concat()).await;
        assert_eq!(connection.head().await.status, 101);
        let mut session = stage.session().await;
        assert_eq!(within("a message", session.recv()).await.expect("it was accepted"), "a");
        assert_eq!(end_of(&mut session).await, CloseReason::Client(Some(CloseFrame::new(1000, "done"))));
    })
    .await;
}

#[tokio::test]
async fn the_client_sees_how_the_application_closes() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
        let long = "é".repeat(100);
        let cut = "é".repeat(61);
        for (code, reason, wire_code, wire_reason) in [
            (1000, "Normal closure", 1000, "Normal closure"),
            (3000, "", 3000, ""),
            (4999, long.as_str(), 4999, cut.as_str()),
            // No WebSocket may say these, but SockJS frames may.
            (0, "zero", 1000, "zero"),
            (1005, "none", 1000, "none"),
            (60_000, "large", 1000, "large"),
        ] {
            let mut client = Client::open(&stage.endpoint, way).await;
            let mut session = stage.session().await;
            session.close(code, reason.to_owned());
            if way.framed {
                assert_eq!(client.frame().await, Frame::Close(code, reason.to_owned()));
            }
            assert_eq!(client.frame().await, Frame::Goodbye(wire_code, wire_reason.to_owned()));
            // The library has answered that; the server ends the connection.
            assert_eq!(client.frame().await, Frame::Gone);
            let expected = CloseReason::Server(CloseFrame::new(code, reason.to_owned()));
            assert_eq!(end_of(&mut session).await, expected);
        }
    })
    .await;
}

#[tokio::test]
async fn the_server_waits_for_the_answer_to_its_close_and_then_ends_the_connection() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
        let mut connection = ws::upgraded(stage.endpoint.server.addr, &ws::target(way)).await;
        let session = stage.session().await;
        session.close(3001, "Good bye");
        assert_eq!(ws::read_close(&mut connection).await, Some(CloseFrame::new(3001, "Good bye")));
        // What was on its way meanwhile is read and thrown away.
        connection.write(ws::frame(ws::FIN | ws::TEXT, b"[\"crossing\"]")).await;
        connection.write(ws::frame(ws::FIN | ws::CLOSE, &ws::close_payload(3001, ""))).await;
        connection.expect_end().await;
    })
    .await;
}

#[tokio::test]
async fn a_close_that_nobody_answers_ends_with_the_delay() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(Duration::from_millis(50))).await;
        let mut connection = ws::upgraded(stage.endpoint.server.addr, &ws::target(way)).await;
        stage.session().await.close(3001, "Good bye");
        assert_eq!(ws::read_close(&mut connection).await, Some(CloseFrame::new(3001, "Good bye")));
        connection.expect_end().await;
    })
    .await;
}

#[tokio::test]
async fn binary_messages_travel_on_the_raw_socket_only() {
    on_each(sockets(), async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let mut socket = ws::open(stage.endpoint.server.addr, &ws::target(way)).await;
        let mut session = stage.session().await;
        let data = vec![0_u8, 255, 128];
        if way.framed {
            session.send(Message::binary(data.clone())).await.unwrap_err();
            session.try_send(Message::binary(data)).unwrap_err();
            assert_eq!(session.close_reason(), None);
        } else {
            session.send(Message::binary(data.clone())).await.unwrap();
            let received = ws::next(&mut socket).await;
            assert!(matches!(&received, Some(WsMessage::Binary(bytes)) if bytes[..] == data), "{received:?}");
            ws::send(&mut socket, data.clone()).await;
            let message = within("a message", session.recv()).await.unwrap();
            assert!(message.is_binary() && message.as_bytes() == data);
        }
    })
    .await;
}

#[tokio::test]
async fn half_a_character_comes_back_in_a_frame_and_is_replaced_on_the_raw_socket() {
    let options = Options::new().lone_surrogates(LoneSurrogates::Keep);
    let mut stage = Stage::start(options).await;
    let addr = stage.endpoint.server.addr;
    let mut framed = ws::open(addr, "/app/000/x/websocket").await;
    let mut session = stage.session().await;
    let mut raw = ws::open(addr, "/app/websocket").await;
    let other = stage.session().await;
    assert_eq!(ws::text(&mut framed).await, "o");
    for (text, replaced) in [(r"a\ud83d", "a\u{fffd}"), (r"\ude00\ud83d", "\u{fffd}\u{fffd}")] {
        for payload in [format!("[\"{text}\"]"), format!("\"{text}\"")] {
            ws::send(&mut framed, payload).await;
            let message = within("a message", session.recv()).await.unwrap();
            session.send(message.clone()).await.unwrap();
            assert_eq!(ws::text(&mut framed).await, format!("a[\"{text}\"]"));
            other.send(message).await.unwrap();
            assert_eq!(ws::text(&mut raw).await, replaced);
        }
    }
}

#[tokio::test]
async fn half_a_character_that_is_refused_closes_a_framed_socket() {
    let options = Options::new().lone_surrogates(LoneSurrogates::Refuse);
    let mut stage = Stage::start(options).await;
    let mut framed = ws::open(stage.endpoint.server.addr, "/app/000/x/websocket").await;
    let mut session = stage.session().await;
    ws::send(&mut framed, r#"["a","\ud83d"]"#).await;
    let close = CloseFrame::new(1007, "Lone surrogate");
    assert_eq!(end_of(&mut session).await, CloseReason::ProtocolError(close));
    assert_eq!(until_closed(framed).await, "oLone surrogate");
}
