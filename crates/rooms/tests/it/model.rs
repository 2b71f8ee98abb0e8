//! Random operations on rooms, beside a naive model of them: who gets what, who is there, and what has been told.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use axum_sockjs::{Pair, Peer, Session};
use axum_sockjs_rooms::{Event, Events, History, Member, Outcome, Position, PresenceWatch, Rooms, Tab};
use proptest::{collection::vec, option, prelude::*};
use tokio::runtime::Runtime;

use crate::support::texts;

type Named = Rooms<String, String, u8>;

/// Two tabs each of two users, and two guests.
const USERS: [Option<&str>; 6] = [Some("ada"), Some("ada"), Some("bob"), Some("bob"), None, None];
/// The last two keep their messages.
const KEYS: [&str; 4] = ["a", "b", "kept", "also kept"];
const KEPT: usize = 2;
const LAST: usize = 4;
const KEEP: Duration = Duration::from_secs(60);

#[derive(Debug, Clone)]
enum Op {
    Enter(usize),
    Exit(usize),
    Join { session: usize, key: usize, data: u8, last: usize, since: Option<u8> },
    Leave(usize, usize),
    SetData(usize, usize, u8),
    Send { key: usize, except: Option<usize>, is_transient: bool },
    SendByMember { session: usize, key: usize, to_others: bool },
    SendToUser(usize),
    SendToAll,
    Wait(u8),
    ReadEvents,
    ReadChanges(usize),
}

fn op() -> impl Strategy<Value = Op> {
    let session = || 0..USERS.len();
    let key = || 0..KEYS.len();
    prop_oneof![
        1 => session().prop_map(Op::Enter),
        1 => session().prop_map(Op::Exit),
        8 => (session(), key(), 0..3_u8, 0..6_usize, option::of(0..8_u8))
            .prop_map(|(session, key, data, last, since)| Op::Join { session, key, data, last, since }),
        5 => (session(), key()).prop_map(|(session, key)| Op::Leave(session, key)),
        2 => (session(), key(), 0..3_u8).prop_map(|(session, key, data)| Op::SetData(session, key, data)),
        5 => (key(), option::of(session()), prop::bool::weighted(0.2))
            .prop_map(|(key, except, is_transient)| Op::Send { key, except, is_transient }),
        4 => (session(), key(), any::<bool>())
            .prop_map(|(session, key, to_others)| Op::SendByMember { session, key, to_others }),
        1 => session().prop_map(Op::SendToUser),
        1 => Just(Op::SendToAll),
        2 => (0..50_u8).prop_map(Op::Wait),
        1 => Just(Op::ReadEvents),
        2 => key().prop_map(Op::ReadChanges),
    ]
}

/// A room as it ought to be.
#[derive(Default)]
struct Model {
    /// The sessions with their data, in the order in which they have joined.
    members: Vec<(usize, u8)>,
    /// All messages of the stream of now.
    log: Vec<String>,
    /// How often the log has been forgotten.
    stream: usize,
    /// Whether somebody has joined since it was forgotten last.
    was_used: bool,
    /// When the log is forgotten, in seconds.
    until: Option<u64>,
}

impl Model {
    fn first(&self) -> usize {
        self.log.len().saturating_sub(LAST)
    }
}

struct World {
    runtime: Runtime,
    rooms: Named,
    sessions: Vec<(Session, Peer)>,
    tabs: Vec<Option<Tab<String, String, u8>>>,
    members: BTreeMap<(usize, usize), Member<String, String, u8>>,
    models: [Model; KEYS.len()],
    /// What each session is to get.
    expected: Vec<Vec<String>>,
    /// The positions that the rooms have named: of which room, stream and number.
    positions: Vec<(usize, usize, usize, Position)>,
    now: u64,
    sent: usize,
    events: Events<String, String, u8>,
    told_rooms: BTreeSet<String>,
    told_users: BTreeSet<String>,
    /// Watching keeps a room, so that only the rooms without history are watched.
    watches: Vec<PresenceWatch<String, String, u8>>,
    told_present: Vec<BTreeMap<String, Vec<u8>>>,
}

fn kept(number: usize, text: &str) -> String {
    format!("{number}:{text}")
}

