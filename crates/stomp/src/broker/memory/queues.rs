//! All queues.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
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

    /// Uses a queue, which is made if there is none.
    ///
    /// It may be given up before it is used. Then it is no longer found, and the next one is used.
    fn with<T>(
        &self,
        name: &str,
        mut f: impl FnMut(&Arc<Queue>) -> Result<T, Closed>,
    ) -> Result<T, BrokerError> {
        loop {
            let queue = {
                let mut queues = self.lock();
                match queues.get(name) {
                    Some(queue) => queue.clone(),
                    None if queues.len() >= self.max_queues => {
                        return Err(BrokerError::LimitExceeded("max_queues"));
                    }
                    None => {
                        let queue = Arc::new(Queue::new(name, self.limits, self.store.clone()));
                        queues.insert(name.into(), queue.clone());
                        queue
                    }
                }
            };
            if let Ok(result) = f(&queue) {
                return Ok(result);
            }
        }
    }

    pub(super) fn publish(&self, name: &str, message: &Message) -> Result<Published, BrokerError> {
        let mut used = None;
        let result = self.with(name, |queue| {
            used = Some(queue.clone());
            queue.publish(message)
        })?;
        if let (Err(_), Some(queue)) = (&result, used) {
            // It may have been made for this message.
            self.remove_if_unused(&queue);
        }
        result
    }

    pub(super) fn join(
        &self,
        name: &str,
        subscriber: &Subscriber,
        subscription: &Arc<Subscription>,
    ) -> Result<Place, BrokerError> {
        self.with(name, |queue| {
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
