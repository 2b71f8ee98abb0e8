//! The errors of sending messages.

use std::fmt;

use sockjs_core::Message;

use crate::queue::TrySendError;

/// A message that was not sent, and the reason.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SendError {
    /// The queue to the server is full. Only `try_send` returns this.
    Full(Message),
    /// The session has ended or is about to, for instance since another task closes it:
    /// [`closed`](crate::Session::closed) says why.
    Closed(Message),
    /// Only the raw WebSocket carries binary data.
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

impl From<TrySendError> for SendError {
    fn from(error: TrySendError) -> Self {
        match error {
            TrySendError::Full(message) => Self::Full(message),
            TrySendError::Closed(message) => Self::Closed(message),
        }
    }
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Full(_) => "the queue to the server is full",
            Self::Closed(_) => "the session has ended",
            Self::BinaryUnsupported(_) => "only the raw WebSocket transport carries binary messages",
        })
    }
}

impl std::error::Error for SendError {}

/// The session ended before all messages had left: from [`Session::flush`](crate::Session::flush).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct FlushError;

impl fmt::Display for FlushError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the session ended before all messages had left")
    }
}

impl std::error::Error for FlushError {}

/// The error of a session as a `Sink`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SinkError {
    /// This message was not sent.
    Send(SendError),
    /// The session ended before all messages had left, or did not close cleanly.
    Flush(FlushError),
}

impl From<SendError> for SinkError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

impl From<FlushError> for SinkError {
    fn from(error: FlushError) -> Self {
        Self::Flush(error)
    }
}

impl fmt::Display for SinkError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Send(error) => error.fmt(f),
            Self::Flush(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for SinkError {}
