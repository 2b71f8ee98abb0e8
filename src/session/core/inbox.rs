//! The queue to the application: its messages, its room, and the batches that the application has been polled with.
//!
//! The queue is bounded in messages and in bytes. An empty queue takes a batch of any size, unless room is promised to
//! other tasks: batches have a size limit of their own.

use sockjs_core::Message;

use super::{
    discarded::Discarded,
    queue::{MESSAGE_OVERHEAD, Queue, Room, is_within},
    settings::Settings,
};
/// The number of batches that a session had accepted at one moment. Their senders wait until the application has been
/// polled with all of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub(crate) struct Accepted(u64);

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Inbox {
    queue: Queue,
    /// The room that is reserved for tasks that have waited for it.
    promised: Room,
    bound: Room,
    accepted: Accepted,
    /// The number of batches that the application has been polled with.
    attended: Accepted,
}

impl Inbox {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queue: Queue::default(),
            promised: Room::default(),
            bound: Room { bytes: settings.receive_queue_bytes, messages: settings.receive_queue_messages },
            accepted: Accepted::default(),
            attended: Accepted::default(),
        }
    }

    /// The cost of the queued messages, in bytes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.queue.bytes
    }

    #[inline]
    pub(super) fn fits(&self, room: Room) -> bool {
        let Self { queue, promised, bound, .. } = self;
        queue.is_empty() && *promised == Room::default()
            || is_within(bound.bytes, queue.bytes, promised.bytes, room.bytes)
                && is_within(bound.messages, queue.messages.len(), promised.messages, room.messages)
    }

    /// Takes a batch that needs this room, and [fits](Self::fits).
    #[inline]
    pub(super) fn take(&mut self, batch: &mut Vec<Message>, room: Room) {
        self.queue.messages.extend(batch.drain(..));
        self.queue.bytes += room.bytes;
    }

    /// Counts a batch whose sender waits for the application to be polled.
    pub(super) fn count_batch(&mut self) {
        self.accepted.0 += 1;
    }

    #[inline]
    pub(super) fn pop(&mut self) -> Option<Message> {
        let message = self.queue.messages.pop_front()?;
        self.queue.bytes -= message.len() + MESSAGE_OVERHEAD;
        self.queue.shrink();
        Some(message)
    }

    /// Discards the messages that nobody can receive any more.
    pub(super) fn clear(&mut self) -> Discarded {
        self.promised = Room::default();
        self.queue.clear()
    }

    /// Reserves room for a task that waits for it. Returns `false` if there is too little.
    pub(super) fn promise(&mut self, room: Room) -> bool {
        let fits = self.fits(room);
        if fits {
            self.promised.bytes += room.bytes;
            self.promised.messages += room.messages;
        }
        fits
    }

    /// Ends a promise.
    pub(super) fn withdraw(&mut self, room: Room) {
        // `clear` may have ended all promises before.
        self.promised.bytes = self.promised.bytes.saturating_sub(room.bytes);
        self.promised.messages = self.promised.messages.saturating_sub(room.messages);
    }

    pub(super) fn accepted(&self) -> Accepted {
        self.accepted
    }

    /// Records that the application has been polled since this many batches were accepted. Returns whether the number
    /// has grown.
    pub(super) fn attend(&mut self, accepted: Accepted) -> bool {
        let is_news = accepted > self.attended;
        self.attended = self.attended.max(accepted);
        is_news
    }

    pub(super) fn has_attended(&self, accepted: Accepted) -> bool {
        self.attended >= accepted
    }
}

#[cfg(test)]
mod tests;
