//! A client's connection to a broker in memory.

use std::{
    collections::{BTreeMap, HashMap},
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
};

use super::{
    queue::{After, ConsumerKey, Queue},
    queues::{Owned, Place as Consumer},
    shared::{Place, Shared},
    topics::{self, Membership, TopicLimits, Topics},
    users::Own,
};
use crate::{
    broker::{BrokerError, Connection, Published, Settlement, Source, Target},
    message::Message,
    outbox::Subscriber,
    outcome::Outcome,
    subscription::{MessageId, Subscription},
};

/// A client's connection to a broker in memory.
pub(super) struct MemoryConnection {
    shared: Arc<Shared>,
    subscriber: Subscriber,
    own: Arc<Own>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the serial numbers of the subscriptions.
    members: BTreeMap<u32, Member>,
    /// How many of them are to patterns.
    patterns: usize,
    /// Where [`Connection::has_room`] begins, so that each of the queues is the first one in turn.
    turn: u32,
}

/// What a subscription belongs to.
#[derive(Debug)]
enum Member {
    Topic(Membership),
    Own(Membership),
    Queue(Consumer),
    /// It has ended, and something is still on its way to the client.
    Leaving(Consumer),
}

impl Member {
    fn consumer(&self) -> Option<&Consumer> {
        match self {
            Self::Queue(consumer) | Self::Leaving(consumer) => Some(consumer),
            Self::Topic(_) | Self::Own(_) => None,
        }
    }

    fn is_pattern(&self) -> bool {
        matches!(self, Self::Topic(membership) | Self::Own(membership) if membership.is_pattern)
    }

    fn is_leaving(&self) -> bool {
        matches!(self, Self::Leaving(_))
    }
}

