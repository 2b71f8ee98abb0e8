//! The messages that wait in one direction, and the memory that they take.

use std::collections::VecDeque;

use sockjs_core::Message;

use super::discarded::Discarded;
/// The cost of a queued message beside its bytes. Without it, a queue of empty messages would have no bound.
pub(crate) const MESSAGE_OVERHEAD: usize = 128;

/// The number of places that an empty queue keeps.
pub(super) const KEPT: usize = 64;

/// An amount of room in a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

impl Room {
    /// Returns the room that a batch takes in the queue to the application.
    pub(crate) fn of_batch(batch: &[Message]) -> Self {
        let bytes = batch.iter().map(|message| message.len() + MESSAGE_OVERHEAD).sum();
        Self { bytes, messages: batch.len() }
    }
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) messages: VecDeque<Message>,
    /// The cost of all messages.
    pub(super) bytes: usize,
}

impl Queue {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Frees the memory of a queue that was long and is empty.
    #[inline]
    pub(super) fn shrink(&mut self) {
        if self.messages.is_empty() && self.messages.capacity() > KEPT {
            self.messages = VecDeque::new();
        }
    }

    /// Gives up all that is queued.
    pub(super) fn clear(&mut self) -> Discarded {
        std::mem::take(self).messages.into()
    }
}

/// The reason why messages were not taken. None of them was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Refused {
    Full,
    Closed,
}

/// Whether this much more stays within a bound, beside what is queued and what is reserved for others.
#[inline]
pub(super) fn is_within(bound: usize, queued: usize, promised: usize, more: usize) -> bool {
    queued.saturating_add(promised).saturating_add(more) <= bound
}
