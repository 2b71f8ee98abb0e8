//! Which messages wait for the client, and is there room for more?
//!
//! The queue is bounded by the memory that its messages take. An empty one takes a message of any size, unless room
//! is promised to others.

use super::{
    queue::{MESSAGE_OVERHEAD, Queue, is_within},
    settings::{Overflow, Settings},
};
use crate::protocol::message::Message;

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Outbox {
    queue: Queue,
    /// The bytes that are kept free for tasks that have waited for them.
    promised: usize,
    bound: usize,
    overflow: Overflow,
    framed: bool,
}

/// What the policy says of a message that finds the queue full.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    /// It waits.
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

    /// What the queued messages cost.
    #[inline]
    pub(super) fn bytes(&self) -> usize {
        self.queue.bytes
    }

    /// What a message takes of the queue.
    #[inline]
    pub(super) fn cost(&self, message: &Message) -> usize {
        message.held(self.framed) + MESSAGE_OVERHEAD
    }

    fn fits(&self, cost: usize) -> bool {
        self.queue.is_empty() && self.promised == 0
            || is_within(self.bound, self.queue.bytes, self.promised, cost)
    }

    /// The endpoint's policy, for calls that bring none of their own.
    #[inline]
    pub(super) fn overflow(&self) -> Overflow {
        self.overflow
    }

    /// Whether a message that costs so much would not have to wait, by the endpoint's policy.
    #[inline]
    pub(super) fn takes_at_once(&self, cost: usize) -> bool {
        self.overflow != Overflow::Wait || self.fits(cost)
    }

    /// Does with a full queue what the policy says; tells how many older messages had to go.
    ///
    /// While others wait in the line, what would drop older messages gets no room but theirs: who waits would else
    /// wait for ever beside one who sends without end.
    #[inline]
    pub(super) fn make_room(
        &mut self,
        message: &Message,
        overflow: Overflow,
        others_wait: bool,
    ) -> Result<u64, Full> {
        let cost = self.cost(message);
        match overflow {
            Overflow::DropOldest if others_wait => Ok(self.replace(cost)),
            _ if self.fits(cost) => Ok(0),
            Overflow::Wait => Err(Full::Wait),
            Overflow::Close => Err(Full::Close),
            Overflow::DropOldest => Ok(self.drop_until(|outbox| outbox.fits(cost))),
        }
    }

    /// Drops as much as is to come, and more if the queue is beyond its bound.
    fn replace(&mut self, cost: usize) -> u64 {
        let before = self.queue.bytes;
        self.drop_until(|outbox| outbox.queue.bytes.saturating_add(cost) <= before && outbox.fits(cost))
    }

    fn drop_until(&mut self, enough: impl Fn(&Self) -> bool) -> u64 {
        let mut dropped = 0;
        while !enough(self) {
            let Some(oldest) = self.queue.messages.pop_front() else { break };
            self.queue.bytes -= self.cost(&oldest);
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

    /// Takes messages from the front while their lengths on the wire stay within `max_bytes`, and at least
    /// one; tells the sum of their lengths.
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

    /// What a message takes on the wire, the comma included.
    fn wire_length(&self, message: &Message) -> usize {
        if self.framed { message.quoted().len() + 1 } else { message.len() }
    }

    /// Throws away what has not left, and tells how many messages that were.
    pub(super) fn clear(&mut self) -> u64 {
        self.promised = 0;
        std::mem::take(&mut self.queue).messages.len() as u64
    }

    /// Keeps room free for a task that waits for it, if there is so much.
    pub(super) fn promise(&mut self, bytes: usize) -> bool {
        let fits = self.fits(bytes);
        if fits {
            self.promised += bytes;
        }
        fits
    }

    /// Ends a promise.
    pub(super) fn withdraw(&mut self, bytes: usize) {
        // `clear` has ended all promises.
        self.promised = self.promised.saturating_sub(bytes);
    }
}

#[cfg(test)]
mod tests;
