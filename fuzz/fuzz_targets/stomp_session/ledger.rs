//! What has become of each message, as sessions, the broker and clients see it.
//!
//! Sessions ask a [`Watched`] broker, which numbers the messages in a header of its own. So it is known what has reached
//! the broker, to whom, and what may come of it.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard},
};

use axum_stomp::{
    AckMode, Headers, Message, MessageId, Outcome, Subscription,
    broker::{
        Broker, BrokerError, Connection, Published, Settlement, Source, Target,
        memory::{DeadLetter, MemoryBroker},
    },
    outbox::Subscriber,
};

/// The header with a message's number.
pub const NUMBER: &str = "x-n";

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fate {
    /// It is on its way to all, if it is a topic's. Otherwise it is in its queue, or a client's that has not settled it.
    Open,
    Refused,
    /// It is settled for good.
    Done,
    Dead,
}

#[derive(Debug)]
struct Entry {
    target: Target,
    /// Whether consumers compete for it.
    is_queued: bool,
    fate: Fate,
    is_read: bool,
    /// Who has read it and may settle it.
    holder: Option<(String, MessageId)>,
}

#[derive(Debug)]
struct Member {
    ack: AckMode,
    /// Whether it competes with others, so that what it settles has an effect.
    competes: bool,
    destination: String,
    prefetch: usize,
    is_open: bool,
    /// What the client has read of it.
    read: BTreeSet<u64>,
    /// What was settled of it, and whether for good.
    settled: BTreeMap<u64, bool>,
    /// All up to this number were settled, and whether for good.
    settled_to: Option<(u64, bool)>,
}

#[derive(Debug, Default)]
struct Session {
    is_closed: bool,
    members: HashMap<u32, Member>,
}

#[derive(Debug, Default)]
struct State {
    entries: BTreeMap<u64, Entry>,
    sessions: HashMap<String, Session>,
    /// The queues with consumers of `auto` mode: what was on its way to a client that has vanished is lost.
    auto: BTreeSet<String>,
    /// How many messages may have been settled by clients that have not read them.
    blind: usize,
}

#[derive(Debug, Default, Clone)]
pub struct Ledger(Arc<Mutex<State>>);

/// What waits when all clients have gone.
#[derive(Debug, Default)]
pub struct Waiting {
    /// By their queues, in order.
    pub queues: BTreeMap<String, BTreeSet<u64>>,
    /// How many of them may be gone.
    pub uncertain: usize,
}

impl Waiting {
    pub fn len(&self) -> usize {
        self.queues.values().map(BTreeSet::len).sum()
    }
}

impl Member {
    fn is_settled_by_client(&self) -> bool {
        self.competes && self.is_open && self.ack != AckMode::Auto
    }
}

impl State {
    fn release(&mut self, session: &str, mut is_released: impl FnMut(MessageId) -> bool, fate: Option<Fate>) {
        for entry in self.entries.values_mut() {
            let held = entry.holder.as_ref().filter(|(holder, id)| holder == session && is_released(*id));
            if held.is_some() {
                entry.holder = None;
                if let Some(fate) = fate {
                    assert_eq!(entry.fate, Fate::Open, "{entry:?}");
                    entry.fate = fate;
                }
            }
        }
    }
}

