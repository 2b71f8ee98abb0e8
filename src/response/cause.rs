//! The causes of rejections.

use std::fmt;

/// The cause of a rejected request. The keys of [`Stats::rejected`](crate::Stats::rejected).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum RejectionCause {
    /// No such path, or its transport is disabled: 404.
    NotFound,
    /// A sending request to a session that does not exist, or no longer does: 404.
    NoSession,
    /// The request's origin is not allowed: 403.
    Origin,
    /// The session belongs to another identity: 404.
    Identity,
    /// The path has other methods: 405.
    Method,
    /// An invalid WebSocket handshake: 400, or 426 where the version is another or the connection cannot be upgraded.
    Handshake,
    /// The endpoint has as many sessions as [`Options::max_sessions`](crate::Options::max_sessions) allows: 503.
    SessionsFull,
    /// The peer has as many sessions as [`Options::max_sessions_per_peer`](crate::Options::max_sessions_per_peer)
    /// allows: 429.
    PeerFull,
    /// The identity has as many sessions as
    /// [`SockJs::max_sessions_per_identity`](crate::SockJs::max_sessions_per_identity) allows: 429.
    IdentityFull,
    /// The endpoint is shutting down: 503.
    Shutdown,
    /// The extractors took longer than [`Options::open_timeout`](crate::Options::open_timeout): 503.
    OpenTimeout,
    /// An extractor of the application rejected the request: its own response.
    Extractor,
    /// Another request is receiving for the session, or opening it: close frame 2010.
    Busy,
    /// A message exceeds its limit: 413.
    TooLarge,
    /// A malformed body, message or callback: 500, or 400 if the body broke off.
    Malformed,
    /// A body that brought no complete message for a minute: 408.
    SlowBody,
    /// The queue to the application had no room within
    /// [`Options::receive_timeout`](crate::Options::receive_timeout): 503.
    QueueFull,
    /// The session has as many sending requests in flight as
    /// [`Options::max_pending_sends`](crate::Options::max_pending_sends) allows: 429.
    SendsFull,
    /// The node of a cluster that has the session does not answer, or is lost: 502, or close frame 1002 to a receiver.
    OwnerLost,
    /// As many requests wait for the node that has the session as
    /// `ClusterOptions::max_connections` allows: 503, or close frame 1013 to a receiver.
    ForwardsFull,
}

impl RejectionCause {
    /// Every cause. The order may change, and so may the number.
    pub const ALL: &'static [Self] = &[
        Self::NotFound,
        Self::NoSession,
        Self::Origin,
        Self::Identity,
        Self::Method,
        Self::Handshake,
        Self::SessionsFull,
        Self::PeerFull,
        Self::IdentityFull,
        Self::Shutdown,
        Self::OpenTimeout,
        Self::Extractor,
        Self::Busy,
        Self::TooLarge,
        Self::Malformed,
        Self::SlowBody,
        Self::QueueFull,
        Self::SendsFull,
        Self::OwnerLost,
        Self::ForwardsFull,
    ];

    /// Returns the name of the cause in logs and metrics.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::NoSession => "no-session",
            Self::Origin => "origin",
            Self::Identity => "identity",
            Self::Method => "method",
            Self::Handshake => "handshake",
            Self::SessionsFull => "sessions-full",
            Self::PeerFull => "peer-full",
            Self::IdentityFull => "identity-full",
            Self::Shutdown => "shutdown",
            Self::OpenTimeout => "open-timeout",
            Self::Extractor => "extractor",
            Self::Busy => "busy",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::SlowBody => "slow-body",
            Self::QueueFull => "queue-full",
            Self::SendsFull => "sends-full",
            Self::OwnerLost => "owner-lost",
            Self::ForwardsFull => "forwards-full",
        }
    }
}

impl fmt::Display for RejectionCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_is_at_its_place() {
        for (place, cause) in RejectionCause::ALL.iter().enumerate() {
            assert_eq!(*cause as usize, place, "{cause}");
        }
    }
}
