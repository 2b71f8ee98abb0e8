//! How often memory is allocated for a message, once everything is under way.

use allocation_counter::measure;

use super::*;

const ROUNDS: u64 = 128;

const CLEAN: &str = "sixty-four bytes of text in which nothing at all needs an escape";

/// Allocations per message that crosses and comes back, those of the two ends among them.
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
        println!("{transport:?}: {to_client} to the client, {to_backend} to the backend");
    }
}

fn static_text() -> tokio_tungstenite::tungstenite::protocol::frame::Frame {
    use tokio_tungstenite::tungstenite::protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    };
    Frame::message(CLEAN.as_bytes(), OpCode::Data(Data::Text), true)
}