impl World {
    fn new() -> Self {
        let runtime =
            tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap();
        let rooms = Named::builder()
            .history_of(|key| key.ends_with("kept").then(|| History::last(LAST).keep(KEEP)))
            .encode(|position, message| kept(position.number() as usize, message.as_str().unwrap()).into())
            .build();
        let open = |user: &Option<&str>| match user {
            Some(user) => Pair::new().identity((*user).to_owned()).open(),
            None => Pair::new().open(),
        };
        let events = rooms.events();
        let watches: Vec<_> =
            KEYS[..KEPT].iter().map(|key| rooms.watch(*key, Duration::ZERO).unwrap()).collect();
        Self {
            runtime,
            sessions: USERS.iter().map(open).collect(),
            tabs: USERS.iter().map(|_| None).collect(),
            members: BTreeMap::new(),
            models: Default::default(),
            expected: vec![Vec::new(); USERS.len()],
            positions: Vec::new(),
            now: 0,
            sent: 0,
            events,
            told_rooms: BTreeSet::new(),
            told_users: BTreeSet::new(),
            told_present: vec![BTreeMap::new(); watches.len()],
            watches,
            rooms,
        }
    }

    fn is_known(&self, session: usize) -> bool {
        self.tabs[session].is_some() || self.models.iter().any(|room| room.has(session))
    }

    fn text(&mut self) -> String {
        self.sent += 1;
        format!("message {}", self.sent)
    }

    fn run(&mut self, op: &Op) {
        match *op {
            Op::Enter(session) => {
                let tab = self.rooms.enter(&self.sessions[session].0).unwrap();
                assert_eq!(tab.user().map(String::as_str), USERS[session]);
                self.tabs[session] = Some(tab);
            }
            Op::Exit(session) => self.tabs[session] = None,
            Op::Join { session, key, data, last, since } => self.join(session, key, data, last, since),
            Op::Leave(session, key) => {
                // The clock is the runtime's.
                let guard = self.runtime.enter();
                let member = self.members.remove(&(session, key));
                drop(member);
                drop(guard);
                if self.models[key].has(session) {
                    self.models[key].members.retain(|(member, _)| *member != session);
                    self.touch(key);
                }
            }
            Op::SetData(session, key, data) => {
                if let Some(member) = self.members.get(&(session, key)) {
                    member.set_data(data);
                    let known = self.models[key].members.iter_mut().find(|(member, _)| *member == session);
                    known.unwrap().1 = data;
                }
            }
            Op::Send { key, except, is_transient } => {
                let text = self.text();
                let guard = self.runtime.enter();
                let mut to = self.rooms.to(KEYS[key]);
                if is_transient {
                    to = to.transient();
                }
                if let Some(except) = except {
                    to = to.except(&self.sessions[except].0);
                }
                let sent = to.send(text.as_str());
                drop(guard);
                self.expect(key, &text, except, is_transient, sent.delivered, sent.position);
            }
            Op::SendByMember { session, key, to_others } => {
                let text = self.text();
                let Some(member) = self.members.get(&(session, key)) else { return };
                let guard = self.runtime.enter();
                let sent =
                    if to_others { member.send_to_others(text.as_str()) } else { member.send(text.as_str()) };
                drop(guard);
                self.expect(key, &text, to_others.then_some(session), false, sent.delivered, sent.position);
            }
            Op::SendToUser(session) => {
                let text = self.text();
                let Some(user) = USERS[session] else { return };
                let delivered = self.rooms.send_to_user(user, text.as_str()).delivered;
                self.expect_by(&text, delivered, |world, other| {
                    USERS[other] == Some(user) && world.is_known(other)
                });
            }
            Op::SendToAll => {
                let text = self.text();
                let delivered = self.rooms.send_to_all(text.as_str()).delivered;
                self.expect_by(&text, delivered, Self::is_known);
            }
            Op::Wait(seconds) => {
                self.now += u64::from(seconds);
                self.runtime.block_on(tokio::time::advance(Duration::from_secs(seconds.into())));
                for model in &mut self.models {
                    if model.until.is_some_and(|until| until <= self.now) {
                        model.until = None;
                        model.log.clear();
                        model.was_used = false;
                        model.stream += 1;
                    }
                }
            }
            Op::ReadEvents => self.read_events(),
            Op::ReadChanges(key) => self.read_changes(key % KEPT),
        }
    }

