//! Messages arrive once, in order, as they are.

use super::*;
use crate::pump::ended::{By, Traffic};

#[tokio::test(start_paused = true)]
async fn text_goes_both_ways_in_order() {
    for transport in [Transport::RawWebSocket, Transport::WebSocket, Transport::XhrPolling] {
        let mut scene = Plan { transport, ..Plan::default() }.start().await;
        let texts = ["one", "", "\u{e9}\u{1f600}\u{0}\"\\\n", "three"];
        for text in texts {
            scene.client.send(text).await.unwrap();
            scene.send(text).await;
        }
        for text in texts {
            assert_eq!(scene.receive().await, WsMessage::text(text));
            assert_eq!(scene.client.recv().await.unwrap(), text);
        }
        scene.client.close(1000, "");
        assert_eq!(scene.farewell().await, Some((1000, String::new())));
        drop(scene.backend);
        let ended = scene.pump.await.unwrap();
        let bytes = texts.iter().map(|text| text.len() as u64).sum();
        let traffic = Traffic { messages: 4, bytes };
        assert_eq!((ended.by, ended.to_backend, ended.to_client), (By::Client, traffic, traffic));
    }
}

#[tokio::test(start_paused = true)]
async fn binary_data_of_a_raw_websocket_is_as_it_is() {
    let mut scene = Plan::default().start().await;
    for length in [0, 3, 50_000] {
        let data = vec![0xff; length];
        scene.client.send(axum_sockjs::Message::binary(data.clone())).await.unwrap();
        assert_eq!(scene.receive().await, WsMessage::binary(data.clone()));
        scene.send(WsMessage::binary(data.clone())).await;
        let message = scene.client.recv().await.unwrap();
        assert!(message.is_binary());
        assert_eq!(message.as_bytes(), data);
    }
}

#[tokio::test(start_paused = true)]
async fn binary_data_becomes_text_where_the_route_says_so() {
    let settings = Settings { binary: Binary::Base64, ..SETTINGS };
    let mut scene = Plan { transport: Transport::XhrStreaming, settings, ..Plan::default() }.start().await;
    scene.send(WsMessage::binary(vec![0xfb, 0xff, 0])).await;
    scene.send("text").await;
    assert_eq!(scene.client.recv().await.unwrap(), "+/8A");
    assert_eq!(scene.client.recv().await.unwrap(), "text");
}

#[tokio::test(start_paused = true)]
async fn a_message_in_fragments_arrives_whole() {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    let mut scene = Plan::default().start().await;
    // A character is cut in two.
    for (part, opcode, is_final) in
        [(&b"a\xc3"[..], Data::Text, false), (b"", Data::Continue, false), (b"\xa9b", Data::Continue, true)]
    {
        scene.send(WsMessage::Frame(Frame::message(part, OpCode::Data(opcode), is_final))).await;
    }
    assert_eq!(scene.client.recv().await.unwrap(), "a\u{e9}b");
}

#[tokio::test(start_paused = true)]
async fn what_comes_before_a_close_arrives_before_it() {
    // Of the client.
    let mut scene = Plan { pipe: 64, ..Plan::default() }.start().await;
    for number in 0..100 {
        scene.client.send(number.to_string()).await.unwrap();
    }
    scene.client.close(4000, "done");
    for number in 0..100 {
        assert_eq!(scene.receive().await, WsMessage::text(number.to_string()));
    }
    assert_eq!(scene.receive().await, frame(4000, "done"));

    // Of the backend.
    let mut scene = Plan { transport: Transport::XhrPolling, ..Plan::default() }.start().await;
    for number in 0..100 {
        scene.send(number.to_string()).await;
    }
    scene.send(frame(4000, "done")).await;
    for number in 0..100 {
        assert_eq!(scene.client.recv().await.unwrap(), number.to_string());
    }
    assert_eq!(scene.client_told().await, (4000, "done".to_owned()));
}

#[tokio::test(start_paused = true)]
async fn a_turn_has_an_end() {
    let (near, far) = duplex(1 << 20);
    let (session, mut client) = Pair::new().open();
    let mut pump = Box::pin(pump(session, BackendSocket::over(near, MAX_MESSAGE).await, SETTINGS, |_, _| {}));
    let mut backend = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
    for number in 0..200 {
        backend.feed(WsMessage::text(number.to_string())).await.unwrap();
        client.send(number.to_string()).await.unwrap();
    }
    backend.flush().await.unwrap();
    // The budget of the test's own task does not count. Each poll carries as much as a turn, of both directions, and asks for the next one.
    for turn in 0..4 {
        assert!(futures_util::poll!(tokio::task::unconstrained(&mut pump)).is_pending());
        for number in turn * 64..200.min((turn + 1) * 64) {
            assert_eq!(client.try_recv().unwrap(), number.to_string());
            assert_eq!(backend.next().await.unwrap().unwrap(), WsMessage::text(number.to_string()));
        }
        assert_eq!(client.try_recv(), None);
    }
}
