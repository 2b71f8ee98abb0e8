//! What a room keeps of its messages.
//!
//! Imports: nothing.

use std::time::Duration;

use sockjs_bus::Retention;

/// What a room keeps of its messages, for those who join later or come back: see
/// [`Builder::history`](crate::Builder::history).
///
/// | | default |
/// |---|---|
/// | messages | as [`last`](Self::last) says, or 1,000 with [`within`](Self::within) |
/// | age | as `within` says, or without limit |
/// | [`max_bytes`](Self::max_bytes) | 1 MiB |
/// | [`keep`](Self::keep), after the last member has left | 5 minutes |
///
/// The oldest messages go when any of these is exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct History {
    pub(crate) messages: usize,
    pub(crate) age: Option<Duration>,
    pub(crate) bytes: usize,
    pub(crate) keep: Duration,
}

/// Enough for a page to show, and for a client that has been away for a moment.
const MESSAGES: usize = 1_000;
/// The least that a bus keeps.
const MIN_MESSAGES: usize = 1_024;
const MIN_AGE: Duration = Duration::from_secs(60);
const MIN_BYTES: usize = 256 << 10;
/// A bus may not know that a room has members, who are silent.
const MIN_IDLE: Duration = Duration::from_secs(60 * 60);
const BYTES: usize = 1 << 20;
const KEEP: Duration = Duration::from_secs(5 * 60);

impl History {
    /// How many messages are kept at the most.
    pub(crate) fn max_kept(self) -> usize {
        self.messages
    }

    /// What a bus is told to keep: enough for nodes that follow a room to be a little behind.
    pub(crate) fn retention(self) -> Retention {
        Retention {
            max_entries: self.messages.max(MIN_MESSAGES),
            max_bytes: self.bytes.max(MIN_BYTES),
            max_age: self.age.map(|age| age.max(MIN_AGE)),
            idle: Some(self.keep.max(MIN_IDLE)),
        }
    }

    /// Keeps this many messages, of any age. With 0 messages are numbered, and none is kept.
    pub fn last(messages: usize) -> Self {
        Self { messages, age: None, bytes: BYTES, keep: KEEP }
    }

    /// Keeps messages for this time, at most 1,000 of them.
    pub fn within(age: Duration) -> Self {
        Self { age: Some(age), ..Self::last(MESSAGES) }
    }

    /// Keeps this many messages at most.
    pub fn max_messages(mut self, messages: usize) -> Self {
        self.messages = messages;
        self
    }

    /// Keeps messages for this time at most.
    pub fn max_age(mut self, age: Duration) -> Self {
        self.age = Some(age);
        self
    }

    /// Keeps this many bytes at most, 1 MiB by default.
    ///
    /// Each message counts with its length and 128 bytes. Its memory may be up to three times as much: what
    /// [`Builder::encode`](crate::Builder::encode) makes of it is kept as well, and the quoted line of that for framed
    /// transports.
    pub fn max_bytes(mut self, bytes: usize) -> Self {
        self.bytes = bytes;
        self
    }

    /// Keeps the history of a room that has no members for this time, 5 minutes by default. The time counts from the
    /// last leave, or from a message that is sent later.
    ///
    /// On a bus it is kept for an hour at least, from when a node used it last; NATS has no such time. The guide on
    /// [nodes](crate::guide::nodes#history-by-engine) says what each engine does.
    pub fn keep(mut self, time: Duration) -> Self {
        self.keep = time;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bus_is_told_all_bounds() {
        let day = Duration::from_secs(24 * 60 * 60);
        let history = History::last(2_000).max_bytes(1 << 22).max_age(day).keep(day);
        let bounds =
            Retention { max_entries: 2_000, max_bytes: 1 << 22, max_age: Some(day), idle: Some(day) };
        assert_eq!(history.retention(), bounds);
        let least = History::last(0).max_bytes(0).keep(Duration::ZERO).retention();
        assert_eq!((least.max_bytes, least.idle), (MIN_BYTES, Some(MIN_IDLE)));
    }
}
