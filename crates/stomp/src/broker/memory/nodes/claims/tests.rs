use std::collections::BTreeMap;

use proptest::prelude::*;

use super::{super::protocol::Owned, *};

const DEAD_AFTER: Duration = Duration::from_secs(10);
const TIMING: Timing = Timing { dead_after: DEAD_AFTER };
const QUEUE: &str = "/queue/a";

fn id(number: u8) -> NodeId {
    NodeId::from_bytes([number; 16])
}

fn ms(milliseconds: u64) -> Duration {
    Duration::from_millis(milliseconds)
}

/// A node without the others.
struct Alone {
    claims: Claims,
    start: Instant,
    owned: BTreeMap<Box<str>, u64>,
}

impl Alone {
    fn new(number: u8) -> Self {
        let start = Instant::now();
        Self { claims: Claims::new(id(number), None, TIMING, start), start, owned: BTreeMap::new() }
    }

    fn receive(&mut self, from: u8, message: Message, at: Duration) {
        let owned = self.owned.clone();
        self.claims.receive(id(from), message, self.start + at, &|queue| owned.get(queue).copied());
    }

    /// A node that has heard others for long enough.
    fn settled(number: u8, others: &[u8]) -> Self {
        let mut node = Self::new(number);
        node.claims.heard(node.start);
        for &other in others {
            node.receive(other, Message::Beat { name: None }, ms(3900));
        }
        node.tick(ms(4000));
        node.claims.take_outbox();
        node
    }

    fn tick(&mut self, at: Duration) -> Vec<Verdict> {
        self.claims.tick(self.start + at);
        self.verdicts()
    }

    fn verdicts(&mut self) -> Vec<Verdict> {
        self.claims.take_verdicts().into_iter().map(|(_, verdict)| verdict).collect()
    }

    fn claim(&mut self, wall: u64, at: Duration) -> bool {
        self.claims.claim(QUEUE, wall, self.start + at)
    }

    fn answer(&mut self, from: u8, number: u64, is_free: bool, at: Duration) {
        self.receive(from, Message::Answer { number, is_free, queue: QUEUE.into() }, at);
    }

    fn rival(&mut self, from: u8, since: u64, at: Duration) -> bool {
        self.receive(from, Message::Claim { number: 9, since, queue: QUEUE.into() }, at);
        let answers = self.claims.take_outbox();
        let answer = answers.iter().find_map(|message| match message {
            Outgoing::To(_, Message::Answer { number: 9, is_free, .. }) => Some(*is_free),
            _ => None,
        });
        answer.unwrap()
    }
}

#[test]
fn the_only_node_has_a_queue_once_it_knows_that_it_is_alone() {
    let mut node = Alone::new(1);
    assert!(node.claim(5, ms(0)));
    assert_eq!(node.tick(ms(100)), []);
    node.claims.heard(node.start + ms(100));
    assert_eq!(node.tick(ms(3000)), []);
    let due = node.claims.next_due();
    assert!(due <= node.start + ms(3225), "{:?}", due - node.start);
    assert_eq!(node.tick(ms(3225)), [Verdict::Granted { since: 5 }]);
    assert!(!node.rival(2, 0, ms(3226)), "it is granted");
    node.claims.done(QUEUE);
    assert!(node.rival(2, 0, ms(3227)), "it was not used");
    node.owned.insert(QUEUE.into(), 5);
    assert!(!node.rival(2, 0, ms(3228)), "it is used");
}

#[test]
fn each_node_that_is_known_has_to_answer() {
    let mut node = Alone::settled(1, &[2, 3]);
    assert!(node.claim(5, ms(4000)));
    assert_eq!(node.tick(ms(4000)), []);
    node.answer(2, 1, true, ms(4001));
    assert_eq!(node.tick(ms(4001)), []);
    // Of another claim.
    node.answer(3, 7, true, ms(4002));
    assert_eq!(node.tick(ms(4002)), []);
    node.claims.take_outbox();
    node.tick(ms(4700));
    let claim = Message::Claim { number: 1, since: 5, queue: QUEUE.into() };
    assert!(node.claims.take_outbox().contains(&Outgoing::ToAll(claim)), "it is repeated");
    node.answer(3, 1, true, ms(4701));
    assert_eq!(node.tick(ms(4701)), [Verdict::Granted { since: 5 }]);
}