impl Ledger {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().expect("nobody panics")
    }

    fn offer(&self, target: &Target, is_queued: bool) -> u64 {
        let mut state = self.lock();
        let number = state.entries.len() as u64;
        let entry =
            Entry { target: target.clone(), is_queued, fate: Fate::Open, is_read: false, holder: None };
        state.entries.insert(number, entry);
        number
    }

    fn refuse(&self, number: u64) {
        if let Some(entry) = self.lock().entries.get_mut(&number) {
            entry.fate = Fate::Refused;
        }
    }

    pub fn dead(&self, dead: &DeadLetter) {
        let number = dead.message().headers().get(NUMBER).expect("all have one").parse().expect("a number");
        let mut state = self.lock();
        let entry = state.entries.get_mut(&number).expect("it was published");
        assert!(entry.fate == Fate::Open && entry.holder.is_none(), "{number} has died: {entry:?}");
        assert_eq!(entry.target, Target::Destination(dead.queue().into()));
        entry.fate = Fate::Dead;
    }

    fn subscribe(&self, session: &str, source: &Source, subscription: &Subscription, competes: bool) {
        let mut state = self.lock();
        let is_queue = |name: &str| competes && name.starts_with("/queue");
        let queue = match source {
            Source::Destination(name) if is_queue(name) => Some(name.to_string()),
            _ => None,
        };
        let member = Member {
            ack: subscription.ack(),
            competes: queue.is_some(),
            destination: subscription.destination().to_owned(),
            prefetch: subscription.prefetch().get(),
            is_open: true,
            read: BTreeSet::new(),
            settled: BTreeMap::new(),
            settled_to: None,
        };
        if subscription.ack() == AckMode::Auto {
            state.auto.extend(queue);
        }
        let members = &mut state.sessions.entry(session.to_owned()).or_default().members;
        assert!(members.insert(subscription.serial(), member).is_none(), "a serial is used twice");
    }

    fn unsubscribe(&self, session: &str, serial: u32) {
        let mut state = self.lock();
        let member = state.sessions.get_mut(session).and_then(|session| session.members.get_mut(&serial));
        if let Some(member) = member {
            member.is_open = false;
        }
        state.release(session, |id| id.subscription == serial, None);
    }

    fn settle(&self, session: &str, id: MessageId, settlement: Settlement) {
        let mut state = self.lock();
        let is_final = settlement == Settlement::Accepted;
        let found =
            state.sessions.get_mut(session).and_then(|session| session.members.get_mut(&id.subscription));
        let Some(member) = found.filter(|member| member.is_settled_by_client()) else { return };
        let first = if member.ack == AckMode::Client { 1 } else { id.number };
        let all = first..=id.number;
        let before = member.settled_to.map_or(0, |(number, _)| number);
        let unread = all.clone().filter(|number| {
            *number > before && !member.read.contains(number) && !member.settled.contains_key(number)
        });
        let unread: Vec<_> = unread.collect();
        if member.ack == AckMode::Client {
            // What was settled before one by one stays so.
            for number in &unread {
                member.settled.insert(*number, is_final);
            }
            member.settled_to = member.settled_to.max(Some((id.number, is_final)));
        } else {
            member.settled.entry(id.number).or_insert(is_final);
        }
        state.blind += unread.len();
        let is_released =
            |held: MessageId| held.subscription == id.subscription && all.contains(&held.number);
        state.release(session, is_released, is_final.then_some(Fate::Done));
    }

    fn close(&self, session: &str) {
        let mut state = self.lock();
        state.sessions.entry(session.to_owned()).or_default().is_closed = true;
        state.release(session, |_| true, None);
    }

    /// A client has read a message. Returns its target. Several clients may have got the same frame, which has no `id` of
    /// theirs, but not one of a queue.
    pub fn read(&self, session: &str, id: Option<MessageId>, number: u64, is_redelivered: bool) -> Target {
        let mut state = self.lock();
        let State { entries, sessions, .. } = &mut *state;
        let entry = entries.get_mut(&number).expect("it was published");
        assert_ne!(entry.fate, Fate::Refused, "{number} was refused: {entry:?}");
        if !entry.is_queued {
            assert!(!is_redelivered);
            return entry.target.clone();
        }
        let id = id.unwrap_or_else(|| panic!("{number} of a queue has the id of a topic's: {entry:?}"));
        let of_session = sessions.get_mut(session).expect("it has subscribed");
        let is_closed = of_session.is_closed;
        let member = of_session.members.get_mut(&id.subscription).expect("it has subscribed");
        assert!(member.read.insert(id.number), "{id} is read twice");
        let was_read = std::mem::replace(&mut entry.is_read, true);
        if member.ack == AckMode::Auto {
            // It is done by having been written.
            assert!(
                entry.fate == Fate::Open && entry.holder.is_none(),
                "{number} is read by {session} {id}: {entry:?}"
            );
            assert!(is_redelivered || !was_read, "{number} is read again by {session} {id}: {entry:?}");
            entry.fate = Fate::Done;
            return entry.target.clone();
        }
        let settled = member.settled.get(&id.number).copied();
        if let Some(is_final) = settled {
            if is_final {
                assert!(
                    entry.fate == Fate::Open && entry.holder.is_none(),
                    "{number} of {session} {id}: {entry:?}"
                );
                entry.fate = Fate::Done;
            }
        } else if member.is_open && !is_closed {
            assert!(
                entry.fate == Fate::Open && entry.holder.is_none(),
                "{number} is read by {session} {id}: {entry:?}"
            );
            assert!(is_redelivered || !was_read, "{number} is read again by {session} {id}: {entry:?}");
            entry.holder = Some((session.to_owned(), id));
        }
        entry.target.clone()
    }

    /// Nothing waits for consumers that have room. All is quiet, and these sessions have read all that they got.
    pub fn check_idle(&self, reading: &BTreeSet<&str>) {
        let state = self.lock();
        // Whether a consumer has room, and whether all have read what they got: one that does not read may have more.
        let mut rooms: BTreeMap<&str, (bool, bool)> = BTreeMap::new();
        if state.blind > 0 {
            return;
        }
        for (id, session) in state.sessions.iter().filter(|(_, session)| !session.is_closed) {
            for (serial, member) in
                session.members.iter().filter(|(_, member)| member.is_open && member.competes)
            {
                let is_held = |entry: &&Entry| {
                    let holder = entry.holder.as_ref();
                    holder.is_some_and(|(holder, held)| holder == id && held.subscription == *serial)
                };
                let held = state.entries.values().filter(is_held).count();
                let (has_room, all_read) = rooms.entry(&member.destination).or_insert((false, true));
                *has_room |= held < member.prefetch;
                *all_read &= reading.contains(&**id);
            }
        }
        // What was on its way to a consumer of `auto` mode that has left is lost.
        for session in state.sessions.values() {
            let of_auto = session.members.values().filter(|member| member.ack == AckMode::Auto);
            for member in of_auto.filter(|member| session.is_closed || !member.is_open) {
                rooms.remove(&*member.destination);
            }
        }
        for (number, entry) in &state.entries {
            if let (true, Fate::Open, None, Target::Destination(name)) =
                (entry.is_queued, entry.fate, &entry.holder, &entry.target)
            {
                assert_ne!(rooms.get(&**name), Some(&(true, true)), "{number} waits for nothing: {entry:?}");
            }
        }
    }

    /// What waits in queues.
    pub fn waiting(&self) -> Waiting {
        let state = self.lock();
        let mut waiting = Waiting { queues: BTreeMap::new(), uncertain: state.blind };
        for (number, entry) in &state.entries {
            if let (true, Fate::Open, Target::Destination(name)) =
                (entry.is_queued, entry.fate, &entry.target)
            {
                assert_eq!(entry.holder, None);
                waiting.uncertain += usize::from(state.auto.contains(&**name));
                waiting.queues.entry(name.to_string()).or_default().insert(*number);
            }
        }
        waiting
    }

    /// How many messages have been published.
    pub fn count(&self) -> u64 {
        self.lock().entries.len() as u64
    }

    /// The messages that have been published to topics from this number on, but for those refused.
    pub fn of_topics(&self, from: u64) -> Vec<u64> {
        let state = self.lock();
        let is_topic = |target: &Target| matches!(target, Target::Destination(name) if &**name == "/topic" || name.starts_with("/topic/"));
        let of_topics = state
            .entries
            .range(from..)
            .filter(|(_, entry)| entry.fate == Fate::Open && is_topic(&entry.target));
        of_topics.map(|(number, _)| *number).collect()
    }
}

