//! A chat room: shared state, and one message to many sessions.
//!
//! `cargo run --example chat`, then connect any number of clients to `http://127.0.0.1:8081/chat`.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{Router, extract::State, serve::ListenerExt};
use axum_sockjs::{ConnectionId, Message, SendError, Sender, Session, SockJs};
use tokio::net::TcpListener;

/// Everyone in the room.
#[derive(Clone, Default)]
struct Room {
    seats: Arc<Mutex<HashMap<ConnectionId, Sender>>>,
}

/// A place in the room; given up when dropped.
struct Seat {
    room: Room,
    id: ConnectionId,
}

impl Room {
    fn join(&self, sender: Sender) -> Seat {
        let id = sender.id();
        self.with_seats(|seats| seats.insert(id, sender));
        Seat { room: self.clone(), id }
    }

    /// Sends to all. The text is quoted once, and who is too slow to take it has to leave.
    fn broadcast(&self, message: &Message) {
        self.with_seats(|seats| {
            for sender in seats.values() {
                if let Err(SendError::Full(_)) = sender.try_send(message.clone()) {
                    sender.close(4000, "too slow");
                }
            }
        });
    }

    fn with_seats<R>(&self, f: impl FnOnce(&mut HashMap<ConnectionId, Sender>) -> R) -> R {
        f(&mut self.seats.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.room.with_seats(|seats| seats.remove(&self.id));
    }
}

async fn chat(State(room): State<Room>, mut session: Session) {
    let seat = room.join(session.sender());
    room.broadcast(&format!("{} has come", seat.id).into());
    while let Some(message) = session.recv().await {
        if let Some(text) = message.as_str() {
            room.broadcast(&format!("{}: {text}", seat.id).into());
        }
    }
    room.broadcast(&format!("{} has left: {}", seat.id, session.closed().await).into());
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let chat = SockJs::new(chat).with_state(Room::default());
    let app = Router::new().nest_service("/chat", chat);
    let listener = TcpListener::bind("127.0.0.1:8081").await?;
    println!("listening on http://{}/chat", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}