impl MemoryConnection {
    pub(super) fn new(shared: Arc<Shared>, subscriber: Subscriber) -> Self {
        // The patterns of a session have a bound of their own.
        let limits = TopicLimits { patterns: usize::MAX, ..shared.settings.topics };
        let topics = Topics::new(shared.settings.prefixes.separator, limits);
        let own = Arc::new(Own::new(&subscriber, topics));
        shared.users.add(&own);
        Self { shared, subscriber, own, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn consumer(&self, serial: u32) -> Option<Consumer> {
        self.lock().members.get(&serial)?.consumer().cloned()
    }

    /// The name of the user, or of a session without a user its id.
    pub(super) fn own_name(&self) -> &str {
        &self.own.name
    }

    /// Begins a subscription. `owned` says whether a queue may be made for it; `false` if there is none.
    pub(super) fn join(
        &self,
        source: &Source,
        owned: Option<Owned>,
        subscription: &Arc<Subscription>,
    ) -> Result<bool, BrokerError> {
        // What is delivered meanwhile, and settled by another task, waits until the subscription is found.
        let mut state = self.lock();
        let serial = subscription.serial();
        if state.members.contains_key(&serial) {
            return Err(BrokerError::InvalidDestination("the number of the subscription is in use"));
        }
        let (subscriber, shared) = (&self.subscriber, &self.shared);
        if let Source::User(destination) | Source::Destination(destination) = source {
            let has_all = state.patterns >= shared.settings.max_patterns_per_session;
            if has_all && topics::pattern(destination, shared.settings.prefixes.separator).is_some() {
                return Err(BrokerError::LimitExceeded("max_patterns_per_session"));
            }
        }
        let member = match source {
            Source::User(destination) => {
                Member::Own(self.own.topics.join(destination, subscriber.clone(), subscription.clone())?)
            }
            // Nobody guesses its name, so it is as good as its own.
            Source::Temporary(name) => {
                Member::Topic(shared.topics.join(name, subscriber.clone(), subscription.clone())?)
            }
            Source::Destination(destination) => match shared.place(destination)? {
                Place::Topic => Member::Topic(shared.topics.join(
                    destination,
                    subscriber.clone(),
                    subscription.clone(),
                )?),
                Place::Queue => match shared.queues.join(destination, owned, subscriber, subscription)? {
                    Some(consumer) => Member::Queue(consumer),
                    None => return Ok(false),
                },
            },
        };
        state.patterns += usize::from(member.is_pattern());
        state.members.insert(serial, member);
        shared.subscriptions.fetch_add(1, Ordering::Relaxed);
        Ok(true)
    }

    pub(super) fn leave(&self, serial: u32) {
        let left = {
            let mut state = self.lock();
            let Some(member) = state.members.get(&serial) else { return };
            match member {
                Member::Leaving(_) => return,
                Member::Queue(consumer) => {
                    let consumer = consumer.clone();
                    let (after, is_gone) = consumer.queue.leave(consumer.key);
                    if is_gone {
                        state.members.remove(&serial);
                    } else {
                        state.members.insert(serial, Member::Leaving(consumer.clone()));
                    }
                    Left::Queue(consumer, after)
                }
                Member::Topic(_) | Member::Own(_) => {
                    let member = state.members.remove(&serial);
                    state.patterns -= usize::from(member.as_ref().is_some_and(Member::is_pattern));
                    Left::Topic(member)
                }
            }
        };
        self.shared.subscriptions.fetch_sub(1, Ordering::Relaxed);
        match left {
            Left::Queue(consumer, after) => self.shared.after(&consumer.queue, after),
            Left::Topic(member) => self.leave_topic(member.as_ref()),
        }
    }

    fn leave_topic(&self, member: Option<&Member>) {
        match member {
            Some(Member::Topic(membership)) => self.shared.topics.leave(membership),
            Some(Member::Own(membership)) => self.own.topics.leave(membership),
            Some(Member::Queue(_) | Member::Leaving(_)) | None => {}
        }
    }
}

/// What has been left, while the connection's lock was held.
enum Left {
    Topic(Option<Member>),
    Queue(Consumer, After),
}

impl Connection for MemoryConnection {
    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        Outcome::ready(self.shared.publish(&target, &message))
    }

    fn subscribe(&self, source: Source, subscription: Arc<Subscription>) -> Outcome<Result<(), BrokerError>> {
        Outcome::ready(self.join(&source, Some(Owned::ALONE), &subscription).map(drop))
    }

    fn unsubscribe(&self, serial: u32) -> Outcome<Result<(), BrokerError>> {
        self.leave(serial);
        Outcome::ready(Ok(()))
    }

    fn settle(&self, id: MessageId, settlement: Settlement) -> Outcome<Result<(), BrokerError>> {
        if let Some(consumer) = self.consumer(id.subscription) {
            let after = consumer.queue.settle(consumer.key, id.number, settlement);
            self.shared.after(&consumer.queue, after);
        }
        Outcome::ready(Ok(()))
    }

    fn written(&self, id: MessageId) {
        let Some(consumer) = self.consumer(id.subscription) else { return };
        let (after, is_gone) = consumer.queue.written(consumer.key, id.number);
        if is_gone {
            let member = self.lock().members.remove(&id.subscription);
            if member.is_some_and(|member| !member.is_leaving()) {
                self.shared.subscriptions.fetch_sub(1, Ordering::Relaxed);
            }
        }
        self.shared.after(&consumer.queue, after);
    }

    fn has_room(&self) {
        let consumers: Vec<_> = {
            let mut state = self.lock();
            let State { members, turn, .. } = &mut *state;
            let mut in_turn = members
                .range(*turn..)
                .chain(members.range(..*turn))
                .filter_map(|(serial, member)| Some((serial, member.consumer()?)))
                .peekable();
            *turn = in_turn.peek().map_or(0, |(serial, _)| serial.saturating_add(1));
            in_turn.map(|(_, consumer)| consumer.clone()).collect()
        };
        for consumer in consumers {
            let after = consumer.queue.has_room(consumer.key);
            self.shared.after(&consumer.queue, after);
        }
    }
}

impl Drop for MemoryConnection {
    fn drop(&mut self) {
        self.shared.users.remove(&self.own);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        let members = mem::take(&mut state.members);
        let count = members.values().filter(|member| !member.is_leaving()).count();
        self.shared.subscriptions.fetch_sub(count, Ordering::Relaxed);
        let (mut queues, mut places) = (Vec::<(&Arc<Queue>, Vec<ConsumerKey>)>::new(), HashMap::new());
        for member in members.values() {
            match member.consumer() {
                Some(Consumer { queue, key }) => {
                    let place = *places.entry(Arc::as_ptr(queue)).or_insert(queues.len());
                    if place == queues.len() {
                        queues.push((queue, Vec::new()));
                    }
                    queues[place].1.push(*key);
                }
                None => self.leave_topic(Some(member)),
            }
        }
        // All of them before an application's function is called.
        let left: Vec<_> = queues.into_iter().map(|(queue, keys)| (queue, queue.remove(&keys))).collect();
        for (queue, after) in left {
            self.shared.after(queue, after);
        }
    }
}
