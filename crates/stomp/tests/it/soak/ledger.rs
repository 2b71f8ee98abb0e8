//! What becomes of each message of a queue, as clients and the broker's callers see it.
//!
//! Sessions ask a [`Watched`] broker, so it is known what has reached the broker whether the client has learnt of it or
//! not. Which message an acknowledgement names is known from the client, which has read it before.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    sync::{Arc, Mutex, MutexGuard},
};

use axum_stomp::{
    Bytes, Message, MessageId, Outcome, Subscription,
    broker::{
        Broker, BrokerError, Connection, Published, Settlement, Source, Target,
        memory::{DeadLetter, MemoryBroker},
    },
    outbox::Subscriber,
};

/// The prefix of the queues whose messages are acknowledged, and that of the others.
pub(super) const QUEUE: &str = "/queue/acknowledged/";
pub(super) const AUTO: &str = "/queue/auto/";

/// What has become of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is in its queue, or a consumer's that has not acknowledged it.
    Waits,
    /// The broker has refused it.
    Refused,
    Acknowledged,
    /// It has been given up.
    Dead,
}

#[derive(Debug)]
struct Entry {
    fate: Fate,
    /// Whether a client has read it.
    is_read: bool,
    is_auto: bool,
}

#[derive(Debug, Default)]
struct State {
    entries: HashMap<u64, Entry>,
    /// The messages that sessions have read and may acknowledge.
    held: HashMap<String, BTreeMap<MessageId, u64>>,
    failures: Vec<String>,
}

/// What the messages of queues have come to.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(super) struct Sums {
    pub(super) accepted: usize,
    pub(super) refused: usize,
    pub(super) acknowledged: usize,
    pub(super) dead: usize,
    pub(super) waiting: usize,
    /// Those of queues that nobody acknowledges.
    pub(super) auto: usize,
}

/// The messages that wait in their queues.
#[derive(Debug, Default)]
pub(super) struct Waiting {
    pub(super) certain: HashSet<u64>,
    /// Those that nobody acknowledges: what was on its way to a client that has vanished is lost.
    auto: HashSet<u64>,
}

#[derive(Debug, Default, Clone)]
pub(super) struct Ledger(Arc<Mutex<State>>);

/// The body of a message: its number, how long the rest is, and that.
pub(super) fn body(number: u64, length: usize) -> String {
    format!("{number} {length} {}", "z".repeat(length))
}

/// The number of a message whose body is whole.
pub(super) fn number(body: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(body).ok()?;
    let mut parts = text.splitn(3, ' ');
    let number = parts.next()?.parse().ok()?;
    let length: usize = parts.next()?.parse().ok()?;
    (parts.next()?.len() == length).then_some(number)
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics with it")
    }

    /// Notes something that may not be. It is told at the end.
    pub(super) fn fail(&self, failure: String) {
        self.lock().failures.push(failure);
    }

    pub(super) fn failures(&self) -> Vec<String> {
        self.lock().failures.clone()
    }

    fn offered(&self, number: u64, is_auto: bool) {
        let entry = Entry { fate: Fate::Waits, is_read: false, is_auto };
        let before = self.lock().entries.insert(number, entry);
        if let Some(before) = before {
            self.fail(format!("message {number} was published twice: {before:?}"));
        }
    }

    fn refused(&self, number: u64) {
        self.end(number, Fate::Refused);
    }

    fn end(&self, number: u64, fate: Fate) {
        let mut state = self.lock();
        let failure = match state.entries.get_mut(&number) {
            Some(entry) if entry.fate == Fate::Waits => {
                entry.fate = fate;
                return;
            }
            found => format!("message {number} is {fate:?} now, and was {found:?}"),
        };
        state.failures.push(failure);
    }

    /// A client has read a message. Returns what cannot be, if the client's session has not ended meanwhile.
    pub(super) fn read(
        &self,
        session: &str,
        id: MessageId,
        number: u64,
        redelivered: bool,
    ) -> Option<String> {
        let mut state = self.lock();
        let Some(entry) = state.entries.get_mut(&number) else {
            return Some(format!("message {number} was never published"));
        };
        let wrong = (entry.fate != Fate::Waits || (entry.is_read && !redelivered)).then(|| {
            format!("message {number} came to {session} ({id}, redelivered: {redelivered}): {entry:?}")
        });
        entry.is_read = true;
        if !entry.is_auto {
            state.held.entry(session.to_owned()).or_default().insert(id, number);
        }
        wrong
    }

    /// Whether a message has reached the broker.
    pub(super) fn is_published(&self, number: u64) -> bool {
        self.lock().entries.contains_key(&number)
    }

    pub(super) fn is_acknowledged(&self, number: u64) -> bool {
        self.lock().entries.get(&number).is_some_and(|entry| entry.fate == Fate::Acknowledged)
    }

    /// A session has settled messages: `ids` takes them from those that it holds.
    fn settled(
        &self,
        session: &str,
        ids: impl FnOnce(&mut BTreeMap<MessageId, u64>) -> Vec<u64>,
        is_taken: bool,
    ) {
        let numbers = self.lock().held.get_mut(session).map(ids).unwrap_or_default();
        if is_taken {
            for number in numbers {
                self.end(number, Fate::Acknowledged);
            }
        }
    }

    pub(super) fn dead(&self, dead: &DeadLetter) {
        match number(dead.message().body()) {
            Some(number) => self.end(number, Fate::Dead),
            None => self.fail(format!("a dead letter is not whole: {dead:?}")),
        }
    }

    /// What there is when all clients have gone, before the queues are emptied.
    pub(super) fn sum(&self) -> (Sums, Waiting) {
        let state = self.lock();
        let (mut sums, mut waiting) = (Sums::default(), Waiting::default());
        for (number, entry) in &state.entries {
            sums.accepted += usize::from(entry.fate != Fate::Refused);
            sums.auto += usize::from(entry.is_auto);
            match entry.fate {
                Fate::Refused => sums.refused += 1,
                Fate::Acknowledged => sums.acknowledged += 1,
                Fate::Dead => sums.dead += 1,
                Fate::Waits if entry.is_auto => _ = waiting.auto.insert(*number),
                Fate::Waits => _ = waiting.certain.insert(*number),
            }
        }
        sums.waiting = waiting.certain.len();
        (sums, waiting)
    }

    /// Ends a part of the run, in whose queues these messages were left: what had not been acknowledged.
    pub(super) fn close(&self, mut waiting: Waiting, left: &[u64]) {
        let mut state = self.lock();
        state.entries = HashMap::new();
        state.held = HashMap::new();
        for number in left {
            if !waiting.certain.remove(number) && !waiting.auto.remove(number) {
                state.failures.push(format!("message {number} is left, and may not be"));
            }
        }
        state.failures.extend(waiting.certain.iter().map(|number| format!("message {number} is lost")));
    }
}

