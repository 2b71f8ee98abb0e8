//! The kinds of a session's end.

use std::fmt;

/// The kind of a session's end: a [`CloseReason`](crate::CloseReason) without its code and text. The keys of
/// [`Stats::closed`](crate::Stats::closed).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum CloseKind {
    /// [`CloseReason::Client`](crate::CloseReason::Client), `client`.
    Client,
    /// [`CloseReason::ConnectionLost`](crate::CloseReason::ConnectionLost), `connection-lost`.
    ConnectionLost,
    /// [`CloseReason::TimedOut`](crate::CloseReason::TimedOut), `timed-out`.
    TimedOut,
    /// [`CloseReason::WriteTimeout`](crate::CloseReason::WriteTimeout), `write-timeout`.
    WriteTimeout,
    /// [`CloseReason::PongTimeout`](crate::CloseReason::PongTimeout), `pong-timeout`.
    PongTimeout,
    /// [`CloseReason::SendQueueFull`](crate::CloseReason::SendQueueFull), `send-queue-full`.
    SendQueueFull,
    /// [`CloseReason::RateExceeded`](crate::CloseReason::RateExceeded), `rate-exceeded`.
    RateExceeded,
    /// [`CloseReason::Server`](crate::CloseReason::Server), `server`.
    Server,
    /// [`CloseReason::ProtocolError`](crate::CloseReason::ProtocolError), `protocol-error`.
    ProtocolError,
    /// [`CloseReason::Shutdown`](crate::CloseReason::Shutdown), `shutdown`.
    Shutdown,
}

impl CloseKind {
    /// Every kind. The order may change, and so may the number.
    pub const ALL: &'static [Self] = &[
        Self::Client,
        Self::ConnectionLost,
        Self::TimedOut,
        Self::WriteTimeout,
        Self::PongTimeout,
        Self::SendQueueFull,
        Self::RateExceeded,
        Self::Server,
        Self::ProtocolError,
        Self::Shutdown,
    ];

    /// Returns the name of the kind in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Client => "client",
            Self::ConnectionLost => "connection-lost",
            Self::TimedOut => "timed-out",
            Self::WriteTimeout => "write-timeout",
            Self::PongTimeout => "pong-timeout",
            Self::SendQueueFull => "send-queue-full",
            Self::RateExceeded => "rate-exceeded",
            Self::Server => "server",
            Self::ProtocolError => "protocol-error",
            Self::Shutdown => "shutdown",
        }
    }
}

impl fmt::Display for CloseKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_at_its_place() {
        for (place, kind) in CloseKind::ALL.iter().enumerate() {
            assert_eq!(*kind as usize, place, "{kind}");
        }
    }
}
