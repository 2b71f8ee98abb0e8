//! Some nodes on a network that loses, delays and cuts, under a clock of its own.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

use proptest::{collection::vec, prelude::*};

use super::*;
use crate::nodes::{bounds::MIN_BYTES, wire};

type Node = Cluster<u8, u8, u32>;

const SLOTS: usize = 4;
const ROOMS: u8 = 3;
const USERS: u8 = 3;
const TIMING: Timing = Timing { dead_after: Duration::from_secs(10), batch: Duration::from_millis(20) };
const BOUNDS: Bounds = Bounds { nodes: 100, entries: 10_000 };
/// The most that a message is on its way.
const DELAY: u64 = 400;
/// Small, so that snapshots have parts.
const MAX_PAYLOAD: usize = 150;

/// Who is where: for each session the user, and the data in each room.
type Truth = BTreeMap<TabId, (Option<u8>, BTreeMap<u8, u32>)>;

struct World {
    now: Instant,
    slots: [Option<Slot>; SLOTS],
    /// By the time at which they arrive, and the order in which they were sent.
    flying: BTreeMap<(Instant, u64), (NodeId, usize, Vec<u8>)>,
    /// When the last message from a node to a slot arrives: the next does not overtake it.
    last: HashMap<(NodeId, usize), Instant>,
    cut: BTreeSet<(usize, usize)>,
    drop_percent: u64,
    delay: u64,
    dice: u64,
    serial: u64,
    boots: u8,
}

struct Slot {
    id: NodeId,
    node: Node,
    truth: Truth,
    /// What is known of others, as far as changes were told.
    seen: BTreeMap<Touched<u8, u8>, String>,
    is_asleep: bool,
}

impl PartialOrd for Touched<u8, u8> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Touched<u8, u8> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        format!("{self:?}").cmp(&format!("{other:?}"))
    }
}

impl Slot {
    /// What the node knows of a room or user.
    fn view(&self, of: &Touched<u8, u8>) -> String {
        match of {
            Touched::Room(room) => {
                let members = self.node.known().members(room).unwrap_or_default();
                let members =
                    members.values().map(|member| (member.id, member.user.as_deref(), *member.data));
                format!("{:?}", members.collect::<BTreeSet<_>>())
            }
            Touched::User(user) => self.node.known().tabs_of(user).count().to_string(),
        }
    }

    /// The same, as it should be with these other nodes.
    fn expected<'a>(of: &Touched<u8, u8>, others: impl Iterator<Item = &'a Truth>) -> String {
        let tabs = others.flatten();
        match of {
            Touched::Room(room) => {
                let members =
                    tabs.filter_map(|(&id, (user, rooms))| Some((id, user.as_ref(), *rooms.get(room)?)));
                format!("{:?}", members.collect::<BTreeSet<_>>())
            }
            Touched::User(user) => tabs.filter(|(_, (of, _))| *of == Some(**user)).count().to_string(),
        }
    }
}

impl World {
    fn new(seed: u64) -> Self {
        let mut world = Self {
            now: Instant::now(),
            slots: Default::default(),
            flying: BTreeMap::new(),
            last: HashMap::new(),
            cut: BTreeSet::new(),
            drop_percent: 0,
            delay: 1,
            dice: seed,
            serial: 0,
            boots: 0,
        };
        (0..SLOTS).for_each(|slot| world.start(slot));
        world
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides.max(1)
    }

    /// A process starts at an address, where another one may have been.
    fn start(&mut self, slot: usize) {
        self.boots += 1;
        let id = NodeId::from_bytes([self.boots; 16]);
        let mut node = Cluster::new(id, Some(format!("10.0.0.{slot}")), TIMING, BOUNDS, self.now);
        node.greet();
        self.slots[slot] =
            Some(Slot { id, node, truth: Truth::new(), seen: BTreeMap::new(), is_asleep: false });
        self.send(slot);
    }

    /// What a node has to send goes onto the network.
    fn send(&mut self, from: usize) {
        let Some(slot) = &mut self.slots[from] else { return };
        for of in slot.node.take_touched() {
            let view = slot.view(&of);
            slot.seen.insert(of, view);
        }
        let id = slot.id;
        for message in slot.node.take_outbox() {
            let (written, left_out) = wire::encode(&message, MAX_PAYLOAD);
            assert_eq!(left_out, 0);
            for bytes in written {
                for to in (0..SLOTS).filter(|&to| to != from) {
                    let is_lost = self.roll(100) < self.drop_percent;
                    if is_lost || self.cut.contains(&(from.min(to), from.max(to))) {
                        continue;
                    }
                    let due = self.now + Duration::from_millis(self.roll(self.delay));
                    let last = self.last.entry((id, to)).or_insert(due);
                    *last = due.max(*last);
                    self.serial += 1;
                    self.flying.insert((*last, self.serial), (id, to, bytes.clone()));
                }
            }
        }
    }

