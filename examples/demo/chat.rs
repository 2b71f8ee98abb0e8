//! The two applications of the demo: a room where everybody hears everybody, and an answer to each ping.

use axum::extract::State;
use axum_sockjs::{Message, Session};
use axum_sockjs_rooms::{JoinError, Rooms};
use serde::{Deserialize, Serialize};
use serde_json::Number;

#[derive(Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum FromPage {
    Say { text: String },
    Ping { at: Number },
}

#[derive(Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum ToPage<'a> {
    Hello { id: &'a str, transport: &'a str, people: usize },
    Joined { id: &'a str, people: usize },
    Left { id: &'a str, people: usize },
    Said { from: &'a str, text: &'a str },
    Pong { at: Number },
}

impl From<ToPage<'_>> for Message {
    fn from(event: ToPage<'_>) -> Self {
        // Maps with text keys cannot fail to serialize.
        Self::json(&event).unwrap_or_else(|_| "".into())
    }
}

/// Everybody is in one room. Who reads too slowly misses something.
pub(crate) async fn chat(State(rooms): State<Rooms>, mut session: Session) -> Result<(), JoinError> {
    let room = rooms.join(&session, "demo").await?;
    let connection = session.id().to_string();
    let id = &connection[..6];
    let hello = ToPage::Hello { id, transport: session.transport().name(), people: room.len() };
    session.send(hello).await.ok();
    room.send(ToPage::Joined { id, people: room.len() });
    while let Some(message) = session.recv().await {
        match message.parse_json() {
            Ok(FromPage::Say { text }) => _ = room.send(ToPage::Said { from: id, text: &text }),
            Ok(FromPage::Ping { at }) => drop(session.send(ToPage::Pong { at }).await),
            Err(_) => {}
        }
    }
    room.leave();
    rooms.send("demo", ToPage::Left { id, people: rooms.len("demo") });
    Ok(())
}

pub(crate) async fn ping(mut session: Session) {
    while let Some(message) = session.recv().await {
        if let Ok(FromPage::Ping { at }) = message.parse_json() {
            session.send(ToPage::Pong { at }).await.ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use axum_sockjs::{SockJs, Transport};
    use axum_sockjs_rooms::Rooms;
    use serde_json::json;
    use sockjs_client::test::TestClient;

    #[tokio::test(start_paused = true)]
    async fn everybody_hears_everybody() {
        let room = TestClient::new(SockJs::new(super::chat).with_state(Rooms::new()), "/");
        let mut ada = room.open(Transport::WebSocket).await.unwrap();
        let hello = ada.recv_json().await;
        assert_eq!((&hello["type"], &hello["people"]), (&json!("hello"), &json!(1)));
        assert_eq!(ada.recv_json().await, json!({ "type": "joined", "id": hello["id"], "people": 1 }));
        let mut bob = room.open(Transport::XhrPolling).await.unwrap();
        let bobs = bob.recv_json().await["id"].clone();
        assert_eq!(ada.recv_json().await, json!({ "type": "joined", "id": bobs, "people": 2 }));
        bob.send_json(&json!({ "type": "say", "text": "hello" })).await;
        assert_eq!(ada.recv_json().await, json!({ "type": "said", "from": bobs, "text": "hello" }));
        bob.abort();
        assert_eq!(ada.recv_json().await, json!({ "type": "left", "id": bobs, "people": 1 }));
    }

    #[tokio::test(start_paused = true)]
    async fn a_ping_is_answered() {
        let client = TestClient::new(SockJs::new(super::ping), "/");
        let mut session = client.open(Transport::XhrStreaming).await.unwrap();
        session.send_json(&json!({ "type": "ping", "at": 1.5 })).await;
        assert_eq!(session.recv_json().await, json!({ "type": "pong", "at": 1.5 }));
    }
}
