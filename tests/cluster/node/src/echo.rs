//! Services that need to know nothing of their clients.

use axum_sockjs::{Message, Session};

const FLOOD: usize = 64 << 10;

pub(crate) async fn echo(mut session: Session) {
    while let Some(message) = session.recv().await {
        if session.send(message).await.is_err() {
            break;
        }
    }
}

/// Sends without end, and waits for room in the queue however long.
pub(crate) async fn flood(session: Session) {
    let message = Message::from("x".repeat(FLOOD));
    while session.send(message.clone()).await.is_ok() {}
}