    fn advance(&mut self, time: Duration) {
        let until = self.now + time;
        loop {
            let awake = |slot: &Slot| (!slot.is_asleep).then(|| slot.node.next_due());
            let due = self.slots.iter().flatten().filter_map(awake).min();
            let arrives = self.flying.keys().next().map(|&(at, _)| at);
            let next = due.into_iter().chain(arrives).min().filter(|&next| next <= until);
            let Some(next) = next else { break };
            self.now = self.now.max(next);
            if let Some(arriving) = self.flying.first_entry().filter(|first| first.key().0 <= self.now) {
                let (from, to, bytes) = arriving.remove();
                if let Some(slot) = self.slots[to].as_mut().filter(|slot| !slot.is_asleep) {
                    slot.node.receive(from, wire::decode(bytes.into()).unwrap(), self.now);
                }
                self.send(to);
                continue;
            }
            for slot in 0..SLOTS {
                if let Some(at) = self.slots[slot].as_mut().filter(|slot| !slot.is_asleep) {
                    at.node.tick(self.now);
                    assert!(at.node.next_due() > self.now, "a timer that fires again at once");
                }
                self.send(slot);
            }
        }
        self.now = until;
    }

    fn operate(&mut self, slot: usize, op: Op<u8, u8, u32>) {
        let now = self.now;
        let Some(at) = &mut self.slots[slot] else { return };
        match op.clone() {
            Op::Enter(id, user) => _ = at.truth.insert(id, (user, BTreeMap::new())),
            Op::Exit(id) => _ = at.truth.remove(&id),
            Op::Join(id, room, data) => {
                if let Some((_, rooms)) = at.truth.get_mut(&id) {
                    rooms.insert(room, data);
                }
            }
            Op::Leave(id, room) => {
                if let Some((_, rooms)) = at.truth.get_mut(&id) {
                    rooms.remove(&room);
                }
            }
            Op::Nothing => {}
        }
        at.node.operate(op, now);
        self.send(slot);
    }

    fn step(&mut self, step: Step) {
        match step {
            Step::Operate(slot, op) => self.operate(slot, op),
            Step::Pass(millis) => self.advance(Duration::from_millis(millis)),
            Step::Crash(slot) => self.slots[slot] = None,
            Step::Stop(slot) => {
                if let Some(at) = &mut self.slots[slot] {
                    at.node.outbox.push(Message::Bye);
                    self.send(slot);
                    self.slots[slot] = None;
                }
            }
            Step::Start(slot) => self.start(slot),
            Step::Sleep(slot, is_asleep) => {
                if let Some(at) = &mut self.slots[slot] {
                    at.is_asleep = is_asleep;
                }
            }
            Step::Cut(one, other) => _ = self.cut.insert((one.min(other), one.max(other))),
            Step::Heal => self.cut.clear(),
            Step::Faults(drop_percent, delay) => (self.drop_percent, self.delay) = (drop_percent, delay),
        }
    }

    /// Faults stop. After the stated time everybody knows the truth.
    fn settle(&mut self) {
        (self.drop_percent, self.delay) = (0, 1);
        self.cut.clear();
        self.slots.iter_mut().flatten().for_each(|slot| slot.is_asleep = false);
        self.advance(TIMING.dead_after + Duration::from_millis(DELAY));
        self.check();
    }

    fn check(&self) {
        for (at, slot) in self.slots.iter().enumerate() {
            let Some(slot) = slot else { continue };
            let others = || {
                self.slots
                    .iter()
                    .enumerate()
                    .filter(|&(other, _)| other != at)
                    .filter_map(|(_, slot)| slot.as_ref())
            };
            assert_eq!(slot.node.nodes(), others().count(), "nodes that {at} knows");
            let rooms = (0..ROOMS).map(|room| Touched::Room(Arc::new(room)));
            for of in rooms.chain((0..USERS).map(|user| Touched::User(Arc::new(user)))) {
                let expected = Slot::expected(&of, others().map(|other| &other.truth));
                assert_eq!(slot.view(&of), expected, "{of:?} at {at}");
                // Whoever was told of each change knows the same.
                let nothing = Slot::expected(&of, [].into_iter());
                assert_eq!(slot.seen.get(&of).unwrap_or(&nothing), &expected, "changes of {of:?} at {at}");
            }
            let entries = others().flat_map(|other| other.truth.values()).map(|(_, rooms)| 1 + rooms.len());
            assert_eq!(slot.node.held.entries, entries.sum::<usize>());
            let bytes = slot.node.peers.values().map(|peer| peer.replica.size().bytes);
            assert_eq!((slot.node.held.bytes, slot.node.arriving), (bytes.sum(), Size::default()));
        }
    }
}