#[test]
fn an_owner_is_not_displaced_by_a_claim() {
    let mut node = Alone::settled(1, &[2, 3]);
    assert!(node.claim(5, ms(4000)));
    node.answer(2, 1, false, ms(4001));
    assert_eq!(node.verdicts(), [Verdict::Elsewhere]);
    node.answer(3, 1, true, ms(4002));
    assert_eq!(node.tick(ms(4003)), []);
}

#[test]
fn of_two_claims_the_older_one_wins() {
    for (theirs, expected) in [(4, true), (6, false), (5, false)] {
        let mut node = Alone::settled(1, &[2]);
        node.claim(5, ms(4000));
        assert_eq!(node.rival(2, theirs, ms(4001)), expected, "{theirs}");
        let verdicts = if expected { vec![Verdict::Elsewhere] } else { vec![] };
        assert_eq!(node.verdicts(), verdicts);
    }
}

#[test]
fn the_dead_need_not_answer() {
    let mut node = Alone::settled(1, &[2, 3]);
    node.claim(5, ms(4000));
    node.answer(3, 1, true, ms(4001));
    let mut at = 4000;
    let verdicts = loop {
        at += 500;
        node.receive(3, Message::Beat { name: None }, ms(at));
        let verdicts = node.tick(ms(at));
        if !verdicts.is_empty() {
            break verdicts;
        }
    };
    assert_eq!((verdicts, at), (vec![Verdict::Granted { since: 5 }], 14_000));
    assert_eq!((node.claims.nodes(), node.claims.dead()), (1, 1));
}

#[test]
fn who_says_goodbye_or_is_started_again_need_not_answer() {
    for message in [Message::Bye, Message::Hello { name: Some("here".into()) }] {
        let mut node = Alone::settled(1, &[]);
        node.receive(2, Message::Beat { name: Some("here".into()) }, ms(4000));
        node.claim(5, ms(4000));
        assert_eq!(node.tick(ms(4000)), []);
        let from = if message == Message::Bye { 2 } else { 3 };
        node.receive(from, message, ms(4001));
        node.answer(3, 1, true, ms(4002));
        assert_eq!(node.tick(ms(4002)), [Verdict::Granted { since: 5 }]);
        assert_eq!(node.claims.dead(), 0);
    }
}

#[test]
fn while_the_bus_is_away_nothing_is_claimed() {
    let mut node = Alone::settled(1, &[2]);
    node.claim(5, ms(4000));
    node.claims.away();
    assert_eq!(node.verdicts(), [Verdict::Unknown]);
    assert!(!node.claim(6, ms(4001)));
    node.claims.coming_back();
    assert!(node.claim(6, ms(4002)), "it waits");
    node.claims.away();
    assert_eq!(node.verdicts(), [Verdict::Unknown]);
    node.claims.heard(node.start + ms(5000));
    assert!(node.claims.take_outbox().contains(&Outgoing::ToAll(Message::Hello { name: None })));
    assert!(node.claim(7, ms(5000)));
    node.answer(2, 3, true, ms(5001));
    assert_eq!(node.tick(ms(5001)), [], "who else is there?");
    assert_eq!(node.tick(ms(8125)), [Verdict::Granted { since: 7 }]);
}

