//! What the core throws away: its caller drops it.
//!
//! The bytes of a message may have an owner (`Bytes::from_owner`), whose drop is the application's code. That may not
//! run under the session's lock; nor should anyone wait there until a long queue is freed.

use std::collections::VecDeque;

use sockjs_core::Message;

/// Messages in the order in which they were queued. A single one, as it goes for each that comes to a full queue, takes
/// no further memory.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug, Default)]
#[must_use = "dropped here, it runs code of the application's under the session's lock"]
pub(crate) enum Discarded {
    #[default]
    Nothing,
    One(Message),
    Many(Vec<Message>),
}

impl Discarded {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        matches!(self, Self::Nothing)
    }

    pub(super) fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::One(_) => 1,
            Self::Many(messages) => messages.len(),
        }
    }

    pub(super) fn push(&mut self, message: Message) {
        match self {
            Self::Nothing => *self = Self::One(message),
            Self::One(_) => self.append(Self::One(message)),
            Self::Many(messages) => messages.push(message),
        }
    }

    pub(super) fn append(&mut self, newer: Self) {
        *self = match (std::mem::take(self), newer) {
            (older, Self::Nothing) => older,
            (Self::Nothing, newer) => newer,
            (older, newer) => {
                let mut messages = older.into_messages();
                messages.extend(newer.into_messages());
                Self::Many(messages)
            }
        };
    }

    pub(super) fn into_messages(self) -> Vec<Message> {
        match self {
            Self::Nothing => Vec::new(),
            Self::One(message) => vec![message],
            Self::Many(messages) => messages,
        }
    }
}

/// The whole of a queue, in its memory.
impl From<VecDeque<Message>> for Discarded {
    fn from(queue: VecDeque<Message>) -> Self {
        if queue.is_empty() { Self::Nothing } else { Self::Many(queue.into()) }
    }
}

#[cfg(test)]
mod tests;
