//! How a session and its backend have come to an end, for logs and metrics.

use axum_sockjs::CloseFrame;

/// How a session and its backend have come to an end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ended {
    pub(crate) by: By,
    /// What the other side was told; both, if it was the gateway that closed.
    pub(crate) frame: CloseFrame,
    /// From the client.
    pub(crate) to_backend: Traffic,
    /// From the backend.
    pub(crate) to_client: Traffic,
}

/// Who has ended it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum By {
    Client,
    Backend,
    /// The backend did something that the gateway does not carry, or did not answer; or the session was closed here.
    Gateway,
}

/// What has passed in one direction.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Traffic {
    pub(crate) messages: u64,
    /// Of texts and binary data, without what carries them.
    pub(crate) bytes: u64,
}

impl Traffic {
    pub(super) fn since(self, before: Self) -> Self {
        Self { messages: self.messages - before.messages, bytes: self.bytes - before.bytes }
    }

    pub(super) fn add(&mut self, bytes: usize) {
        self.messages += 1;
        self.bytes += bytes as u64;
    }
}