#[test]
fn a_node_that_beats_and_does_not_answer_is_not_waited_for_without_an_end() {
    let mut node = Alone::settled(1, &[2]);
    node.claim(5, ms(4000));
    let mut at = 4000;
    let verdicts = loop {
        at += 1000;
        node.receive(2, Message::Beat { name: None }, ms(at));
        let verdicts = node.tick(ms(at));
        if !verdicts.is_empty() {
            break verdicts;
        }
    };
    assert_eq!((verdicts, at), (vec![Verdict::Unknown], 24_000));
}

#[test]
fn a_process_that_was_stopped_takes_nobody_for_dead() {
    let mut node = Alone::settled(1, &[2]);
    node.claim(5, ms(4000));
    assert_eq!(node.tick(ms(60_000)), []);
    assert_eq!(node.claims.nodes(), 1);
}

#[test]
fn of_two_owners_the_one_who_has_it_for_longer_keeps_it() {
    for (theirs, verdicts) in [(4, vec![Verdict::GivenUp]), (6, vec![])] {
        let mut node = Alone::settled(1, &[2]);
        node.owned.insert(QUEUE.into(), 5);
        let owned = Owned { since: theirs, queue: QUEUE.into() };
        node.receive(2, Message::Owned(vec![owned]), ms(4001));
        assert_eq!(node.tick(ms(4002)), verdicts);
        node.tick(ms(4700));
        let says_so = node.claims.take_outbox().contains(&Outgoing::Owned);
        assert!(says_so || theirs < 5, "the other one is to know");
    }
}

#[test]
fn there_is_a_bound_of_nodes() {
    let mut node = Alone::new(1);
    for number in 0..MAX_NODES as u32 + 10 {
        let mut bytes = [7; 16];
        bytes[..4].copy_from_slice(&number.to_be_bytes());
        let owns: Owns<'_> = &|_| None;
        node.claims.receive(NodeId::from_bytes(bytes), Message::Beat { name: None }, node.start, owns);
    }
    assert_eq!(node.claims.nodes(), MAX_NODES);
}

/// What a node does or suffers.
#[derive(Debug, Clone)]
enum Step {
    Claim(usize, usize),
    /// It does not use a queue any more.
    Release(usize, usize),
    /// Time goes by.
    Wait(u64),
    /// Nothing gets through between the first node and the others.
    Cut(bool),
    /// Messages are lost: so many of a hundred.
    Loss(u8),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..3_usize).prop_map(|(node, queue)| Step::Claim(node, queue)),
        1 => (0..3_usize, 0..3_usize).prop_map(|(node, queue)| Step::Release(node, queue)),
        4 => (1..3000_u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Cut),
        1 => (0..60_u8).prop_map(Step::Loss),
    ]
}

const QUEUES: [&str; 3] = ["/queue/a", "/queue/b", "/queue/c"];

struct Net {
    now: Instant,
    nodes: Vec<Claims>,
    owned: Vec<BTreeMap<Box<str>, u64>>,
    /// Messages on their way: when they arrive, from whom, to whom.
    way: Vec<(Instant, usize, usize, Message)>,
    is_cut: bool,
    loss: u8,
    dice: u64,
    wall: u64,
    /// Whether someone may have been taken for dead that was not.
    was_silent: bool,
    decided: [usize; 4],
}

