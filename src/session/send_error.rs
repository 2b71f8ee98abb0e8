//! The error of sending a message.

use std::fmt;

use sockjs_core::Message;

/// The text of [`SendError::Closed`].
pub(super) const ENDED: &str = "the session has ended";

/// A message that was not sent, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The queue to the client is full: the client reads more slowly than this side sends. Only `try_send` and
    /// `try_send_with` return this. Drop the message, wait with `send`, or close the session.
    Full(Message),
    /// The session has ended. [`close_reason`](crate::Session::close_reason) returns the reason.
    Closed(Message),
    /// Binary data can only go to a client of the raw WebSocket, since SockJS frames hold text. Send it as text, for
    /// instance in base64.
    BinaryUnsupported(Message),
}

impl SendError {
    /// Returns the message.
    #[must_use]
    pub fn into_message(self) -> Message {
        match self {
            Self::Full(message) | Self::Closed(message) | Self::BinaryUnsupported(message) => message,
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue to the client is full",
            Self::Closed(_) => ENDED,
            Self::BinaryUnsupported(_) => "only the raw WebSocket transport carries binary messages",
        })
    }
}

impl std::error::Error for SendError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn is_small_and_gives_the_message_back() {
        assert!(size_of::<SendError>() <= 16);
        assert_eq!(SendError::Full("a".into()).into_message(), "a");
    }
}
