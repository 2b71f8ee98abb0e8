//! The messages that wait, on the way in or out.

use std::collections::VecDeque;

use crate::protocol::message::Message;

/// What a queued message costs beside its bytes: without it a queue of empty messages has no bound.
pub(crate) const MESSAGE_OVERHEAD: usize = 128;

/// How many places an empty queue keeps.
pub(super) const KEPT: usize = 64;

/// How much of a queue something takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Room {
    pub(crate) bytes: usize,
    pub(crate) messages: usize,
}

impl Room {
    /// What a batch takes of the queue to the application.
    pub(crate) fn of_batch(batch: &[Message]) -> Self {
        let bytes = batch.iter().map(|message| message.len() + MESSAGE_OVERHEAD).sum();
        Self { bytes, messages: batch.len() }
    }
}

#[derive(Debug, Default)]
pub(super) struct Queue {
    pub(super) messages: VecDeque<Message>,
    pub(super) bytes: usize,
    /// What is kept free for tasks that have waited for it.
    pub(super) promised: Room,
}

impl Queue {
    pub(super) fn is_empty(&self) -> bool {
        self.messages.is_empty()
    }

    /// Whether there is so much room within `bound`. An empty queue has room for anything.
    pub(super) fn fits(&self, room: Room, bound: Room) -> bool {
        let taken = |queued: usize, promised: usize, room: usize| {
            queued.saturating_add(promised).saturating_add(room)
        };
        self.is_empty() && self.promised == Room::default()
            || taken(self.bytes, self.promised.bytes, room.bytes) <= bound.bytes
                && taken(self.messages.len(), self.promised.messages, room.messages) <= bound.messages
    }

    /// Takes messages from the front while their lengths on the wire stay within `max_bytes`, and at least
    /// one; tells the sum of their lengths.
    pub(super) fn take(&mut self, max_bytes: usize, framed: bool) -> (Vec<Message>, usize) {
        let mut taken = 0;
        let mut bytes = 0;
        for message in &self.messages {
            let length = wire_length(message, framed);
            if taken > 0 && bytes + length > max_bytes {
                break;
            }
            taken += 1;
            bytes += length;
            self.bytes -= message.held(framed) + MESSAGE_OVERHEAD;
        }
        let messages = self.messages.drain(..taken).collect();
        self.give_back();
        (messages, bytes)
    }

    /// A queue that was long keeps its room only while it is in use.
    pub(super) fn give_back(&mut self) {
        if self.messages.is_empty() && self.messages.capacity() > KEPT {
            self.messages = VecDeque::new();
        }
    }
}

/// What a message takes on the wire, the comma included.
pub(super) fn wire_length(message: &Message, framed: bool) -> usize {
    if framed { message.quoted().len() + 1 } else { message.len() }
}
