//! How much may wait, and what happens then.

use std::{sync::Arc, time::Duration};

use bytestring::ByteString;

/// What happens to a message of a topic for which a slow client has no room.
///
/// Messages of competing queues, receipts and errors are never dropped.
///
/// Destinations may have different ones: see [`StompOptions::overflow_for`](crate::StompOptions::overflow_for). Then a
/// message drops those only whose own policy is [`DropOldest`](Self::DropOldest) or [`KeepNewest`](Self::KeepNewest).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The session is closed, unless room can be made by dropping messages of other destinations, whose policy allows it.
    #[default]
    Close,
    /// The oldest message that waits and may be dropped is.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// Of the messages that wait for a subscription, only the newest of each destination is kept, full or not. If that is
    /// not enough, it is as [`DropOldest`](Self::DropOldest).
    KeepNewest,
}

impl Overflow {
    /// Whether a message that waits may be dropped for a newer one.
    pub(super) fn may_drop_waiting(self) -> bool {
        matches!(self, Self::DropOldest | Self::KeepNewest)
    }
}

/// What happens to the messages of each destination. Clones share the rules.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Overflows {
    otherwise: Overflow,
    /// By the beginnings of destinations, the longest first.
    rules: Arc<[(ByteString, Overflow)]>,
}

impl Overflows {
    /// The same for all destinations.
    pub(crate) fn new(otherwise: Overflow) -> Self {
        Self { otherwise, rules: Arc::default() }
    }

    pub(crate) fn otherwise(&mut self, overflow: Overflow) {
        self.otherwise = overflow;
    }

    /// Adds a rule, in place of the one with the same beginning.
    pub(crate) fn add(&mut self, beginning: ByteString, overflow: Overflow) {
        let mut rules: Vec<_> = self.rules.iter().filter(|(each, _)| *each != beginning).cloned().collect();
        rules.push((beginning, overflow));
        rules.sort_by_key(|(beginning, _)| std::cmp::Reverse(beginning.len()));
        self.rules = rules.into();
    }

    pub(crate) fn of(&self, destination: &str) -> Overflow {
        let rule = self.rules.iter().find(|(beginning, _)| destination.starts_with(&**beginning));
        rule.map_or(self.otherwise, |(_, overflow)| *overflow)
    }
}

/// What may wait for a client.
#[derive(Debug, Clone)]
pub(crate) struct OutboxLimits {
    pub(crate) bytes: usize,
    pub(crate) overflow: Overflows,
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

/// The `message` of an `ERROR` that a broker ends a session with.
pub(crate) const CLOSED_BY_BROKER: &str = "closed by the broker";
