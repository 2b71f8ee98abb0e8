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
mod nodes;
mod over_bus;
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

use tokio::runtime::Handle;

pub use self::{
    builder::{MemoryBrokerBuilder, QueueMode},
    dead_letter::{DeadLetter, DeadLetterReason},
    over_bus::BuildError,
    stats::MemoryBrokerStats,
};
use self::{
    connection::MemoryConnection,
    nodes::{connect::connect, connection::NodeConnection, link::Link},
    shared::Shared,
};
use crate::{
    broker::{Broker, BrokerError, Connection, Published, Target, bus_stats::BusStats},
    message::Message,
    outbox::Subscriber,
    outcome::Outcome,
};

/// A broker within this process: topics, queues and users' own destinations, in memory. With a
/// [bus](MemoryBrokerBuilder::bus) it is one of several nodes.
///
/// Clones are the same broker.
#[derive(Clone)]
pub struct MemoryBroker {
    shared: Arc<Shared>,
    /// To the other nodes.
    link: Option<Arc<Link>>,
}

impl fmt::Debug for MemoryBroker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Messages are not for logs.
        f.debug_tuple("MemoryBroker").field(&self.shared.settings).finish()
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

    /// Leaves the [bus](MemoryBrokerBuilder::bus): tells the other nodes that this one stops, so that its queues are free
    /// for them at once, and waits until the engine has that, for 2 s at the most. Without a bus it does nothing.
    ///
    /// It is the last thing that a node does before its process ends or the bus is dropped, behind the end of its sessions:
    /// from then on nothing is published to other nodes, and a queue that the node does not own is refused.
    ///
    /// ```
    /// # use axum_stomp::broker::memory::MemoryBroker;
    /// # async fn stop(broker: MemoryBroker, handle: axum_stomp::axum_sockjs::SockJsHandle) {
    /// handle.shutdown(1001, "restarting", std::time::Duration::from_secs(8)).await;
    /// broker.leave_bus().await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// The others are told by the first poll; what is dropped is the wait.
    pub async fn leave_bus(&self) {
        if let Some(link) = &self.link {
            link.leave().await;
        }
    }

    /// What the broker has now. This is cheap: nothing is gone through.
    #[must_use]
    pub fn stats(&self) -> MemoryBrokerStats {
        let shared = &*self.shared;
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
            bus: self.bus_stats(),
        }
    }
}

impl MemoryBrokerBuilder {
    /// Builds the broker.
    ///
    /// # Panics
    /// If a prefix is empty, ends with a separator, has a wildcard (`?`, `*`, `{`, `}`), or is the beginning of another
    /// one; if the separator is neither `/` nor `.`; or if [`try_build`](Self::try_build) fails, which it does only with a
    /// [bus](Self::bus).
    #[must_use]
    #[track_caller]
    pub fn build(self) -> MemoryBroker {
        match self.try_build() {
            Ok(broker) => broker,
            Err(error) => panic!("{error}"),
        }
    }

    /// Builds the broker, if it can be over the bus.
    ///
    /// # Errors
    /// See [`BuildError`].
    ///
    /// # Panics
    /// As [`build`](Self::build), for prefixes and the separator.
    #[track_caller]
    pub fn try_build(self) -> Result<MemoryBroker, BuildError> {
        self.prefixes.validate();
        let (bus, on_bus) = (self.bus.clone(), self.on_bus.clone());
        let shared = Arc::new(Shared::new(self));
        let Some(bus) = bus else { return Ok(MemoryBroker { shared, link: None }) };
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let link = connect(&shared, bus, on_bus, &runtime)?;
        Ok(MemoryBroker { shared, link: Some(link) })
    }
}

impl Broker for MemoryBroker {
    fn has(&self, destination: &str) -> bool {
        self.shared.settings.prefixes.kind(destination).is_some()
    }

    fn connect(&self, client: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
        let connection = MemoryConnection::new(self.shared.clone(), client);
        Outcome::ready(Ok(match &self.link {
            None => Box::new(connection),
            Some(link) => Box::new(NodeConnection::new(connection, link.clone())),
        }))
    }

    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        match &self.link {
            None => Outcome::ready(self.shared.publish(&target, &message)),
            Some(link) => link.publish(&target, &message),
        }
    }

    fn bus_stats(&self) -> Option<BusStats> {
        self.link.as_ref().map(|link| link.stats())
    }
}

#[cfg(test)]
mod tests;