#[derive(Debug, Clone)]
enum Step {
    Operate(usize, Op<u8, u8, u32>),
    Pass(u64),
    Crash(usize),
    Stop(usize),
    Start(usize),
    Sleep(usize, bool),
    Cut(usize, usize),
    Heal,
    Faults(u64, u64),
}

fn op() -> impl Strategy<Value = Op<u8, u8, u32>> {
    let id = 0_u128..6;
    prop_oneof![
        3 => (id.clone(), any::<bool>(), 0..USERS).prop_map(|(id, has, user)| Op::Enter(id, has.then_some(user))),
        1 => id.clone().prop_map(Op::Exit),
        6 => (id.clone(), 0..ROOMS, any::<u32>()).prop_map(|(id, room, data)| Op::Join(id, room, data)),
        2 => (id, 0..ROOMS).prop_map(|(id, room)| Op::Leave(id, room)),
    ]
}

/// Sessions of different nodes have different ids.
#[allow(clippy::needless_pass_by_value, reason = "its callers have made it")]
fn own(slot: usize, op: Op<u8, u8, u32>) -> Op<u8, u8, u32> {
    let own = |id: TabId| id * SLOTS as u128 + slot as u128;
    match op {
        Op::Enter(id, user) => Op::Enter(own(id), user),
        Op::Exit(id) => Op::Exit(own(id)),
        Op::Join(id, room, data) => Op::Join(own(id), room, data),
        Op::Leave(id, room) => Op::Leave(own(id), room),
        Op::Nothing => Op::Nothing,
    }
}

fn step() -> impl Strategy<Value = Step> {
    let slot = 0..SLOTS;
    prop_oneof![
        40 => (slot.clone(), op()).prop_map(|(slot, op)| Step::Operate(slot, own(slot, op))),
        10 => (0_u64..500).prop_map(Step::Pass),
        4 => (500_u64..12_000).prop_map(Step::Pass),
        1 => slot.clone().prop_map(Step::Crash),
        1 => slot.clone().prop_map(Step::Stop),
        3 => slot.clone().prop_map(Step::Start),
        2 => (slot.clone(), any::<bool>()).prop_map(|(slot, is_asleep)| Step::Sleep(slot, is_asleep)),
        2 => (slot.clone(), slot).prop_map(|(one, other)| Step::Cut(one, other)),
        1 => Just(Step::Heal),
        2 => (0_u64..60, 1..DELAY).prop_map(|(drop, delay)| Step::Faults(drop, delay)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn after_the_faults_everybody_knows_the_truth(steps in vec(step(), 1..80), seed: u64) {
        let mut world = World::new(seed);
        for step in steps {
            world.step(step);
        }
        world.settle();
        // And from then on at once.
        world.operate(0, own(0, Op::Enter(1, Some(1))));
        world.operate(0, own(0, Op::Join(1, 1, 7)));
        world.advance(Duration::from_millis(100));
        world.check();
    }
}

fn enter_and_join(world: &mut World, slot: usize) {
    for id in 0..5 {
        world.operate(slot, own(slot, Op::Enter(id, Some(1))));
        world.operate(slot, own(slot, Op::Join(id, 1, 7)));
    }
}

fn members(world: &World, at: usize) -> usize {
    world.slots[at].as_ref().unwrap().node.known().members(&1).map_or(0, |members| members.len())
}

#[test]
fn what_happens_is_known_after_a_batch() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    world.advance(Duration::from_millis(19));
    assert_eq!(members(&world, 1), 0);
    world.advance(Duration::from_millis(2));
    assert_eq!(members(&world, 1), 5);
    world.check();
    let counts = world.slots[1].as_ref().unwrap().node.counts();
    assert_eq!((counts.holes, counts.dead), (0, 0), "{counts:?}");
}

#[test]
fn a_dead_node_is_gone_after_the_stated_time_and_one_that_stops_at_once() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    enter_and_join(&mut world, 1);
    world.advance(Duration::from_secs(60));
    assert_eq!(members(&world, 2), 10);
    world.step(Step::Stop(1));
    world.advance(Duration::from_millis(1));
    assert_eq!(members(&world, 2), 5);
    world.step(Step::Crash(0));
    world.advance(Duration::from_millis(7400));
    assert_eq!(members(&world, 2), 5, "it may come back");
    world.advance(Duration::from_millis(2600));
    assert_eq!(members(&world, 2), 0);
    assert_eq!(world.slots[2].as_ref().unwrap().node.counts().dead, 1);
    world.check();
}

