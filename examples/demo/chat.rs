//! The two applications of the demo: a room where everybody hears everybody, and an answer to each ping.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::extract::State;
use axum_sockjs::{ConnectionId, Message, Sender, Session};
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

#[derive(Clone, Default)]
pub(crate) struct Room {
    people: Arc<Mutex<HashMap<ConnectionId, Sender>>>,
}

impl Room {
    /// Changes who is in the room, and says how many there are then.
    fn change(&self, change: impl FnOnce(&mut HashMap<ConnectionId, Sender>)) -> usize {
        let mut people = self.people.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut people);
        people.len()
    }

    fn tell(&self, event: ToPage<'_>) {
        let message = Message::from(event);
        self.change(|people| {
            for person in people.values() {
                // Who reads too slowly misses something.
                person.try_send(message.clone()).ok();
            }
        });
    }
}

pub(crate) async fn chat(State(room): State<Room>, mut session: Session) {
    let connection = session.id();
    let id = &connection.to_string()[..6];
    let people = room.change(|people| drop(people.insert(connection, session.sender())));
    session.send(ToPage::Hello { id, transport: session.transport().name(), people }).await.ok();
    room.tell(ToPage::Joined { id, people });
    while let Some(message) = session.recv().await {
        match message.parse_json() {
            Ok(FromPage::Say { text }) => room.tell(ToPage::Said { from: id, text: &text }),
            Ok(FromPage::Ping { at }) => drop(session.send(ToPage::Pong { at }).await),
            Err(_) => {}
        }
    }
    let people = room.change(|people| drop(people.remove(&connection)));
    room.tell(ToPage::Left { id, people });
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
    use serde_json::json;
    use sockjs_client::test::TestClient;

    use super::Room;

    #[tokio::test(start_paused = true)]
    async fn everybody_hears_everybody() {
        let room = TestClient::new(SockJs::new(super::chat).with_state(Room::default()), "/");
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
