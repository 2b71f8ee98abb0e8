//! How a bus is doing.
//!
//! Imports: nothing.

use std::time::Instant;

/// Whether a [`Bus`](crate::Bus) reaches the other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Status {
    /// It does.
    Connected,
    /// It does not, and tries to. What is published by others meanwhile may be lost.
    Reconnecting {
        /// Since when.
        since: Instant,
    },
    /// It has been closed, and does not try.
    Closed,
}

impl Status {
    /// Whether it is [`Connected`](Self::Connected).
    #[must_use]
    pub const fn is_connected(self) -> bool {
        matches!(self, Self::Connected)
    }
}

/// What a [`Bus`](crate::Bus) has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// Messages that were taken for publishing.
    pub published: u64,
    /// Messages that were refused since the bus was disconnected, or were taken and lost with the connection, as far as the
    /// driver knows.
    pub disconnected: u64,
    /// Messages that were refused since too many waited to be sent.
    pub full: u64,
    /// Messages that were refused since they were larger than the bus takes.
    pub too_large: u64,
    /// Messages that were taken, and that the engine has refused, as to a user who may not publish them.
    pub forbidden: u64,
    /// Messages that were given to a receiver.
    pub received: u64,
    /// Messages that came and were lost, since receivers were slower than others published.
    pub overflowed: u64,
    /// How often a lost connection came back.
    pub reconnects: u64,
}