#[test]
fn who_starts_at_the_address_of_a_dead_node_replaces_it_at_once() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    world.advance(Duration::from_secs(1));
    world.step(Step::Start(0));
    world.advance(Duration::from_millis(2));
    assert_eq!((members(&world, 1), world.slots[1].as_ref().unwrap().node.nodes()), (0, 3));
}

#[test]
fn who_came_later_knows_addresses_too() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    world.advance(Duration::from_secs(1));
    world.start(1);
    world.advance(Duration::from_secs(3));
    assert_eq!(members(&world, 1), 5);
    world.start(0);
    world.advance(Duration::from_millis(2));
    assert_eq!((members(&world, 1), world.slots[1].as_ref().unwrap().node.nodes()), (0, 3));
}

#[test]
fn another_node_of_the_same_name_is_noticed_once() {
    let now = Instant::now();
    let name = |name: &str| Some(name.to_owned());
    let mut node: Node = Cluster::new(NodeId::from_bytes([0; 16]), name("one"), TIMING, BOUNDS, now);
    let [same, other] = [1, 2].map(|id| NodeId::from_bytes([id; 16]));
    let beat = |address| Message::Beat { version: 0, address };
    for (from, message, noticed) in [
        (other, beat(name("two")), None),
        (other, beat(None), None),
        (same, Message::Hello { version: 0, address: name("one") }, Some(same)),
        (same, beat(name("one")), None),
        (other, beat(name("one")), Some(other)),
    ] {
        node.receive(from, message, now);
        assert_eq!(node.take_namesake(), noticed);
    }
    let mut unnamed: Node = Cluster::new(NodeId::from_bytes([0; 16]), None, TIMING, BOUNDS, now);
    unnamed.receive(same, beat(None), now);
    assert_eq!(unnamed.take_namesake(), None);
}

#[test]
fn who_starts_knows_all_others_at_once() {
    let mut world = World::new(1);
    (0..3).for_each(|slot| enter_and_join(&mut world, slot));
    world.advance(Duration::from_secs(60));
    world.step(Step::Start(3));
    world.advance(Duration::from_millis(30));
    assert_eq!(members(&world, 3), 15);
    world.check();
}

#[test]
fn many_who_ask_get_one_snapshot() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    world.advance(Duration::from_secs(60));
    let before = world.slots[0].as_ref().unwrap().node.counts().snapshots;
    (1..SLOTS).for_each(|slot| world.start(slot));
    world.advance(Duration::from_secs(60));
    assert_eq!(world.slots[0].as_ref().unwrap().node.counts().snapshots, before + 1);
    world.check();
}

#[test]
fn nothing_is_missing_around_a_snapshot() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    world.advance(Duration::from_secs(60));
    world.start(3);
    for _ in 0..10 {
        world.advance(Duration::from_millis(7));
        enter_and_join(&mut world, 0);
    }
    world.advance(Duration::from_millis(100));
    world.check();
    for slot in 1..SLOTS {
        assert_eq!(world.slots[slot].as_ref().unwrap().node.counts().holes, 0);
    }
}

#[test]
fn a_snapshot_without_one_of_its_parts_is_none() {
    let start = Instant::now();
    let mut node = Node::new(NodeId::from_bytes([0; 16]), None, TIMING, BOUNDS, start);
    let from = NodeId::from_bytes([1; 16]);
    let part = |index, is_last| {
        let records = vec![Record { revision: 1, op: Op::Enter(u128::from(index), Some(1)) }];
        Message::Snapshot { version: 9, part: Part { index, is_last }, records }
    };
    node.take_outbox();
    node.receive(from, Message::Beat { version: 9, address: None }, start);
    assert_eq!(node.take_outbox(), [Message::Want { node: from }]);
    for (index, is_last) in [(0, false), (2, true), (1, false), (2, true)] {
        node.receive(from, part(index, is_last), start);
    }
    assert_eq!(node.known().tabs_of(&1).count(), 0);
    let later = start + TIMING.retry();
    node.tick(later);
    assert_eq!(node.take_outbox(), [Message::Want { node: from }]);
    for index in 0..3 {
        assert_eq!(node.known().tabs_of(&1).count(), 0);
        node.receive(from, part(index, index == 2), later);
    }
    assert_eq!(node.known().tabs_of(&1).count(), 3);
}

