//! A queue: each of its messages goes to one consumer.
//!
//! A message is in exactly one place: it is ready, or it is one consumer's that has not settled it. Those that are ready
//! are in the order of their numbers, so what is given back stands before what came later.
//!
//! Whenever the lock is free, either nothing is ready or no consumer has room.

use std::{
    collections::{BTreeMap, HashMap, VecDeque},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use super::{
    dead_letter::DeadLetterReason,
    store::{Share, Store},
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
    name: Box<str>,
    /// Since when the node owns it; `None` without other nodes.
    since: Option<Instant>,
    limits: QueueLimits,
    store: Arc<Store>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By their numbers.
    ready: BTreeMap<u64, Item>,
    next_number: u64,
    /// How many messages there are, with those that are not settled, and how large they are.
    messages: usize,
    bytes: usize,
    consumers: HashMap<ConsumerKey, Consumer>,
    next_consumer: u64,
    /// The consumers that have room, in turn. Some may have left.
    turns: VecDeque<ConsumerKey>,
    /// Whether it has been given up, as nobody used it: what is sent to its name goes to another queue.
    is_closed: bool,
}

/// A message that is kept.
#[derive(Debug)]
struct Item {
    number: u64,
    /// A copy, which shares nothing with others.
    message: Box<Message>,
    share: Share,
    /// How often it has been delivered to a client that had to acknowledge it.
    deliveries: u32,
    /// Whether a client may have seen it.
    is_redelivered: bool,
}

/// Names a consumer in its queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) struct ConsumerKey(u64);

#[derive(Debug)]
struct Consumer {
    subscriber: Subscriber,
    subscription: Arc<Subscription>,
    /// What it has not acknowledged, or in `auto` mode what has not been written, by its number in the subscription.
    unsettled: BTreeMap<u64, Item>,
    /// Whether its client is too slow, until it says otherwise.
    is_full: bool,
    /// Whether it gets nothing more, and is only kept for what it has.
    is_leaving: bool,
    /// Whether it stands in `turns`.
    has_turn: bool,
}

/// A message that is given up.
#[derive(Debug)]
pub(super) struct Dead {
    pub(super) message: Box<Message>,
    pub(super) deliveries: u32,
    pub(super) reason: DeadLetterReason,
}

/// What is left to do when the lock of a queue is free again.
#[derive(Debug, Default)]
#[must_use]
pub(super) struct After {
    pub(super) dead: Vec<Dead>,
    /// Whether the queue has neither messages nor consumers, now that one has left.
    pub(super) is_unused: bool,
    /// Who has left, to be dropped where no lock is held.
    consumers: Vec<Consumer>,
    settled: Vec<Item>,
}

impl After {
    /// Ends the sessions of those who have left, since the queue is given up.
    pub(super) fn refuse_consumers(&self, details: &'static str) {
        self.consumers.iter().for_each(|consumer| consumer.subscriber.refuse(details));
    }
}

/// The error of a queue that has been given up: its name is to be looked up again.
#[derive(Debug)]
pub(super) struct Closed;

impl Consumer {
    fn has_room(&self) -> bool {
        !self.is_full && !self.is_leaving && self.unsettled.len() < self.subscription.prefetch().get()
    }

    /// Takes the messages that are settled with the one that has this number.
    fn take(&mut self, number: u64) -> BTreeMap<u64, Item> {
        match self.subscription.ack() {
            AckMode::Client => {
                let behind = self.unsettled.split_off(&number.saturating_add(1));
                mem::replace(&mut self.unsettled, behind)
            }
            AckMode::ClientIndividual => self.unsettled.remove_entry(&number).into_iter().collect(),
            // These are settled by being written.
            AckMode::Auto => BTreeMap::new(),
        }
    }
}

impl Queue {
    pub(super) fn new(name: &str, since: Option<Instant>, limits: QueueLimits, store: Arc<Store>) -> Self {
        Self { name: name.into(), since, limits, store, state: Mutex::default() }
    }

    pub(super) fn since(&self) -> Option<Instant> {
        self.since
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Gives the queue up if it has neither messages nor consumers.
    pub(super) fn close_if_unused(&self) -> bool {
        let mut state = self.lock();
        state.is_closed |= state.is_unused();
        state.is_closed
    }

    /// Gives the queue up, with all that it has.
    pub(super) fn close(&self) -> After {
        let mut state = self.lock();
        state.is_closed = true;
        let keys: Vec<_> = state.consumers.keys().copied().collect();
        let mut after = After::default();
        for key in keys {
            let Some(mut consumer) = state.consumers.remove(&key) else { continue };
            state
                .ready
                .extend(mem::take(&mut consumer.unsettled).into_values().map(|item| (item.number, item)));
            after.consumers.push(consumer);
        }
        let ready = mem::take(&mut state.ready);
        let dead = ready.into_values().map(|item| state.give_up(item, DeadLetterReason::OwnedElsewhere));
        after.dead.extend(dead);
        after
    }

    /// Adds a message, and delivers it if a consumer has room.
    pub(super) fn publish(&self, message: &Message) -> Result<Result<Published, BrokerError>, Closed> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Closed);
        }
        if state.messages >= self.limits.messages {
            return Ok(Err(BrokerError::LimitExceeded("max_queue_messages")));
        }
        let size = Store::size(message);
        if state.bytes.saturating_add(size) > self.limits.bytes {
            return Ok(Err(BrokerError::LimitExceeded("max_queue_bytes")));
        }
        let Some(share) = self.store.reserve(size) else {
            return Ok(Err(BrokerError::LimitExceeded("max_total_queue_bytes")));
        };
        // What is ready goes first, and then nobody has room.
        let taken = if state.ready.is_empty() { state.offer(message, false) } else { None };
        let delivered = Published { delivered: 1, ..Published::default() };
        match taken {
            Some((_, Taken { is_kept: false, .. })) => Ok(Ok(delivered)),
            Some((key, taken)) => {
                let item = state.keep(message, share);
                state.hand_over(key, taken, item);
                Ok(Ok(delivered))
            }
            None => {
                let item = state.keep(message, share);
                state.ready.insert(item.number, item);
                Ok(Ok(Published { is_stored: true, ..Published::default() }))
            }
        }
    }

    /// Adds a consumer, and delivers what it has room for.
    pub(super) fn join(
        &self,
        subscriber: Subscriber,
        subscription: Arc<Subscription>,
    ) -> Result<ConsumerKey, Closed> {
        let mut state = self.lock();
        if state.is_closed {
            return Err(Closed);
        }
        let key = ConsumerKey(state.next_consumer);
        state.next_consumer += 1;
        let consumer = Consumer {
            subscriber,
            subscription,
            unsettled: BTreeMap::new(),
            is_full: false,
            is_leaving: false,
            has_turn: false,
        };
        state.consumers.insert(key, consumer);
        let settled = state.give_turn(key).dispatch();
        drop(state);
        drop(settled);
        Ok(key)
    }

    /// Ends a subscription, and gives back what its client has not acknowledged.
    ///
    /// In `auto` mode what has not been written yet is still on its way to the client, so it is not given back: the
    /// consumer stays until it is [written](Self::written), or [removed](Self::remove). Returns whether it has gone.
    pub(super) fn leave(&self, key: ConsumerKey) -> (After, bool) {
        let mut state = self.lock();
        match state.consumers.get_mut(&key) {
            Some(consumer)
                if consumer.subscription.ack() == AckMode::Auto && !consumer.unsettled.is_empty() =>
            {
                consumer.is_leaving = true;
                (After::default(), false)
            }
            _ => (state.remove(&[key], self.limits), true),
        }
    }

    /// Removes the consumers of a session that has ended, and gives back what they have not settled: in its old order,
    /// whichever of them had it, and to others.
    pub(super) fn remove(&self, keys: &[ConsumerKey]) -> After {
        self.lock().remove(keys, self.limits)
    }

    /// Settles a message of a consumer's, or in `client` mode all up to it. Those that have been settled before are no
    /// longer there.
    pub(super) fn settle(&self, key: ConsumerKey, number: u64, settlement: Settlement) -> After {
        let mut state = self.lock();
        let Some(consumer) = state.consumers.get_mut(&key) else { return After::default() };
        let items = consumer.take(number);
        if items.is_empty() {
            return After::default();
        }
        let mut after = After::default();
        match settlement {
            Settlement::Accepted => state.drop_items(items.into_values(), &mut after.settled),
            Settlement::Rejected { requeue: false } => {
                let dead = items.into_values().map(|item| state.give_up(item, DeadLetterReason::Rejected));
                after.dead.extend(dead);
            }
            Settlement::Rejected { requeue: true } => {
                state.give_back(items.into_values(), self.limits, &mut after.dead);
            }
        }
        after.settled.append(&mut state.give_turn(key).dispatch());
        after
    }

    /// A message of a consumer's has been written, which settles it in `auto` mode. Returns whether the consumer had left
    /// and has nothing more now.
    pub(super) fn written(&self, key: ConsumerKey, number: u64) -> (After, bool) {
        let mut state = self.lock();
        let mut after = After::default();
        let Some(consumer) = state.consumers.get_mut(&key) else { return (after, false) };
        if consumer.subscription.ack() != AckMode::Auto {
            return (after, false);
        }
        let Some(item) = consumer.unsettled.remove(&number) else { return (after, false) };
        let has_left = consumer.is_leaving && consumer.unsettled.is_empty();
        state.drop_items([item], &mut after.settled);
        if has_left {
            let settled = mem::take(&mut after.settled);
            after = state.remove(&[key], self.limits);
            after.settled.extend(settled);
        } else {
            after.settled.append(&mut state.give_turn(key).dispatch());
        }
        (after, has_left)
    }

    /// The client of a consumer has caught up.
    pub(super) fn has_room(&self, key: ConsumerKey) -> After {
        let mut state = self.lock();
        if let Some(consumer) = state.consumers.get_mut(&key) {
            consumer.is_full = false;
        }
        let settled = state.give_turn(key).dispatch();
        After { settled, ..After::default() }
    }
}

