//! A chat in which whoever speaks waits for those who are slow.
//!
//! `cargo run --example chat [IP:PORT]`, then connect any number of clients to `http://127.0.0.1:8081/chat`.
//! This example has no page: the example `broadcast` has one, for a chat in which nobody waits.

use std::time::Duration;

use axum::{Router, extract::State, serve::ListenerExt};
use axum_sockjs::{Message, Overflow, Session, SockJs};
use axum_sockjs_rooms::{JoinError, Member, Rooms};
use tokio::net::TcpListener;

/// How long the room waits for a client whose queue is full. A burst fills the queue of a healthy one, too, but that
/// reads on.
const PATIENCE: Duration = Duration::from_secs(5);

/// Sends to all; the text is quoted once. Whoever says something waits for those who have no room for it, and who is too
/// slow to make room has to leave.
async fn say(room: &Member, message: impl Into<Message>) {
    room.to_room().overflow(Overflow::Close).send_within(PATIENCE, message).await;
}

async fn chat(State(rooms): State<Rooms>, mut session: Session) -> Result<(), JoinError> {
    let room = rooms.join(&session, "chat").await?;
    say(&room, format!("{} has come", room.id())).await;
    while let Some(message) = session.recv().await {
        if let Some(text) = message.as_str() {
            say(&room, format!("{}: {text}", room.id())).await;
        }
    }
    say(&room, format!("{} has left: {}", room.id(), session.closed().await)).await;
    Ok(())
}

fn app() -> Router {
    Router::new().nest_service("/chat", SockJs::new(chat).with_state(Rooms::new()))
}

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let addr = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:8081".to_owned());
    let listener = TcpListener::bind(addr).await?;
    println!("listening on http://{}/chat", listener.local_addr()?);
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app()).await
}

#[cfg(test)]
mod tests {
    use axum_sockjs::{Message, Transport};
    use sockjs_client::test::TestClient;
    use tokio::time::Instant;

    use super::{Duration, PATIENCE, app};

    /// What stands behind the number of whoever it is about.
    fn told(line: &Message) -> String {
        line.as_str().unwrap()[36..].to_owned()
    }

    #[tokio::test(start_paused = true)]
    async fn the_room_hears_who_comes_speaks_and_leaves() {
        let client = TestClient::new(app(), "/chat");
        let mut ada = client.open(Transport::WebSocket).await.unwrap();
        assert_eq!(told(&ada.recv().await), " has come");
        let mut bob = client.open(Transport::XhrPolling).await.unwrap();
        assert_eq!(told(&bob.recv().await), " has come");
        bob.send("hello").await;
        assert_eq!(told(&bob.recv().await), ": hello");
        bob.abort();
        for line in [" has come", ": hello", " has left: connection lost"] {
            assert_eq!(told(&ada.recv().await), line);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_too_slow_has_to_leave() {
        let client = TestClient::new(app(), "/chat");
        let mut ada = client.open(Transport::WebSocket).await.unwrap();
        let mut bob = client.open(Transport::XhrPolling).await.unwrap();
        bob.recv().await;
        bob.stop_reading();
        let mut longest = Duration::ZERO;
        for _ in 0..30 {
            let began = Instant::now();
            ada.send("x".repeat(100_000)).await;
            while ada.recv().await.len() < 100_000 {}
            longest = longest.max(began.elapsed());
        }
        assert_eq!(longest, PATIENCE, "one waits for Bob, and no longer");
        bob.resume_reading();
        assert_eq!(bob.closed().await.to_string(), r#"1008 "Client too slow""#);
    }
}