/// A broker in memory whose messages of queues are entered in a ledger.
pub(super) struct Watched {
    inner: MemoryBroker,
    ledger: Ledger,
}

impl Watched {
    pub(super) fn new(inner: MemoryBroker, ledger: Ledger) -> Self {
        Self { inner, ledger }
    }
}

impl Broker for Watched {
    fn has(&self, destination: &str) -> bool {
        self.inner.has(destination)
    }

    fn connect(&self, client: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
        let session = client.session().to_string();
        let connection = now(self.inner.connect(client)).map(|inner| {
            let ledger = self.ledger.clone();
            let modes = Mutex::default();
            Box::new(WatchedConnection { inner, session, ledger, modes }) as Box<dyn Connection>
        });
        Outcome::ready(connection)
    }

    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        self.inner.publish(target, message)
    }
}

/// What a broker in memory answers, which never takes time.
fn now<T>(outcome: Outcome<T>) -> T {
    outcome.now().unwrap_or_else(|_| panic!("a broker in memory has its answers at once"))
}

struct WatchedConnection {
    inner: Box<dyn Connection>,
    session: String,
    ledger: Ledger,
    /// Whether acknowledgements of the queues that are subscribed to cover earlier messages.
    modes: Mutex<HashMap<u32, bool>>,
}

impl Connection for WatchedConnection {
    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        let queued = match &target {
            Target::Destination(name) if name.starts_with(QUEUE) || name.starts_with(AUTO) => {
                Some(name.starts_with(AUTO))
            }
            _ => None,
        };
        let Some(is_auto) = queued else { return self.inner.publish(target, message) };
        let Some(number) = number(message.body()) else {
            self.ledger.fail(format!("a body is not whole: {:?}", Bytes::clone(message.body())));
            return self.inner.publish(target, message);
        };
        // A client may read it before this returns.
        self.ledger.offered(number, is_auto);
        let published = now(self.inner.publish(target, message));
        if published.is_err() {
            self.ledger.refused(number);
        }
        Outcome::ready(published)
    }

    fn subscribe(&self, source: Source, subscription: Arc<Subscription>) -> Outcome<Result<(), BrokerError>> {
        let covers = subscription.ack() == axum_stomp::AckMode::Client;
        self.modes.lock().expect("nobody panics with it").insert(subscription.serial(), covers);
        self.inner.subscribe(source, subscription)
    }

    fn unsubscribe(&self, serial: u32) -> Outcome<Result<(), BrokerError>> {
        // Others may acknowledge before this returns what it gives back.
        self.modes.lock().expect("nobody panics with it").remove(&serial);
        self.inner.unsubscribe(serial)
    }

    fn settle(&self, id: MessageId, settlement: Settlement) -> Outcome<Result<(), BrokerError>> {
        let covers = self.modes.lock().expect("nobody panics with it").get(&id.subscription).copied();
        // Nothing happens for one that has ended.
        if let Some(covers) = covers {
            let first = MessageId { number: if covers { 0 } else { id.number }, ..id };
            let take = |held: &mut BTreeMap<MessageId, u64>| {
                let ids: Vec<_> = held.range(first..=id).map(|(id, _)| *id).collect();
                ids.iter().filter_map(|id| held.remove(id)).collect()
            };
            self.ledger.settled(&self.session, take, settlement == Settlement::Accepted);
        }
        self.inner.settle(id, settlement)
    }

    fn written(&self, id: MessageId) {
        self.inner.written(id);
    }

    fn has_room(&self) {
        self.inner.has_room();
    }
}

impl Drop for WatchedConnection {
    fn drop(&mut self) {
        // What is read of it from now on is not acknowledged.
        self.ledger.lock().held.remove(&self.session);
    }
}
