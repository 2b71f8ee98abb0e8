//! A queue: each of its messages goes to one consumer.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{
    broker::{BrokerError, Published, Settlement},
    message::Message,
    outbox::{Delivered, Subscriber},
    subscription::{AckMode, Subscription},
};

/// How much a queue keeps.
#[derive(Debug, Clone, Copy)]
pub(super) struct QueueLimits {
    pub(super) messages: usize,
    pub(super) bytes: usize,
    /// How often a message is delivered before it is given up.
    pub(super) deliveries: u32,
}

/// A queue: each of its messages goes to one consumer, the next one that has room.
#[derive(Debug)]
pub(super) struct Queue {
    limits: QueueLimits,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// In the order of their numbers: what is given back stands before what came later.
    ready: VecDeque<Item>,
    /// How many messages there are, with those that are not acknowledged, and how long they are.
    messages: usize,
    bytes: usize,
    next_number: u64,
    consumers: Vec<Consumer>,
    /// Whose turn it is.
    turn: usize,
}

#[derive(Debug)]
struct Item {
    number: u64,
    message: Arc<Message>,
    /// How often it has been delivered.
    deliveries: u32,
}

#[derive(Debug)]
struct Consumer {
    subscriber: Subscriber,
    subscription: Arc<Subscription>,
    /// What it has not acknowledged, or in `auto` mode what has not been written, by its number in the subscription.
    unsettled: BTreeMap<u64, Item>,
    /// Whether its client is too slow, until it says otherwise.
    is_full: bool,
}

impl Consumer {
    fn has_room(&self) -> bool {
        !self.is_full && self.unsettled.len() < self.subscription.prefetch().get()
    }

    fn is(&self, subscriber: &Subscriber, serial: u32) -> bool {
        self.subscription.serial() == serial && self.subscriber.session() == subscriber.session()
    }
}

impl Queue {
    pub(super) fn new(limits: QueueLimits) -> Self {
        Self { limits, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it has neither messages nor consumers.
    pub(super) fn is_unused(&self) -> bool {
        let state = self.lock();
        state.messages == 0 && state.consumers.is_empty()
    }

    /// Adds a message, and delivers it if a consumer has room.
    pub(super) fn publish(&self, message: &Arc<Message>) -> Result<Published, BrokerError> {
        let mut state = self.lock();
        if state.messages >= self.limits.messages {
            return Err(BrokerError::LimitExceeded("max_queue_messages"));
        }
        if state.bytes + message.size() > self.limits.bytes {
            return Err(BrokerError::LimitExceeded("max_queue_bytes"));
        }
        let number = state.next_number;
        state.next_number += 1;
        state.messages += 1;
        state.bytes += message.size();
        state.ready.push_back(Item { number, message: message.clone(), deliveries: 0 });
        let delivered = state.dispatch();
        let is_stored = state.ready.back().is_some_and(|item| item.number == number);
        Ok(Published { delivered: usize::from(!is_stored), dropped: 0, is_stored })
    }
}
