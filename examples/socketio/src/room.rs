//! What is said, whoever says it.

use axum_sockjs::Message;
use tokio::sync::broadcast::{self, Receiver, Sender};

/// Lines that a client may be behind.
const BEHIND: usize = 1024;

#[derive(Debug, Clone)]
pub(crate) struct Room {
    /// As SockJS messages, which are encoded once for all sessions.
    lines: Sender<Message>,
}

impl Default for Room {
    fn default() -> Self {
        Self { lines: broadcast::channel(BEHIND).0 }
    }
}

impl Room {
    pub(crate) fn say(&self, who: &str, text: &str) {
        // Fails when nobody listens.
        self.lines.send(format!("{who}: {text}").into()).ok();
    }

    pub(crate) fn listen(&self) -> Receiver<Message> {
        self.lines.subscribe()
    }
}
