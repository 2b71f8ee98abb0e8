//! The queue to the client: its messages and its room.
//!
//! The queue is bounded by the memory that its messages take. An empty queue takes a message of any size, unless room
//! is promised to other tasks.

use sockjs_core::Message;

use super::{
    discarded::Discarded,
    queue::{MESSAGE_OVERHEAD, Queue, is_within},
    settings::{Overflow, Settings},
};
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Queue,
    /// The bytes that are reserved for tasks that have waited for them.
    promised: usize,
    bound: usize,
    overflow: Overflow,
    framed: bool,
}

/// The effect of a full queue on a new message, by the policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// The message waits.
    Wait,
    /// The session ends.
    Close,
}

impl Outbox {
    pub(super) fn new(settings: &Settings) -> Self {
        Self {
            queue: Queue::default(),
            promised: 0,
            bound: settings.send_queue_bytes,
            overflow: settings.send_overflow,
            framed: settings.kind.is_framed(),
        }
    }

    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// The cost of the queued messages, in bytes.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.queue.bytes
    }

    /// The cost of a message in this queue, in bytes.
    #[inline]
    pub(super) fn cost(&self, message: &Message) -> usize {
        message.memory(self.framed) + MESSAGE_OVERHEAD
    }

    fn fits(&self, cost: usize) -> bool {
        self.queue.is_empty() && self.promised == 0
            || is_within(self.bound, self.queue.bytes, self.promised, cost)
    }

    /// The endpoint's policy, for calls without a policy of their own.
    #[inline]
    pub(super) fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Whether a message of this cost would not have to wait, by the endpoint's policy.
    #[inline]
    pub(super) fn takes_at_once(&self, cost: usize) -> bool {
        self.overflow != Overflow::Wait || self.fits(cost)
    }

    /// Applies the policy to a full queue. Returns the number of older messages that were dropped.
    ///
    /// While other tasks wait in line, a call that drops older messages gets only the room of those. Otherwise one
    /// endless sender could keep the others waiting without end.
    #[inline]
    pub(super) fn make_room(
        &mut self,
        message: &Message,
        overflow: Overflow,
        others_wait: bool,
        discarded: &mut Discarded,
    ) -> Result<u64, Full> {
        let cost = self.cost(message);
        match overflow {
            Overflow::DropOldest if others_wait => Ok(self.replace(cost, discarded)),
            _ if self.fits(cost) => Ok(0),
            Overflow::Wait => Err(Full::Wait),
            Overflow::Close => Err(Full::Close),
            Overflow::DropOldest => Ok(self.drop_until(discarded, |outbox| outbox.fits(cost))),
        }
    }

    /// Drops as many bytes as the new message needs, and more if the queue is beyond its bound.
    fn replace(&mut self, cost: usize, discarded: &mut Discarded) -> u64 {
        let before = self.queue.bytes;
        self.drop_until(discarded, |outbox| {
            outbox.queue.bytes.saturating_add(cost) <= before && outbox.fits(cost)
        })
    }

    fn drop_until(&mut self, discarded: &mut Discarded, enough: impl Fn(&Self) -> bool) -> u64 {
        let mut dropped = 0;
        while !enough(self) {
            let Some(oldest) = self.queue.messages.pop_front() else { break };
            self.queue.bytes -= self.cost(&oldest);
            discarded.push(oldest);
            dropped += 1;
        }
        dropped
    }

    /// Queues a message, whether or not there is room.
    #[inline]
    pub(super) fn push(&mut self, message: Message) {
        self.queue.bytes += self.cost(&message);
        self.queue.messages.push_back(message);
    }

    /// Takes messages from the front: at least one, and more while their lengths on the wire stay within `max_bytes`.
    /// Also returns the sum of these lengths.
    #[inline]
    pub(super) fn take(&mut self, max_bytes: usize) -> (Vec<Message>, usize) {
        let mut taken = 0;
        let mut length = 0;
        let mut cost = 0;
        for message in &self.queue.messages {
            let of_message = self.wire_length(message);
            if taken > 0 && length + of_message > max_bytes {
                break;
            }
            taken += 1;
            length += of_message;
            cost += self.cost(message);
        }
        let messages = self.queue.messages.drain(..taken).collect();
        self.queue.bytes -= cost;
        self.queue.shrink();
        (messages, length)
    }

    /// The length of a message on the wire, the comma included.
    fn wire_length(&self, message: &Message) -> usize {
        if self.framed { message.quoted().len() + 1 } else { message.len() }
    }

    /// Discards the messages that have not left, and returns their number.
    pub(super) fn clear(&mut self) -> Discarded {
        self.promised = 0;
        self.queue.clear()
    }

    /// Reserves room for a task that waits for it. Returns `false` if there is too little.
    pub(super) fn promise(&mut self, bytes: usize) -> bool {
        let fits = self.fits(bytes);
        if fits {
            self.promised += bytes;
        }
        fits
    }

    /// Ends a promise.
    pub(super) fn withdraw(&mut self, bytes: usize) {
        // `clear` may have ended all promises before.
        self.promised = self.promised.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests;