/// How a consumer has taken a message.
#[derive(Debug, Clone, Copy)]
struct Taken {
    /// Its number in the subscription.
    number: u64,
    /// Whether it is the consumer's until it is settled: otherwise it has been settled by being written.
    is_kept: bool,
}

impl State {
    fn is_unused(&self) -> bool {
        self.messages == 0 && self.consumers.is_empty()
    }

    fn keep(&mut self, message: &Message, share: Share) -> Item {
        let number = self.next_number;
        self.next_number += 1;
        self.messages += 1;
        self.bytes += share.bytes();
        let message = Box::new(message.detached());
        Item { number, message, share, deliveries: 0, is_redelivered: false }
    }

    /// Gives a consumer the last turn, if it has room.
    fn give_turn(&mut self, key: ConsumerKey) -> &mut Self {
        if let Some(consumer) = self.consumers.get_mut(&key) {
            if consumer.has_room() && !mem::replace(&mut consumer.has_turn, true) {
                self.turns.push_back(key);
            }
        }
        self
    }

    /// Delivers a message to the next consumer that takes it.
    ///
    /// One that does not is not asked again before something has changed for it.
    fn offer(&mut self, message: &Message, is_redelivered: bool) -> Option<(ConsumerKey, Taken)> {
        while let Some(key) = self.turns.pop_front() {
            let Some(consumer) = self.consumers.get_mut(&key) else { continue };
            consumer.has_turn = false;
            if !consumer.has_room() {
                continue;
            }
            let delivered = consumer.subscriber.try_deliver(&consumer.subscription, message, is_redelivered);
            let taken = match delivered {
                Delivered::Sent(id) => {
                    Taken { number: id.number, is_kept: consumer.subscription.ack() != AckMode::Auto }
                }
                Delivered::Queued(id) => Taken { number: id.number, is_kept: true },
                Delivered::Full => {
                    consumer.is_full = true;
                    continue;
                }
                Delivered::Gone => {
                    consumer.is_leaving = true;
                    continue;
                }
            };
            if !taken.is_kept {
                self.give_turn(key);
            }
            return Some((key, taken));
        }
        None
    }