impl Net {
    fn new(seed: u64) -> Self {
        let now = Instant::now();
        let node = |number| {
            let mut node = Claims::new(id(number), None, TIMING, now);
            node.heard(now);
            node
        };
        Self {
            now,
            nodes: (0..3).map(node).collect(),
            owned: vec![BTreeMap::new(); 3],
            way: Vec::new(),
            is_cut: false,
            loss: 0,
            dice: seed,
            wall: 1000,
            was_silent: false,
            decided: [0; 4],
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn send(&mut self, from: usize, to: usize, message: &Message) {
        let is_lost = (self.is_cut && (from == 0) != (to == 0)) || self.roll(100) < u64::from(self.loss);
        if !is_lost {
            let due = self.now + ms(1 + self.roll(200));
            self.way.push((due, from, to, message.clone()));
        }
    }

    fn run(&mut self, node: usize) {
        for outgoing in self.nodes[node].take_outbox() {
            match outgoing {
                Outgoing::ToAll(message) => {
                    (0..3).filter(|&to| to != node).for_each(|to| self.send(node, to, &message));
                }
                Outgoing::To(to, message) => {
                    let to = (0..3).find(|&each| id(each as u8) == to).unwrap();
                    self.send(node, to, &message);
                }
                Outgoing::Owned => {
                    let queues = self.owned[node].iter();
                    let queues =
                        queues.map(|(queue, &since)| Owned { since, queue: queue.clone() }).collect();
                    let message = Message::Owned(queues);
                    (0..3).filter(|&to| to != node).for_each(|to| self.send(node, to, &message));
                }
            }
        }
        for (queue, verdict) in self.nodes[node].take_verdicts() {
            match verdict {
                Verdict::Granted { since } => {
                    self.decided[0] += 1;
                    self.owned[node].insert(queue.clone(), since);
                    self.nodes[node].done(&queue);
                }
                Verdict::Elsewhere => self.decided[1] += 1,
                Verdict::Unknown => self.decided[2] += 1,
                Verdict::GivenUp => {
                    self.decided[3] += 1;
                    assert!(self.was_silent, "{queue} of {node} is given up");
                    self.owned[node].remove(&queue);
                }
            }
        }
        self.was_silent |= self.nodes.iter().any(|node| node.dead() > 0);
        if !self.was_silent {
            for queue in QUEUES {
                let owners = self.owned.iter().filter(|owned| owned.contains_key(queue)).count();
                assert!(owners <= 1, "{owners} own {queue}");
            }
        }
    }

    fn wait(&mut self, time: u64) {
        let end = self.now + ms(time);
        while self.now < end {
            self.now += ms(20);
            self.wall += 20;
            let now = self.now;
            let (due, later) = mem::take(&mut self.way).into_iter().partition(|(at, ..)| *at <= now);
            self.way = later;
            let due: Vec<_> = due;
            for (_, from, to, message) in due {
                let owned = self.owned[to].clone();
                self.nodes[to].receive(id(from as u8), message, now, &|queue| owned.get(queue).copied());
                self.run(to);
            }
            for node in 0..3 {
                if self.nodes[node].next_due() <= now {
                    self.nodes[node].tick(now);
                }
                self.run(node);
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    /// Never two owners, unless one was taken for dead; and one of those gives the queue up when they hear each other.
    #[test]
    fn a_queue_has_one_owner(steps in prop::collection::vec(step(), 1..40), seed: u64) {
        let mut net = Net::new(seed);
        net.wait(4000);
        let mut claimed = 0;
        for step in steps {
            match step {
                Step::Claim(node, queue) => {
                    // Clocks differ.
                    let wall = net.wall + net.roll(100);
                    if !net.owned[node].contains_key(QUEUES[queue]) {
                        let is_new = !net.nodes[node].claims.contains_key(QUEUES[queue]);
                        prop_assert!(net.nodes[node].claim(QUEUES[queue], wall, net.now));
                        claimed += usize::from(is_new);
                    }
                    net.wait(20);
                }
                Step::Release(node, queue) => _ = net.owned[node].remove(QUEUES[queue]),
                Step::Wait(time) => net.wait(time),
                Step::Cut(is_cut) => net.is_cut = is_cut,
                Step::Loss(percent) => net.loss = percent,
            }
        }
        (net.is_cut, net.loss) = (false, 0);
        net.wait(45_000);
        prop_assert_eq!(net.decided[..3].iter().sum::<usize>(), claimed, "each claim is decided: {:?}", net.decided);
        for queue in QUEUES {
            let owners = net.owned.iter().filter(|owned| owned.contains_key(queue)).count();
            prop_assert!(owners <= 1, "{} own {}", owners, queue);
        }
    }
}