#[test]
fn a_snapshot_that_never_comes_is_asked_for_ever_more_rarely() {
    let start = Instant::now();
    let mut node = Node::new(NodeId::from_bytes([0; 16]), None, TIMING, BOUNDS, start);
    let from = NodeId::from_bytes([1; 16]);
    let mut asked = Vec::new();
    for tick in 0..400 {
        let now = start + tick * Duration::from_millis(100);
        node.receive(from, Message::Beat { version: 9, address: None }, now);
        node.tick(now);
        if node.take_outbox().contains(&Message::Want { node: from }) {
            asked.push(tick);
        }
    }
    assert_eq!(asked[..5], [0, 13, 38, 88, 138]);
    assert!(asked.windows(2).skip(2).all(|pair| pair[1] - pair[0] == 50), "{asked:?}");
    // One that comes ends it, and the next time begins anew.
    let now = start + Duration::from_secs(40);
    let whole = |version| Message::Snapshot { version, part: Part::WHOLE, records: Vec::new() };
    node.receive(from, whole(9), now);
    node.receive(from, Message::Beat { version: 10, address: None }, now);
    assert_eq!(node.take_outbox(), [Message::Want { node: from }]);
    node.tick(now + TIMING.retry());
    assert!(node.take_outbox().contains(&Message::Want { node: from }));
}

#[test]
fn what_nobody_takes_is_bounded_and_told_as_a_snapshot() {
    let mut world = World::new(1);
    world.advance(Duration::from_secs(1));
    let now = world.now;
    let at = world.slots[0].as_mut().unwrap();
    at.node.enter(Own { id: 4, tab: 0, user: None }, now);
    let held = |node: &Node| node.outbox.len() * MAX_PENDING + node.pending.len();
    for data in 0..100_000 {
        at.node.operate(Op::Join(4, 1, data), now);
        assert!(held(&at.node) <= (MAX_OUTBOX + 1) * MAX_PENDING);
    }
    at.truth.insert(4, (None, BTreeMap::from([(1, 99_999)])));
    world.send(0);
    world.advance(Duration::from_secs(2));
    world.check();
}

#[test]
fn who_has_been_asleep_does_not_take_the_others_for_dead() {
    let mut world = World::new(1);
    enter_and_join(&mut world, 0);
    world.advance(Duration::from_secs(1));
    world.step(Step::Sleep(1, true));
    world.advance(Duration::from_secs(60));
    assert_eq!(world.slots[2].as_ref().unwrap().node.nodes(), 2, "it is silent");
    world.step(Step::Sleep(1, false));
    world.advance(Duration::from_millis(1));
    assert_eq!((members(&world, 1), world.slots[1].as_ref().unwrap().node.counts().dead), (5, 0));
    world.settle();
}

#[test]
fn what_others_say_is_bounded() {
    let now = Instant::now();
    let bounds = Bounds { nodes: 3, entries: 10 };
    let mut node = Node::new(NodeId::from_bytes([0; 16]), None, TIMING, bounds, now);
    for peer in 1..10 {
        let from = NodeId::from_bytes([peer; 16]);
        let records = (0..20).map(|id| Record { revision: 1, op: Op::Enter(id, None) }).collect();
        node.receive(from, Message::Beat { version: u64::MAX, address: None }, now);
        node.receive(from, Message::Snapshot { version: u64::MAX, part: Part::WHOLE, records }, now);
        let ops = (20..40).map(|id| Op::Enter(id, None)).collect();
        node.receive(from, Message::Delta { version: u64::MAX, ops }, now);
    }
    assert_eq!((node.nodes(), node.held.entries), (3, 10));
    assert!(node.counts().refused > 100);
    node.tick(now + Duration::from_secs(3));
    node.tick(now + Duration::from_secs(6));
    node.tick(now + Duration::from_secs(10));
    assert_eq!((node.nodes(), node.held.entries), (0, 0));
}

fn bounded(entries: usize, now: Instant) -> Node {
    Node::new(NodeId::from_bytes([0; 16]), None, TIMING, Bounds { nodes: 100, entries }, now)
}