    /// Lets a consumer have a message that it has taken.
    fn hand_over(&mut self, key: ConsumerKey, taken: Taken, mut item: Item) {
        let Some(consumer) = self.consumers.get_mut(&key) else { return };
        // It is rarely delivered again.
        item.message.forget_encoded();
        item.is_redelivered = true;
        item.deliveries += u32::from(consumer.subscription.ack() != AckMode::Auto);
        consumer.unsettled.insert(taken.number, item);
        self.give_turn(key);
    }

    /// Delivers what is ready to consumers that have room, and returns what is settled by that.
    fn dispatch(&mut self) -> Vec<Item> {
        let mut settled = Vec::new();
        while !self.turns.is_empty() {
            let Some((_, mut item)) = self.ready.pop_first() else { break };
            let Some((key, taken)) = self.offer(&item.message, item.is_redelivered) else {
                // It has been encoded for nobody, and may wait for long.
                item.message.forget_encoded();
                self.ready.insert(item.number, item);
                break;
            };
            if taken.is_kept {
                self.hand_over(key, taken, item);
            } else {
                self.drop_items([item], &mut settled);
            }
        }
        settled
    }

    fn forget(&mut self, item: &Item) {
        self.messages -= 1;
        self.bytes -= item.share.bytes();
    }

    fn drop_items(&mut self, items: impl IntoIterator<Item = Item>, settled: &mut Vec<Item>) {
        for item in items {
            self.forget(&item);
            settled.push(item);
        }
    }

