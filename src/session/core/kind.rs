//! The kind of a session's receivers: one socket, or one HTTP response after another.

use std::time::Duration;

/// The carrier of a session's frames, with the settings that only that carrier has.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A WebSocket. The session ends with it.
    Socket {
        /// Whether messages leave quoted inside frames; false only for the raw WebSocket.
        framed: bool,
        /// How long the peer may take to answer a heartbeat's ping. `None` if there is no limit, or if the peer answers
        /// no pings.
        pong_timeout: Option<Duration>,
    },
    /// HTTP responses of many frames each.
    Stream,
    /// HTTP responses of one frame each.
    Poll,
}

impl Kind {
    pub(super) fn is_framed(self) -> bool {
        !matches!(self, Self::Socket { framed: false, .. })
    }

    pub(super) fn pong_timeout(self) -> Option<Duration> {
        match self {
            Self::Socket { pong_timeout, .. } => pong_timeout,
            Self::Stream | Self::Poll => None,
        }
    }

    pub(super) fn receivers(self) -> Receivers {
        match self {
            Self::Socket { .. } => Receivers::One,
            Self::Stream => Receivers::ForManyFrames,
            Self::Poll => Receivers::ForEachFrame,
        }
    }
}

/// The number of receivers in the life of a session: all that the transitions need to know of its [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receivers {
    /// The session ends with its receiver, a socket.
    One,
    /// A session continues with another receiver when a response is full.
    ForManyFrames,
    /// A receiver leaves with each frame, and another comes for the next.
    ForEachFrame,
}

impl Receivers {
    /// Whether a session outlives its receiver.
    pub(super) fn resume(self) -> bool {
        self != Self::One
    }
}
