//! Why a session has ended.

use std::{borrow::Cow, fmt};

use axum_sockjs::CloseReason;

/// Why a session has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum DisconnectReason {
    /// The client has sent `DISCONNECT`.
    Client,
    /// The connection has ended without one: why, if that was a SockJS session or a WebSocket.
    ConnectionLost(Option<CloseReason>),
    /// The client has got an `ERROR`: its `message` header.
    Error(Cow<'static, str>),
    /// The client has promised heart-beats, and was silent. It has got an `ERROR`.
    HeartBeatTimeout,
    /// The client reads too slowly: see [`Overflow::Close`](crate::outbox::Overflow::Close) and
    /// [`send_timeout`](crate::StompOptions::send_timeout).
    TooSlow,
    /// The time has come that [`Login::expires_at`](crate::Login::expires_at) says. The client has got an `ERROR`.
    Expired,
    /// The application has called [`Session::close`](crate::Session::close). The client has got an `ERROR`.
    Server,
    /// The task of the session was cancelled or panicked.
    Cancelled,
}

impl DisconnectReason {
    /// All [names](Self::name).
    pub(crate) const NAMES: [&'static str; 8] = [
        "client",
        "connection-lost",
        "error",
        "heart-beat-timeout",
        "too-slow",
        "expired",
        "server",
        "cancelled",
    ];

    /// The reason of a connection that has ended by itself.
    pub(crate) fn of_connection(reason: Option<CloseReason>) -> Self {
        match reason {
            // The connection has its own watch over what it holds, for the same time.
            Some(CloseReason::WriteTimeout) => Self::TooSlow,
            reason => Self::ConnectionLost(reason),
        }
    }

    /// Its name in logs and metrics.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ConnectionLost(_) => "connection-lost",
            Self::Error(_) => "error",
            Self::HeartBeatTimeout => "heart-beat-timeout",
            Self::TooSlow => "too-slow",
            Self::Expired => "expired",
            Self::Server => "server",
            Self::Cancelled => "cancelled",
        }
    }
}

impl fmt::Display for DisconnectReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::ConnectionLost(Some(reason)) => write!(f, "connection lost: {reason}"),
            Self::Error(message) => write!(f, "error: {message}"),
            _ => f.write_str(&self.name().replace('-', " ")),
        }
    }
}