    fn give_up(&mut self, item: Item, reason: DeadLetterReason) -> Dead {
        self.forget(&item);
        Dead { message: item.message, deliveries: item.deliveries, reason }
    }

    /// Makes messages ready again, but for those that have been delivered too often.
    fn give_back(
        &mut self,
        items: impl IntoIterator<Item = Item>,
        limits: QueueLimits,
        dead: &mut Vec<Dead>,
    ) {
        for item in items {
            if item.deliveries >= limits.deliveries {
                dead.push(self.give_up(item, DeadLetterReason::Deliveries));
            } else {
                self.ready.insert(item.number, item);
            }
        }
    }

    fn remove(&mut self, keys: &[ConsumerKey], limits: QueueLimits) -> After {
        let mut after = After::default();
        for key in keys {
            let Some(mut consumer) = self.consumers.remove(key) else { continue };
            let unsettled = mem::take(&mut consumer.unsettled);
            self.give_back(unsettled.into_values(), limits, &mut after.dead);
            after.consumers.push(consumer);
        }
        // They may have turns left. Room for these is bounded by the consumers that there are.
        if self.turns.len() > 2 * self.consumers.len() + 16 {
            self.turns.retain(|key| self.consumers.contains_key(key));
        }
        after.settled = self.dispatch();
        after.is_unused = self.is_unused();
        after
    }
}

#[cfg(test)]
impl Queue {
    /// Checks what holds whenever the lock is free. Returns how many messages there are, and their bytes.
    pub(super) fn check(&self) -> (usize, usize) {
        let state = self.lock();
        let unsettled = || state.consumers.values().flat_map(|consumer| consumer.unsettled.values());
        let mut numbers: Vec<_> = state.ready.values().chain(unsettled()).map(|item| item.number).collect();
        let bytes: usize = state.ready.values().chain(unsettled()).map(|item| item.share.bytes()).sum();
        numbers.sort_unstable();
        assert!(numbers.is_sorted_by(|a, b| a < b), "a message is in two places: {numbers:?}");
        assert_eq!((numbers.len(), bytes), (state.messages, state.bytes));
        assert!(!state.is_unused() && !state.is_closed);
        assert!(state.turns.len() <= 2 * state.consumers.len() + 17, "{} turns", state.turns.len());
        let mut messages = state.ready.values().chain(unsettled()).map(|item| &item.message);
        assert!(messages.all(|message| !message.is_encoded()), "a message is kept twice");
        for (key, consumer) in &state.consumers {
            assert!(consumer.unsettled.len() <= consumer.subscription.prefetch().get());
            assert!(state.ready.is_empty() || !consumer.has_room(), "a message waits for nothing");
            let turns = state.turns.iter().filter(|turn| *turn == key).count();
            assert_eq!(turns, usize::from(consumer.has_turn));
            assert!(consumer.has_turn || !consumer.has_room(), "a consumer has lost its turn");
        }
        (state.messages, state.bytes)
    }
}
