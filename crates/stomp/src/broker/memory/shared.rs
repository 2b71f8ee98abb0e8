//! What a broker has, and where its messages go.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use super::{
    builder::{MemoryBrokerBuilder, QueueMode},
    dead_letter::DeadLetter,
    lanes::Lanes,
    prefixes::Kind,
    queue::{After, Dead, Queue},
    queues::{Owned, Queues},
    topics::{self, Found, Topics},
    users::Users,
};
use crate::{
    broker::{BrokerError, Published, Target},
    message::Message,
};

/// What all connections to a broker share.
pub(super) struct Shared {
    pub(super) settings: MemoryBrokerBuilder,
    pub(super) lanes: Lanes,
    pub(super) topics: Topics,
    pub(super) queues: Queues,
    pub(super) users: Users,
    pub(super) subscriptions: AtomicUsize,
    pub(super) dead_letters: AtomicU64,
    pub(super) dropped: AtomicU64,
}

/// How a destination is served.
pub(super) enum Place {
    Topic,
    Queue,
}

impl Shared {
    pub(super) fn new(settings: MemoryBrokerBuilder) -> Self {
        Self {
            lanes: Lanes::new(),
            topics: Topics::new(settings.prefixes.separator, settings.topics),
            queues: Queues::new(settings.max_queues, settings.max_total_queue_bytes, settings.queue),
            users: Users::default(),
            subscriptions: AtomicUsize::new(0),
            dead_letters: AtomicU64::new(0),
            dropped: AtomicU64::new(0),
            settings,
        }
    }

    pub(super) fn place(&self, destination: &str) -> Result<Place, BrokerError> {
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

    pub(super) fn publish(&self, target: &Target, message: &Message) -> Result<Published, BrokerError> {
        let again = message.again();
        let message = again.as_ref().unwrap_or(message);
        let published = match target {
            Target::Destination(destination) => match self.place(destination)? {
                Place::Queue => {
                    self.queues.publish(destination, Some(Owned::ALONE), message)?.unwrap_or_default()
                }
                Place::Topic => self.deliver(&self.topics, destination, destination, message)?,
            },
            Target::Temporary(name) => self.deliver(&self.topics, name, name, message)?,
            Target::User { name, destination } => {
                let _lane = self.lanes.lock(name);
                let mut published = Published::default();
                for own in self.users.of_user(name) {
                    let each = own.topics.find(destination)?.deliver(message);
                    published.delivered += each.delivered;
                    published.dropped += each.dropped;
                }
                published
            }
            Target::Session { id, destination } => match self.users.session(*id) {
                Some(own) => self.deliver(&own.topics, destination, &own.name, message)?,
                None => Published::default(),
            },
        };
        self.count(published);
        Ok(published)
    }

    fn count(&self, published: Published) {
        if published.dropped > 0 {
            self.dropped.fetch_add(published.dropped as u64, Ordering::Relaxed);
        }
    }

    /// Delivers a message of another node to those who have subscribed to exactly this destination.
    pub(super) fn deliver_exact(&self, destination: &str, message: &Message) {
        self.count(self.topics.find_exact(destination).deliver(message));
    }

    /// Delivers a message of another node to those who have subscribed to a pattern that the destination matches.
    pub(super) fn deliver_to_patterns(
        &self,
        destination: &str,
        message: &Message,
    ) -> Result<(), BrokerError> {
        let found = self.topics.find_patterns(destination)?;
        self.count(self.deliver_in_order(&found, destination, message));
        Ok(())
    }

    /// Closes a queue that has been taken away, since another node has it: its consumers are sent away. Its messages are
    /// dead letters, for [`dead_letter`](Self::dead_letter).
    pub(super) fn close(queue: &Queue) -> Vec<Dead> {
        let after = queue.close();
        after.refuse_consumers("The queue is another node's.");
        let After { dead, .. } = after;
        dead
    }

    /// Delivers a message to the topics that a destination is for. If it goes to several, no other message of the same
    /// lane is delivered meanwhile.
    fn deliver(
        &self,
        topics: &Topics,
        destination: &str,
        lane: &str,
        message: &Message,
    ) -> Result<Published, BrokerError> {
        Ok(self.deliver_in_order(&topics.find(destination)?, lane, message))
    }

    fn deliver_in_order(&self, found: &Found, lane: &str, message: &Message) -> Published {
        let _lane = found.is_several().then(|| self.lanes.lock(lane));
        found.deliver(message)
    }

    /// Does what is left to do when no lock is held any more.
    pub(super) fn after(&self, queue: &Queue, after: After) {
        let After { dead, is_unused, .. } = after;
        if is_unused {
            self.queues.remove_if_unused(queue);
        }
        if dead.is_empty() {
            return;
        }
        let name: Arc<str> = queue.name().into();
        dead.into_iter().for_each(|dead| self.dead_letter(&name, dead));
    }

    /// Gives a message up, with no lock held.
    pub(super) fn dead_letter(&self, queue: &Arc<str>, dead: Dead) {
        let Dead { message, deliveries, reason } = dead;
        self.dead_letters.fetch_add(1, Ordering::Relaxed);
        tracing::debug!(queue = &**queue, deliveries, ?reason, "a message is given up");
        let Some(hook) = &self.settings.on_dead_letter else { return };
        let dead = DeadLetter { message: Arc::from(message), queue: queue.clone(), deliveries, reason };
        // Others' messages are not lost for it.
        if catch_unwind(AssertUnwindSafe(|| hook(&dead))).is_err() {
            tracing::error!(queue = &**queue, "on_dead_letter has panicked");
        }
    }
}