fn delta(version: u64, ops: Vec<Op<u8, u8, u32>>) -> Message<u8, u8, u32> {
    Message::Delta { version, ops }
}

#[test]
fn snapshots_that_never_end_are_bounded_together() {
    let now = Instant::now();
    let mut node = bounded(10, now);
    for peer in 1..50 {
        let from = NodeId::from_bytes([peer; 16]);
        let records = (0..9).map(|id| Record { revision: 1, op: Op::Enter(id, None) }).collect();
        let part = Part { index: 0, is_last: false };
        node.receive(from, Message::Snapshot { version: 9, part, records }, now);
    }
    assert_eq!((node.arriving.entries, node.held.entries), (10, 0));
    node.tick(now + TIMING.retry());
    assert_eq!(node.arriving, Size::default(), "nobody goes on");
}

#[test]
fn what_others_say_is_bounded_in_bytes() {
    let now = Instant::now();
    let mut node = bounded(10, now);
    let from = NodeId::from_bytes([1; 16]);
    let large = |version, ops: Vec<Op<u8, u8, u32>>| Received {
        sizes: vec![MIN_BYTES / 2; ops.len()],
        message: delta(version, ops),
        unreadable: 0,
    };
    node.receive(from, large(0, vec![Op::Enter(1, None), Op::Enter(2, None), Op::Enter(3, Some(1))]), now);
    assert_eq!((node.held, node.counts().refused), (Size { entries: 2, bytes: MIN_BYTES }, 1));
    node.receive(from, large(3, vec![Op::Exit(1), Op::Enter(3, Some(1))]), now);
    assert_eq!((node.held.entries, node.known().tabs_of(&1).count()), (2, 1));
}

#[test]
fn what_is_known_changes_also_at_the_bound() {
    let now = Instant::now();
    let mut node = bounded(3, now);
    let from = NodeId::from_bytes([1; 16]);
    let data = |node: &Node| {
        let members = node.known().members(&1).unwrap_or_default();
        members.values().map(|member| *member.data).collect::<Vec<_>>()
    };
    node.receive(from, delta(0, vec![Op::Enter(1, Some(1)), Op::Enter(2, None), Op::Join(1, 1, 7)]), now);
    node.receive(from, delta(3, vec![Op::Join(1, 1, 8), Op::Join(2, 1, 9)]), now);
    assert_eq!((data(&node), node.counts().refused), (vec![8], 1));
    node.receive(from, delta(5, vec![Op::Enter(1, Some(2))]), now);
    assert_eq!((node.known().tabs_of(&1).count(), node.known().tabs_of(&2).count()), (0, 1));
    // Larger ones do not fit: those that were there are no longer so.
    node.receive(from, delta(6, vec![Op::Join(1, 1, 1)]), now);
    let message = delta(7, vec![Op::Join(1, 1, 2)]);
    node.receive(from, Received { message, sizes: vec![MIN_BYTES + 1], unreadable: 0 }, now);
    assert_eq!((data(&node), node.held.entries), (vec![], 2));
}

#[test]
fn what_was_refused_is_asked_for_once_there_is_room() {
    let start = Instant::now();
    let mut node = bounded(8, start);
    let [full, refused] = [1, 2].map(|peer| NodeId::from_bytes([peer; 16]));
    node.receive(full, delta(0, (0..8).map(|id| Op::Enter(id, None)).collect()), start);
    node.receive(refused, delta(0, vec![Op::Enter(9, Some(1))]), start);
    let wants = |node: &mut Node, millis| {
        let now = start + Duration::from_millis(millis);
        node.heard(full, now);
        node.heard(refused, now);
        node.tick(now);
        node.take_outbox().contains(&Message::Want { node: refused })
    };
    assert!(!wants(&mut node, 4_000) && !wants(&mut node, 8_000) && !wants(&mut node, 12_000), "it is full");
    node.receive(full, Message::Bye, start);
    assert!(wants(&mut node, 12_001) && !wants(&mut node, 12_002));
    let records = vec![Record { revision: 1, op: Op::Enter(9, Some(1)) }];
    let now = start + Duration::from_millis(12_100);
    node.receive(refused, Message::Snapshot { version: 1, part: Part::WHOLE, records }, now);
    assert_eq!(node.known().tabs_of(&1).count(), 1);
    assert!(!wants(&mut node, 16_000) && !wants(&mut node, 20_000) && !wants(&mut node, 24_000));
}