    /// A room that has said something and has no members is kept from now on.
    fn touch(&mut self, key: usize) {
        let model = &mut self.models[key];
        let is_idle = key >= KEPT && model.members.is_empty() && model.is_used();
        model.until = is_idle.then_some(self.now + KEEP.as_secs());
    }

    fn join(&mut self, session: usize, key: usize, data: u8, last: usize, since: Option<u8>) {
        let since = match since {
            Some(at) if key >= KEPT => {
                self.positions.get(usize::from(at) * self.positions.len() / 8).copied()
            }
            _ => None,
        };
        let mut join = self.rooms.join_with(&self.sessions[session].0, KEYS[key], data);
        if key >= KEPT {
            join = join.last(last).since(since.map(|(.., position)| position));
        }
        let joined = self.runtime.block_on(join.into_future());
        let model = &mut self.models[key];
        if model.has(session) {
            assert_eq!(joined.unwrap_err(), axum_sockjs_rooms::JoinError::AlreadyJoined);
            return;
        }
        let member = joined.unwrap();
        model.until = None;
        model.was_used = true;
        if key >= KEPT {
            let known = since.filter(|&(of, stream, number, _)| {
                (of, stream) == (key, model.stream) && number >= model.first() && number <= model.log.len()
            });
            let start = known
                .map_or(model.log.len() - last.min(model.log.len().min(LAST)), |(_, _, number, _)| number);
            let expected = model.log.iter().enumerate().skip(start);
            self.expected[session].extend(expected.map(|(at, text)| kept(at + 1, text)));
            let recovery = member.recovery().unwrap();
            let outcome = match (since, known) {
                (None, _) => Outcome::New,
                (_, Some(_)) => Outcome::Whole,
                (_, None) => Outcome::Gone,
            };
            assert_eq!((recovery.outcome, recovery.position.number()), (outcome, start as u64));
            self.positions.push((key, model.stream, start, recovery.position));
        }
        model.members.push((session, data));
        self.members.insert((session, key), member);
    }

    fn expect(
        &mut self,
        key: usize,
        text: &str,
        except: Option<usize>,
        is_transient: bool,
        delivered: usize,
        position: Option<Position>,
    ) {
        let model = &mut self.models[key];
        let mut wire = text.to_owned();
        assert_eq!(position.is_some(), key >= KEPT && !is_transient);
        if let Some(position) = position {
            model.log.push(text.to_owned());
            wire = kept(model.log.len(), text);
            self.positions.push((key, model.stream, model.log.len(), position));
        }
        let mut got = 0;
        for &(session, _) in model.members.iter().filter(|(session, _)| Some(*session) != except) {
            self.expected[session].push(wire.clone());
            got += 1;
        }
        assert_eq!(delivered, got);
        // A message by name looks for the room, which then is used.
        self.touch(key);
    }

    fn expect_by(&mut self, text: &str, delivered: usize, gets: impl Fn(&Self, usize) -> bool) {
        let who: Vec<_> = (0..USERS.len()).filter(|&session| gets(self, session)).collect();
        assert_eq!(delivered, who.len());
        for session in who {
            self.expected[session].push(text.to_owned());
        }
    }

    fn occupied(&self) -> BTreeSet<String> {
        let occupied = self.models.iter().enumerate().filter(|(_, room)| !room.members.is_empty());
        occupied.map(|(key, _)| KEYS[key].to_owned()).collect()
    }

    fn online(&self) -> BTreeSet<String> {
        let online = (0..USERS.len()).filter(|&session| self.is_known(session));
        online.filter_map(|session| USERS[session].map(str::to_owned)).collect()
    }

    /// Each event changes what was known, and all of them together make it right.
    fn read_events(&mut self) {
        while let Some(event) = self.events.try_next() {
            let is_news = match event {
                Event::RoomOccupied(key) => self.told_rooms.insert(key),
                Event::RoomVacated(key) => self.told_rooms.remove(&key),
                Event::UserOnline(user) => self.told_users.insert(user),
                Event::UserOffline(user) => self.told_users.remove(&user),
                _ => false,
            };
            assert!(is_news);
        }
        assert_eq!((&self.told_rooms, &self.told_users), (&self.occupied(), &self.online()));
    }

