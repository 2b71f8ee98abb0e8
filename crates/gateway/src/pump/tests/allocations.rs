//! How often memory is allocated for a message, once everything is under way.
//!
//! To the client: the message and its text, already quoted where the client needs that. To the backend: the handle by which
//! the library shares the message's text. The pump needs no other. To see the figures:
//! `cargo test -p sockjs-gateway allocations -- --nocapture`.

use allocation_counter::measure;

use super::*;

const ROUNDS: u64 = 128;

const CLEAN: &str = "sixty-four bytes of text in which nothing at all needs an escape";

/// The client in process keeps what it takes in a list.
const CLIENT_RECEIVES: f64 = 1.0;

/// The message, its text, and the list in which it is given to the session.
const CLIENT_SENDS: f64 = 3.0;

/// Allocations per message, those of the two ends among them.
fn per_message(transport: Transport, direction: impl AsyncFn(&mut Scene)) -> f64 {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap();
    let mut scene = runtime.block_on(Plan { transport, ..Plan::default() }.start());
    let mut rounds = |count| {
        runtime.block_on(async {
            for _ in 0..count {
                direction(&mut scene).await;
            }
        });
    };
    rounds(64);
    let info = measure(|| rounds(ROUNDS));
    info.count_total as f64 / ROUNDS as f64
}

#[test]
fn of_a_message_are_counted() {
    for transport in [Transport::RawWebSocket, Transport::WebSocket] {
        let to_client = per_message(transport, async |scene| {
            scene.backend.send(WsMessage::Frame(static_text())).await.unwrap();
            assert_eq!(scene.client.recv().await.unwrap().len(), CLEAN.len());
        });
        let to_backend = per_message(transport, async |scene| {
            scene.client.send(axum_sockjs::Message::from_raw_text(CLEAN)).await.unwrap();
            assert_eq!(scene.receive().await.len(), CLEAN.len());
        });
        let (to_client, to_backend) = (to_client - CLIENT_RECEIVES, to_backend - CLIENT_SENDS);
        println!("{transport:?}: {to_client} to the client, {to_backend} to the backend");
        assert!(to_client <= 2.0 && to_backend <= 1.0);
    }
}

fn static_text() -> tokio_tungstenite::tungstenite::protocol::frame::Frame {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    Frame::message(CLEAN.as_bytes(), OpCode::Data(Data::Text), true)
}