/// A broker in memory whose messages are numbered and entered in a ledger.
pub struct Watched {
    pub inner: MemoryBroker,
    pub ledger: Ledger,
    pub competes: bool,
}

/// What a broker in memory answers, which never takes time.
fn now<T>(outcome: Outcome<T>) -> T {
    outcome.now().unwrap_or_else(|_| panic!("a broker in memory has its answers at once"))
}

/// Publishes a message with a number.
fn publish(
    ledger: &Ledger,
    competes: bool,
    target: Target,
    message: &Message,
    publish: impl FnOnce(Target, Arc<Message>) -> Outcome<Result<Published, BrokerError>>,
) -> Outcome<Result<Published, BrokerError>> {
    let is_queued = competes && matches!(&target, Target::Destination(name) if name.starts_with("/queue"));
    let number = ledger.offer(&target, is_queued);
    let mut headers = Headers::from_iter([(NUMBER.to_owned(), number.to_string())]);
    for (name, value) in message.headers().iter_shared() {
        headers.append(name.clone(), value.clone());
    }
    let numbered = Message::new(message.destination().to_owned(), &headers, message.body().clone());
    let published = now(publish(target, Arc::new(numbered)));
    if published.is_err() {
        ledger.refuse(number);
    }
    Outcome::ready(published)
}

impl Broker for Watched {
    fn has(&self, destination: &str) -> bool {
        self.inner.has(destination)
    }

    fn connect(&self, client: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
        let session = client.session().to_string();
        let (ledger, competes) = (self.ledger.clone(), self.competes);
        let connection = now(self.inner.connect(client)).map(|inner| {
            Box::new(WatchedConnection { inner, session, ledger, competes }) as Box<dyn Connection>
        });
        Outcome::ready(connection)
    }

    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        publish(&self.ledger, self.competes, target, &message, |target, message| {
            self.inner.publish(target, message)
        })
    }
}

struct WatchedConnection {
    inner: Box<dyn Connection>,
    session: String,
    ledger: Ledger,
    competes: bool,
}

impl Connection for WatchedConnection {
    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        publish(&self.ledger, self.competes, target, &message, |target, message| {
            self.inner.publish(target, message)
        })
    }

    fn subscribe(&self, source: Source, subscription: Arc<Subscription>) -> Outcome<Result<(), BrokerError>> {
        self.ledger.subscribe(&self.session, &source, &subscription, self.competes);
        self.inner.subscribe(source, subscription)
    }

    fn unsubscribe(&self, serial: u32) -> Outcome<Result<(), BrokerError>> {
        self.ledger.unsubscribe(&self.session, serial);
        self.inner.unsubscribe(serial)
    }

    fn settle(&self, id: MessageId, settlement: Settlement) -> Outcome<Result<(), BrokerError>> {
        self.ledger.settle(&self.session, id, settlement);
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
        self.ledger.close(&self.session);
    }
}
