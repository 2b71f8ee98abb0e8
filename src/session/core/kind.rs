//! Over what does a session's client receive: one socket, or one HTTP response after another?

use std::time::Duration;

/// What carries a session's frames, and what only that needs.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Kind {
    /// A WebSocket. The session ends with it.
    Socket {
        /// Whether messages leave quoted inside frames; false only for the raw WebSocket.
        framed: bool,
        /// How long the peer has to answer a heartbeat; `None` where it cannot be asked.
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

/// How many receivers a session has in its life: all that the transitions have to know of its [`Kind`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Receivers {
    /// The session ends with its receiver, a socket.
    One,
    /// A session goes on when a response is full.
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