    /// The data of each user's tabs. Guests are told apart by their ids.
    fn present(&self, key: usize) -> BTreeMap<String, Vec<u8>> {
        let mut present = BTreeMap::<String, Vec<u8>>::new();
        for &(session, data) in &self.models[key].members {
            let id = self.sessions[session].0.id().to_string();
            present.entry(USERS[session].map_or(id, str::to_owned)).or_default().push(data);
        }
        present
    }

    fn read_changes(&mut self, key: usize) {
        let told = &mut self.told_present[key];
        let mut next = Box::pin(self.watches[key].next());
        let mut cx = std::task::Context::from_waker(std::task::Waker::noop());
        let guard = self.runtime.enter();
        if let std::task::Poll::Ready(changes) = next.as_mut().poll(&mut cx) {
            let name = |present: &axum_sockjs_rooms::Present<String, u8>| {
                present.user.clone().unwrap_or_else(|| present.tabs[0].id.to_string())
            };
            let data = |present: &axum_sockjs_rooms::Present<String, u8>| -> Vec<u8> {
                present.tabs.iter().map(|tab| tab.data).collect()
            };
            for present in &changes.joined {
                assert_eq!(told.insert(name(present), data(present)), None);
            }
            for present in &changes.updated {
                assert!(told.insert(name(present), data(present)).is_some());
            }
            for present in &changes.left {
                assert_eq!(told.remove(&name(present)), Some(data(present)));
            }
        }
        drop(next);
        drop(guard);
        assert_eq!(self.told_present[key], self.present(key));
    }

    fn check(&mut self) {
        for (session, (_, peer)) in self.sessions.iter_mut().enumerate() {
            assert_eq!(texts(peer), self.expected[session], "of session {session}");
            self.expected[session].clear();
        }
        let _guard = self.runtime.enter();
        let stats = self.rooms.stats();
        assert_eq!(stats.members, self.members.len());
        assert_eq!(stats.sessions, (0..USERS.len()).filter(|&session| self.is_known(session)).count());
        assert_eq!((stats.occupied_rooms, stats.users), (self.occupied().len(), self.online().len()));
        // Those without history are watched.
        let is_there = |room: &&Model| !room.members.is_empty() || room.is_used();
        assert_eq!(stats.rooms, KEPT + self.models[KEPT..].iter().filter(is_there).count());
        for (key, room) in KEYS.iter().zip(&self.models) {
            assert_eq!(self.rooms.len(*key), room.members.len());
        }
        let is_some = |model: &Model| model.log.len().min(LAST) > 0;
        assert_eq!(stats.history_bytes > 0, self.models.iter().any(is_some));
        for (key, name) in KEYS.iter().enumerate() {
            let present: BTreeMap<_, _> = self
                .rooms
                .presence(*name)
                .into_iter()
                .map(|present| {
                    let id = present.tabs[0].id.to_string();
                    (present.user.unwrap_or(id), present.tabs.iter().map(|tab| tab.data).collect())
                })
                .collect();
            assert_eq!(present, self.present(key));
        }
    }
}

impl Model {
    fn is_used(&self) -> bool {
        self.was_used || !self.log.is_empty()
    }

    fn has(&self, session: usize) -> bool {
        self.members.iter().any(|(member, _)| *member == session)
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rooms_are_what_the_model_says(ops in vec(op(), 1..120)) {
        let mut world = World::new();
        for op in &ops {
            world.run(op);
            world.check();
        }
        world.read_events();
        let guard = world.runtime.enter();
        world.members.clear();
        world.tabs.clear();
        drop(world.watches);
        let stats = world.rooms.stats();
        prop_assert_eq!((stats.members, stats.sessions, stats.users, stats.occupied_rooms), (0, 0, 0, 0));
        drop(guard);
        world.runtime.block_on(tokio::time::advance(KEEP));
        let _guard = world.runtime.enter();
        prop_assert_eq!((world.rooms.stats().rooms, world.rooms.stats().history_bytes), (0, 0));
    }
}
