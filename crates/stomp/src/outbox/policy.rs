//! How much may wait, and what happens then.

use std::time::Duration;

/// What happens to a message of a topic for which a slow client has no room.
///
/// Messages of queues, receipts and errors are never dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The session is closed.
    #[default]
    Close,
    /// The oldest message that waits is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// Of the messages that wait for a subscription, only the newest of each destination is kept, full or not. The
    /// oldest one is dropped if that is not enough.
    KeepNewest,
}

/// What may wait for a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxLimits {
    pub(crate) bytes: usize,
    pub(crate) overflow: Overflow,
    /// How long nothing may be written while something waits.
    pub(crate) send_timeout: Option<Duration>,
}

/// Why nothing more is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What waits is still written, and nothing is added.
    Closing,
    /// The client is too slow: a topic's message found no room, or nothing could be written in time.
    Overflow,
    /// The connection is gone.
    Lost,
}
