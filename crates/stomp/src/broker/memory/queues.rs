//! All queues.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    queue::{Closed, ConsumerKey, Queue, QueueLimits},
    store::Store,
};
use crate::{
    broker::{BrokerError, Published},
    message::Message,
    outbox::Subscriber,
    subscription::Subscription,
};

/// All queues that somebody uses.
#[derive(Debug)]
pub(super) struct Queues {
    max_queues: usize,
    limits: QueueLimits,
    store: Arc<Store>,
    /// This lock is taken before that of a queue.
    queues: Mutex<HashMap<Box<str>, Arc<Queue>>>,
}

/// That a queue may be made, since no other node has it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Owned {
    /// Since when; `None` without other nodes.
    pub(super) since: Option<Instant>,
}

impl Owned {
    /// There are no other nodes.
    pub(super) const ALONE: Self = Self { since: None };
}

/// A subscription's place in a queue.
#[derive(Debug, Clone)]
pub(super) struct Place {
    pub(super) queue: Arc<Queue>,
    pub(super) key: ConsumerKey,
}

impl Queues {
    pub(super) fn new(max_queues: usize, max_bytes: usize, limits: QueueLimits) -> Self {
        Self { max_queues, limits, store: Arc::new(Store::new(max_bytes)), queues: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<Box<str>, Arc<Queue>>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Uses a queue. If there is none, it is made if the node owns it, and otherwise nothing is done.
    ///
    /// It may be given up before it is used. Then it is no longer found, and the next one is used.
    fn with<T>(
        &self,
        name: &str,
        owned: Option<Owned>,
        mut f: impl FnMut(&Arc<Queue>) -> Result<T, Closed>,
    ) -> Result<Option<T>, BrokerError> {
        loop {
            let queue = {
                let mut queues = self.lock();
                match queues.get(name) {
                    Some(queue) => queue.clone(),
                    None if owned.is_none() => return Ok(None),
                    None if queues.len() >= self.max_queues => {
                        return Err(BrokerError::LimitExceeded("max_queues"));
                    }
                    None => {
                        let since = owned.and_then(|Owned { since }| since);
                        let queue = Arc::new(Queue::new(name, since, self.limits, self.store.clone()));
                        queues.insert(name.into(), queue.clone());
                        queue
                    }
                }
            };
            if let Ok(result) = f(&queue) {
                return Ok(Some(result));
            }
        }
    }

    /// `None` if there is no such queue, and none is made.
    pub(super) fn publish(
        &self,
        name: &str,
        owned: Option<Owned>,
        message: &Message,
    ) -> Result<Option<Published>, BrokerError> {
        let mut used = None;
        let result = self.with(name, owned, |queue| {
            used = Some(queue.clone());
            queue.publish(message)
        })?;
        if let (Some(Err(_)), Some(queue)) = (&result, used) {
            // It may have been made for this message.
            self.remove_if_unused(&queue);
        }
        result.transpose()
    }

    /// `None` if there is no such queue, and none is made.
    pub(super) fn join(
        &self,
        name: &str,
        owned: Option<Owned>,
        subscriber: &Subscriber,
        subscription: &Arc<Subscription>,
    ) -> Result<Option<Place>, BrokerError> {
        self.with(name, owned, |queue| {
            let key = queue.join(subscriber.clone(), subscription.clone())?;
            Ok(Place { queue: queue.clone(), key })
        })
    }

    pub(super) fn remove_if_unused(&self, queue: &Queue) {
        let mut queues = self.lock();
        // One that has been given up has been removed; there may be another one of its name.
        if queues
            .get(queue.name())
            .is_some_and(|found| std::ptr::eq(&**found, queue) && found.close_if_unused())
        {
            queues.remove(queue.name());
        }
    }

    /// Since when the node owns a queue, if it does.
    pub(super) fn since(&self, name: &str) -> Option<Instant> {
        self.lock().get(name)?.since()
    }

    /// All queues, and since when the node owns them.
    pub(super) fn owned(&self) -> Vec<(Box<str>, Instant)> {
        self.lock().iter().filter_map(|(name, queue)| Some((name.clone(), queue.since()?))).collect()
    }

    /// Takes a queue away. It can still be used, until it is closed.
    pub(super) fn remove(&self, name: &str) -> Option<Arc<Queue>> {
        self.lock().remove(name)
    }

    /// Checks what holds of each queue whenever nobody uses it.
    #[cfg(test)]
    pub(super) fn check(&self) {
        let queues = self.lock();
        let (messages, bytes) = queues
            .values()
            .map(|queue| queue.check())
            .fold((0, 0), |sum, each| (sum.0 + each.0, sum.1 + each.1));
        assert_eq!((messages, bytes), self.store.len());
    }

    /// How many queues there are, and how many messages and bytes they keep.
    pub(super) fn len(&self) -> (usize, usize, usize) {
        let queues = self.lock().len();
        let (messages, bytes) = self.store.len();
        (queues, messages, bytes)
    }
}
