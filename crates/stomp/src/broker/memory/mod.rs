//! A broker within this process.
//!
//! Topics deliver to everyone who has subscribed, and keep nothing. Queues do the same, or with
//! [`QueueMode::Competing`] give each message to one consumer.
//!
//! **Patterns.** A subscription may be to a pattern: `?` is one character, `*` any number of characters within a segment,
//! `{name}` a whole segment, and `**` any number of segments, none too; a `?` between two `*` of a segment is refused. A
//! pattern stays within its prefix, which is
//! compared as it is. A message that is sent to a destination with such characters is compared as plain text: it goes
//! to the subscriptions whose pattern matches that text, and never to what its own text would match.
//!
//! **Order.** All who get the messages of a destination get them in the same order, and those of one sender in the order
//! in which they were sent.
//!
//! **Locks.** A lock of the following list is taken while those in front of it may be held: connection, lane, the maps of
//! users, topics and queues, a topic or queue, the outbox of a client. Nothing waits while one is held, and no code of
//! an application is run.
//!
//! Imports: `broker`, `message`, `outbox`, `outcome`, `subscription`.

mod builder;
mod connection;
mod dead_letter;
mod lanes;
mod pattern;
mod prefixes;
mod queue;
mod queues;
mod shared;
mod stats;
mod store;
mod topic;
mod topics;
mod trie;
mod users;

use std::{
    fmt,
    sync::{Arc, atomic::Ordering},
};

pub use self::{
    builder::{MemoryBrokerBuilder, QueueMode},
    dead_letter::{DeadLetter, DeadLetterReason},
    stats::MemoryBrokerStats,
};
use self::{connection::MemoryConnection, shared::Shared};
use crate::{
    broker::{Broker, BrokerError, Connection, Published, Target},
    message::Message,
    outbox::Subscriber,
    outcome::Outcome,
};

/// A broker within this process: topics, queues and users' own destinations, in memory.
///
/// Clones are the same broker.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Shared>);

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages are not for logs.
        f.debug_tuple("MemoryBroker").field(&self.0.settings).finish()
    }
}

impl Default for MemoryBroker {
    fn default() -> Self {
        Self::new()
    }
}

impl MemoryBroker {
    /// A broker with the defaults: topics have the prefix `/topic`, and queues, which broadcast, `/queue`.
    #[must_use]
    pub fn new() -> Self {
        Self::builder().build()
    }

    /// A broker with other settings.
    pub fn builder() -> MemoryBrokerBuilder {
        MemoryBrokerBuilder::default()
    }

    /// What the broker has now. This is cheap: nothing is gone through.
    #[must_use]
    pub fn stats(&self) -> MemoryBrokerStats {
        let shared = &*self.0;
        let (sessions, users) = shared.users.len();
        let (topics, patterns) = shared.topics.len();
        let (queues, queued_messages, queued_bytes) = shared.queues.len();
        MemoryBrokerStats {
            sessions,
            users,
            subscriptions: shared.subscriptions.load(Ordering::Relaxed),
            topics,
            patterns,
            queues,
            queued_messages,
            queued_bytes,
            dead_letters: shared.dead_letters.load(Ordering::Relaxed),
            dropped: shared.dropped.load(Ordering::Relaxed),
        }
    }
}

impl MemoryBrokerBuilder {
    /// Builds the broker.
    ///
    /// # Panics
    /// If a prefix is empty, ends with a separator, has a wildcard (`?`, `*`, `{`, `}`), or is the beginning of another
    /// one; or if the separator is neither `/` nor `.`.
    #[must_use]
    pub fn build(self) -> MemoryBroker {
        self.prefixes.validate();
        MemoryBroker(Arc::new(Shared::new(self)))
    }
}

impl Broker for MemoryBroker {
    fn has(&self, destination: &str) -> bool {
        self.0.settings.prefixes.kind(destination).is_some()
    }

    fn connect(&self, client: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
        Outcome::ready(Ok(Box::new(MemoryConnection::new(self.0.clone(), client))))
    }

    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        Outcome::ready(self.0.publish(&target, &message))
    }
}

#[cfg(test)]
mod tests;
