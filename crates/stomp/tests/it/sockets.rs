//! Real WebSockets.

use std::{net::SocketAddr, sync::Arc};

use axum_stomp::{ClientSend, Stomp, StompOptions, broker::memory::MemoryBroker, sockjs_bus::InProcess};
use futures_util::{SinkExt as _, StreamExt as _};
use http::HeaderValue;
use tokio::net::TcpListener;
use tokio_tungstenite::{
    connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

use crate::support::{Client, Scene};

async fn start(scene: &Scene) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port of loopback is free");
    let addr = listener.local_addr().expect("a port of loopback is free");
    let service = scene.app.clone().into_make_service_with_connect_info::<SocketAddr>();
    tokio::spawn(axum::serve(listener, service).into_future());
    addr
}

/// A client of `/ws`, and the sub-protocol that it got of those that it offered.
async fn open(addr: SocketAddr, offered: &str) -> (Client, Option<String>) {
    let mut request = format!("ws://{addr}/ws").into_client_request().expect("a request");
    if !offered.is_empty() {
        request
            .headers_mut()
            .insert("sec-websocket-protocol", HeaderValue::from_str(offered).expect("a request"));
    }
    let (socket, response) = match connect_async(request).await {
        Ok(opened) => opened,
        // The client refuses an answer without one of those that it offered.
        Err(error) => panic!("{offered}: {error}"),
    };
    let got =
        response.headers().get("sec-websocket-protocol").map(|got| got.to_str().expect("text").to_owned());
    (Client::of_socket(socket), got)
}

fn scene() -> Scene {
    scene_with(MemoryBroker::new())
}

fn scene_with(broker: MemoryBroker) -> Scene {
    let options = StompOptions::new().client_send(ClientSend::HANDLERS.broker(true)).max_body_bytes(2 << 20);
    Scene::new(Stomp::new().options(options).broker(broker))
}

/// As two processes would be, but for the bus.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn clients_of_two_nodes_get_the_messages_of_both_in_order() {
    let bus = InProcess::new();
    let scenes = [(); 2].map(|()| scene_with(MemoryBroker::builder().bus(Arc::new(bus.connect())).build()));
    let mut clients = Vec::new();
    for scene in &scenes {
        let (mut client, _) = open(start(scene).await, "v12.stomp").await;
        client.connect("accept-version:1.2\n").await;
        client.subscribe("exact", "/topic/a").await;
        client.subscribe("pattern", "/topic/*").await;
        clients.push(client);
    }
    for number in 0..200 {
        for (node, client) in clients.iter_mut().enumerate() {
            client.send(&format!("SEND\ndestination:/topic/a\n\n{node} {number}^")).await;
        }
    }
    for client in &mut clients {
        let mut next = [[0; 2]; 2];
        for _ in 0..2 * 2 * 200 {
            let message = client.message().await;
            let subscription = usize::from(message.headers.get("subscription") == Some("pattern"));
            let body = String::from_utf8(message.body.to_vec()).expect("text");
            let (node, number) = body.split_once(' ').expect("a node and a number");
            let expected = &mut next[subscription][node.parse::<usize>().expect("a node")];
            assert_eq!(number.parse(), Ok(*expected), "{message:?}");
            *expected += 1;
        }
        assert_eq!(next, [[200; 2]; 2]);
    }
}

#[tokio::test]
async fn the_highest_sub_protocol_is_answered_and_says_nothing_of_the_version() {
    let scene = scene();
    let addr = start(&scene).await;
    for (offered, expected) in [
        ("", None),
        ("v12.stomp, v11.stomp, v10.stomp", Some("v12.stomp")),
        ("v10.stomp, v11.stomp, v12.stomp", Some("v12.stomp")),
        ("v10.stomp, v11.stomp", Some("v11.stomp")),
        ("other, v10.stomp", Some("v10.stomp")),
    ] {
        let (mut client, got) = open(addr, offered).await;
        assert_eq!(got.as_deref(), expected, "{offered}");
        let connected = client.connect("accept-version:1.1,1.0\n").await;
        assert_eq!(connected.headers.get("version"), Some("1.1"), "{offered}");
        client.send("DISCONNECT\nreceipt:r\n\n^").await;
        client.receipt("r").await;
        client.closed().await.is(1000);
    }
    // One that offers nothing known is let in without.
    let client = scene.test_client().subprotocols(["mqtt"]);
    let mut session = client.open(sockjs_client::Transport::RawWebSocket).await.unwrap();
    assert_eq!(session.session().subprotocol(), None);
}

#[tokio::test]
async fn text_binary_and_mixed_messages_are_frames() {
    let scene = scene();
    let addr = start(&scene).await;
    let (mut client, _) = open(addr, "v12.stomp").await;
    client.connect("accept-version:1.2\n").await;
    client.subscribe("a", "/topic/a").await;
    client.send("SEND\ndestination:/topic/a\ncontent-length:6\n\n\u{e9}").await;
    client.send_bytes(b"\xf0\x9f").await;
    client.send_bytes(b"").await;
    client.send_bytes(b"\x98\x80\0").await;
    assert_eq!(client.body().await, "é😀");
    assert!(!client.last_was_binary);
    client.send_bytes(b"SEND\ndestination:/topic/a\ncontent-length:3\n\n\xff\0\xfe\0").await;
    assert_eq!((&client.message().await.body[..], client.last_was_binary), (&b"\xff\0\xfe"[..], true));
    let long = "x".repeat(1 << 20);
    client.send(&format!("SEND\ndestination:/topic/a\n\n{long}^")).await;
    assert!(client.body().await == long);
    client.send("nothing\n\n^").await;
    client.error().await;
}

#[tokio::test]
async fn an_error_arrives_although_the_client_still_sends() {
    let scene = scene();
    let addr = start(&scene).await;
    for _ in 0..5 {
        let (mut client, _) = open(addr, "").await;
        client.connect("accept-version:1.2\n").await;
        client.send("SEND\nreceipt:bad\n\n^").await;
        let more = format!("SEND\ndestination:/topic/a\n\n{}^", "x".repeat(60_000));
        for _ in 0..50 {
            if !client.try_send(&more).await {
                break;
            }
        }
        assert_eq!(client.error().await.headers.get("receipt-id"), Some("bad"));
    }
}

#[tokio::test]
async fn text_that_is_not_utf_8_is_closed_with_1007_and_a_beat_is_no_frame() {
    let scene = scene();
    let addr = start(&scene).await;
    let (mut client, _) = open(addr, "").await;
    client.connect("accept-version:1.2\nheart-beat:0,1000\n").await;
    client.beat().await;
    let (mut socket, _) = connect_async(format!("ws://{addr}/ws")).await.unwrap();
    socket.send(Message::text("CONNECT\n\n\0")).await.unwrap();
    socket.next().await.unwrap().unwrap();
    // A frame by hand, with the mask 0.
    use tokio::io::AsyncWriteExt as _;
    socket.get_mut().write_all(b"\x81\x81\0\0\0\0\xff").await.unwrap();
    match socket.next().await {
        Some(Ok(Message::Close(Some(frame)))) => assert_eq!(u16::from(frame.code), 1007),
        other => panic!("{other:?}"),
    }
}
