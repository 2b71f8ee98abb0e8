//! Messages of queues that are given up.

use std::sync::Arc;

use crate::message::Message;

pub(super) type Hook = Arc<dyn Fn(&DeadLetter) + Send + Sync>;

/// A message of a queue that is given up.
#[derive(Debug, Clone)]
pub struct DeadLetter {
    pub(super) message: Arc<Message>,
    pub(super) queue: Arc<str>,
    pub(super) deliveries: u32,
    pub(super) reason: DeadLetterReason,
}

/// Why a message is given up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DeadLetterReason {
    /// It has been delivered [too often](super::MemoryBrokerBuilder::max_deliveries).
    Deliveries,
    /// A client has refused it with `requeue:false`.
    Rejected,
    /// The queue is another node's, with a [bus](super::MemoryBrokerBuilder::bus): this node gives up all that it has of it. A
    /// consumer may have got the message.
    OwnedElsewhere,
}

impl DeadLetter {
    /// The message.
    #[must_use]
    pub fn message(&self) -> &Arc<Message> {
        &self.message
    }

    /// The queue that it was in.
    #[must_use]
    pub fn queue(&self) -> &str {
        &self.queue
    }

    /// How often it has been delivered.
    #[must_use]
    pub fn deliveries(&self) -> u32 {
        self.deliveries
    }

    /// Why it is given up.
    #[must_use]
    pub fn reason(&self) -> DeadLetterReason {
        self.reason
    }
}
