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
mod stats;
mod store;
mod topic;
mod topics;
mod trie;
mod users;

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

pub use self::{
    builder::{MemoryBrokerBuilder, QueueMode},
    dead_letter::{DeadLetter, DeadLetterReason},
    stats::MemoryBrokerStats,
};
use self::{
    connection::MemoryConnection,
    lanes::Lanes,
    prefixes::Kind,
    queue::{After, Dead, Queue},
    queues::Queues,
    topics::Topics,
    users::Users,
};
use super::{Broker, BrokerError, Connection, Published, Target};
use crate::{message::Message, outbox::Subscriber, outcome::Outcome};

/// A broker within this process: topics, queues and users' own destinations, in memory.
///
/// Clones are the same broker.
#[derive(Clone)]
pub struct MemoryBroker(Arc<Shared>);

struct Shared {
    settings: MemoryBrokerBuilder,
    lanes: Lanes,
    topics: Topics,
    queues: Queues,
    users: Users,
    subscriptions: AtomicUsize,
    dead_letters: AtomicU64,
    dropped: AtomicU64,
}

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

    fn with(settings: MemoryBrokerBuilder) -> Self {
        Self(Arc::new(Shared {
            lanes: Lanes::new(),
            topics: Topics::new(settings.prefixes.separator, settings.topics),
            queues: Queues::new(settings.max_queues, settings.max_total_queue_bytes, settings.queue),
            users: Users::default(),
            subscriptions: AtomicUsize::new(0),
            dead_letters: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            settings,
        }))
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

/// How a destination is served.
enum Place {
    Topic,
    Queue,
}

impl Shared {
    fn place(&self, destination: &str) -> Result<Place, BrokerError> {
        match self.settings.prefixes.kind(destination) {
            None => Err(BrokerError::InvalidDestination("the destination has no prefix of the broker's")),
            Some(Kind::Queue) if self.settings.queue_mode == QueueMode::Competing => {
                if topics::pattern(destination, self.settings.prefixes.separator).is_some() {
                    return Err(BrokerError::InvalidDestination("a queue's name has no wildcards"));
                }
                Ok(Place::Queue)
            }
            Some(Kind::Topic | Kind::Queue) => Ok(Place::Topic),
        }
    }

    fn publish(&self, target: &Target, message: &Message) -> Result<Published, BrokerError> {
        let published = match target {
            Target::Destination(destination) => match self.place(destination)? {
                Place::Queue => self.queues.publish(destination, message)?,
                Place::Topic => {
                    let _lane = self.lanes.lock(destination);
                    self.topics.publish(destination, message)?
                }
            },
            Target::Temporary(name) => {
                let _lane = self.lanes.lock(name);
                self.topics.publish(name, message)?
            }
            Target::User { name, destination } => {
                let _lane = self.lanes.lock(name);
                let mut published = Published::default();
                for own in self.users.of_user(name) {
                    let each = own.topics.publish(destination, message)?;
                    published.delivered += each.delivered;
                    published.dropped += each.dropped;
                }
                published
            }
            Target::Session { id, destination } => match self.users.session(*id) {
                Some(own) => {
                    let _lane = self.lanes.lock(&own.name);
                    own.topics.publish(destination, message)?
                }
                None => Published::default(),
            },
        };
        if published.dropped > 0 {
            self.dropped.fetch_add(published.dropped as u64, Ordering::Relaxed);
        }
        Ok(published)
    }

    /// Does what is left to do when no lock is held any more.
    fn after(&self, queue: &Queue, after: After) {
        let After { dead, is_unused, .. } = after;
        if is_unused {
            self.queues.remove_if_unused(queue);
        }
        if dead.is_empty() {
            return;
        }
        self.dead_letters.fetch_add(dead.len() as u64, Ordering::Relaxed);
        let name: Arc<str> = queue.name().into();
        for Dead { message, deliveries, is_rejected } in dead {
            let reason = if is_rejected { DeadLetterReason::Rejected } else { DeadLetterReason::Deliveries };
            tracing::debug!(queue = &*name, deliveries, ?reason, "a message is given up");
            let Some(hook) = &self.settings.on_dead_letter else { continue };
            let dead = DeadLetter { message: Arc::from(message), queue: name.clone(), deliveries, reason };
            // Others' messages are not lost for it.
            if catch_unwind(AssertUnwindSafe(|| hook(&dead))).is_err() {
                tracing::error!(queue = &*name, "on_dead_letter has panicked");
            }
        }
    }
}

#[cfg(test)]
mod tests;
