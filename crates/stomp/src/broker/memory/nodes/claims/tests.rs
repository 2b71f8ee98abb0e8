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
    owned: BTreeMap<Box<str>, Instant>,
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

    fn claim(&mut self, at: Duration) -> bool {
        self.claims.claim(QUEUE, self.start + at)
    }

    fn granted(&self, at: u64) -> Verdict {
        Verdict::Granted { since: self.start + ms(at) }
    }

    /// What is sent to one node.
    fn told(&mut self, to: u8) -> Vec<Message> {
        let own = |outgoing| match outgoing {
            Outgoing::To(node, message) if node == id(to) => Some(message),
            _ => None,
        };
        self.claims.take_outbox().into_iter().filter_map(own).collect()
    }

    fn answer(&mut self, from: u8, number: u64, is_free: bool, at: Duration) {
        self.receive(from, Message::Answer { number, is_free, queue: QUEUE.into() }, at);
    }

    fn rival(&mut self, from: u8, at: Duration) -> bool {
        self.receive(from, Message::Claim { number: 9, queue: QUEUE.into() }, at);
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
    assert!(node.claim(ms(0)));
    assert_eq!(node.tick(ms(100)), []);
    node.claims.heard(node.start + ms(100));
    assert_eq!(node.tick(ms(3000)), []);
    let due = node.claims.next_due();
    assert!(due <= node.start + ms(3225), "{:?}", due - node.start);
    assert_eq!(node.tick(ms(3225)), [node.granted(3225)]);
    assert!(!node.rival(2, ms(3226)), "it is granted");
    node.claims.done(QUEUE);
    assert!(node.rival(2, ms(3227)), "it was not used");
    node.owned.insert(QUEUE.into(), node.start + ms(3225));
    assert!(!node.rival(2, ms(3228)), "it is used");
}

#[test]
fn each_node_that_is_known_has_to_answer() {
    let mut node = Alone::settled(1, &[2, 3]);
    assert!(node.claim(ms(4000)));
    assert_eq!(node.tick(ms(4000)), []);
    node.answer(2, 1, true, ms(4001));
    assert_eq!(node.tick(ms(4001)), []);
    // Of another claim.
    node.answer(3, 7, true, ms(4002));
    assert_eq!(node.tick(ms(4002)), []);
    node.claims.take_outbox();
    node.tick(ms(4700));
    let claim = Message::Claim { number: 1, queue: QUEUE.into() };
    assert!(node.claims.take_outbox().contains(&Outgoing::ToAll(claim)), "it is repeated");
    node.answer(3, 1, true, ms(4701));
    assert_eq!(node.tick(ms(4701)), [node.granted(4701)]);
}

#[test]
fn an_owner_is_not_displaced_by_a_claim() {
    let mut node = Alone::settled(1, &[2, 3]);
    assert!(node.claim(ms(4000)));
    node.answer(2, 1, false, ms(4001));
    assert_eq!(node.verdicts(), [Verdict::Elsewhere]);
    node.answer(3, 1, true, ms(4002));
    assert_eq!(node.tick(ms(4003)), []);
}

#[test]
fn of_two_claims_one_wins_on_both_sides() {
    for (me, them, expected) in [(2, 1, true), (1, 2, false)] {
        let mut node = Alone::settled(me, &[them]);
        node.claim(ms(4000));
        assert_eq!(node.rival(them, ms(4001)), expected, "{them}");
        let verdicts = if expected { vec![Verdict::Elsewhere] } else { vec![] };
        assert_eq!(node.verdicts(), verdicts);
    }
}

#[test]
fn the_dead_need_not_answer() {
    let mut node = Alone::settled(1, &[2, 3]);
    node.claim(ms(4000));
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
    assert_eq!((verdicts, at), (vec![node.granted(14_000)], 14_000));
    assert_eq!((node.claims.nodes(), node.claims.dead()), (1, 1));
}

#[test]
fn who_says_goodbye_or_is_started_again_need_not_answer() {
    for message in [Message::Bye, Message::Hello { name: Some("here".into()) }] {
        let mut node = Alone::settled(1, &[]);
        node.receive(2, Message::Beat { name: Some("here".into()) }, ms(4000));
        node.claim(ms(4000));
        assert_eq!(node.tick(ms(4000)), []);
        let from = if message == Message::Bye { 2 } else { 3 };
        node.receive(from, message, ms(4001));
        node.answer(3, 1, true, ms(4002));
        assert_eq!(node.tick(ms(4002)), [node.granted(4002)]);
        assert_eq!(node.claims.dead(), 0);
    }
}

#[test]
fn while_the_bus_is_away_nothing_is_claimed() {
    let mut node = Alone::settled(1, &[2]);
    node.claim(ms(4000));
    node.claims.away();
    assert_eq!(node.verdicts(), [Verdict::Unknown]);
    assert!(!node.claim(ms(4001)));
    node.claims.coming_back();
    assert!(node.claim(ms(4002)), "it waits");
    node.claims.away();
    assert_eq!(node.verdicts(), [Verdict::Unknown]);
    node.claims.heard(node.start + ms(5000));
    assert!(node.claims.take_outbox().contains(&Outgoing::ToAll(Message::Hello { name: None })));
    assert!(node.claim(ms(5000)));
    node.answer(2, 3, true, ms(5001));
    assert_eq!(node.tick(ms(5001)), [], "who else is there?");
    assert_eq!(node.tick(ms(8125)), [node.granted(8125)]);
}

#[test]
fn a_node_that_beats_and_does_not_answer_is_not_waited_for_without_an_end() {
    let mut node = Alone::settled(1, &[2]);
    node.claim(ms(4000));
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
    node.claim(ms(4000));
    assert_eq!(node.tick(ms(60_000)), []);
    assert_eq!(node.claims.nodes(), 1);
}

#[test]
fn of_two_owners_the_one_who_has_it_for_longer_keeps_it() {
    for (theirs, is_given_up) in [(2000, true), (900, false)] {
        let mut node = Alone::settled(1, &[2]);
        node.owned.insert(QUEUE.into(), node.start + ms(3000));
        // Another one of the same queue changes nothing.
        let owned = || Owned { age: theirs, queue: QUEUE.into() };
        node.receive(2, Message::Owned(vec![owned(), owned()]), ms(4000));
        let given_up: Vec<_> = node.claims.take_given_up().into_iter().collect();
        assert_eq!(given_up, if is_given_up { vec![Box::from(QUEUE)] } else { vec![] });
        let told = if is_given_up { vec![] } else { vec![Message::Kept(QUEUE.into()); 2] };
        assert_eq!(node.told(2), told);
    }
}

#[test]
fn of_two_owners_one_decides() {
    let mut node = Alone::settled(3, &[2]);
    node.owned.insert(QUEUE.into(), node.start + ms(3000));
    node.receive(2, Message::Owned(vec![Owned { age: 2000, queue: QUEUE.into() }]), ms(4000));
    assert!(node.claims.take_given_up().is_empty());
    assert!(!node.claims.take_outbox().contains(&Outgoing::Owned));
    node.tick(ms(4700));
    assert!(node.claims.take_outbox().contains(&Outgoing::Owned), "the other one is to know");
    for queue in [QUEUE, "/queue/b"] {
        node.receive(2, Message::Kept(queue.into()), ms(4701));
    }
    assert_eq!(node.claims.take_given_up().into_iter().collect::<Vec<_>>(), [QUEUE.into()]);
}

#[test]
fn answers_that_wait_are_bounded() {
    let mut node = Alone::settled(1, &[2]);
    for number in 0..2 * MAX_ANSWERS as u64 {
        node.receive(2, Message::Claim { number, queue: QUEUE.into() }, ms(4000));
    }
    assert_eq!(node.told(2).len(), MAX_ANSWERS);
    assert!(node.rival(2, ms(4001)), "there is room again");
}

#[test]
fn while_the_bus_is_away_nobody_is_taken_for_dead() {
    let mut node = Alone::settled(1, &[2]);
    node.claims.away();
    for second in 5..60 {
        node.tick(ms(second * 1000));
        assert!(node.claims.next_due() > node.start + ms(second * 1000));
    }
    node.claims.coming_back();
    node.tick(ms(60_000));
    node.claims.heard(node.start + ms(61_000));
    assert!(node.claim(ms(61_000)));
    // The other one comes back later, and then answers.
    for second in 61..70 {
        assert_eq!(node.tick(ms(second * 1000)), []);
    }
    assert_eq!((node.claims.nodes(), node.claims.dead()), (1, 0));
    node.answer(2, 1, false, ms(70_500));
    assert_eq!(node.tick(ms(70_500)), [Verdict::Elsewhere]);
}

#[test]
fn after_an_outage_each_queue_has_the_owner_from_before() {
    for (seed, returns) in [[0, 8000, 4000], [8000, 0, 4000], [4000, 8000, 0]].into_iter().enumerate() {
        let mut net = Net::new(seed as u64);
        net.wait(4000);
        for (node, queue) in QUEUES.into_iter().enumerate() {
            assert!(net.nodes[node].claim(queue, net.now));
            net.wait(1000);
            assert!(net.owned[node].contains_key(queue));
        }
        net.outage(60_000, returns, |net, node| {
            for queue in QUEUES {
                if !net.owned[node].contains_key(queue) {
                    assert!(net.nodes[node].claim(queue, net.now));
                }
            }
        });
        net.wait(30_000);
        for (node, queue) in QUEUES.into_iter().enumerate() {
            assert_eq!(net.owned[node].keys().map(|name| &**name).collect::<Vec<_>>(), [queue]);
            assert_eq!(net.nodes[node].dead(), 0);
        }
        assert_eq!(net.decided, [3, 6, 0, 0]);
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
    /// The bus is away for so long, and each comes back so long after that, and claims a queue.
    Outage(u64, [u64; 3], usize),
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (0..3_usize, 0..3_usize).prop_map(|(node, queue)| Step::Claim(node, queue)),
        1 => (0..3_usize, 0..3_usize).prop_map(|(node, queue)| Step::Release(node, queue)),
        4 => (1..3000_u64).prop_map(Step::Wait),
        1 => any::<bool>().prop_map(Step::Cut),
        1 => (0..60_u8).prop_map(Step::Loss),
        1 => (0..30_000_u64, prop::array::uniform3(0..9000_u64), 0..3_usize)
            .prop_map(|(time, returns, queue)| Step::Outage(time, returns, queue)),
    ]
}

const QUEUES: [&str; 3] = ["/queue/a", "/queue/b", "/queue/c"];

struct Net {
    now: Instant,
    nodes: Vec<Claims>,
    owned: Vec<BTreeMap<Box<str>, Instant>>,
    /// Messages on their way: when they arrive, from whom, to whom.
    way: Vec<(Instant, usize, usize, Message)>,
    is_cut: bool,
    is_away: [bool; 3],
    loss: u8,
    dice: u64,
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
            is_away: [false; 3],
            loss: 0,
            dice: seed,
            was_silent: false,
            decided: [0; 4],
        }
    }

    fn roll(&mut self, sides: u64) -> u64 {
        self.dice = self.dice.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.dice >> 33) % sides
    }

    fn send(&mut self, from: usize, to: usize, message: &Message) {
        let is_away = self.is_away[from] || self.is_away[to];
        let is_lost =
            is_away || (self.is_cut && (from == 0) != (to == 0)) || self.roll(100) < u64::from(self.loss);
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
                    let age = |since| age_at(since, self.now);
                    let queues = queues
                        .map(|(queue, &since)| Owned { age: age(since), queue: queue.clone() })
                        .collect();
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
            }
        }
        for queue in self.nodes[node].take_given_up() {
            self.decided[3] += 1;
            assert!(self.was_silent, "{queue} of {node} is given up");
            self.owned[node].remove(&queue);
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
            let now = self.now;
            let (due, later) = mem::take(&mut self.way).into_iter().partition(|(at, ..)| *at <= now);
            self.way = later;
            let due: Vec<_> = due;
            for (_, from, to, message) in due {
                if self.is_away[to] {
                    continue;
                }
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

    /// The bus is away for a time, and then the nodes come back one after the other.
    fn outage(&mut self, time: u64, returns: [u64; 3], mut then: impl FnMut(&mut Self, usize)) {
        self.is_away = [true; 3];
        self.nodes.iter_mut().for_each(Claims::away);
        self.wait(time);
        let mut order = [0, 1, 2];
        order.sort_by_key(|&node| returns[node]);
        let mut at = 0;
        for node in order {
            self.wait(returns[node] - at);
            at = returns[node];
            self.is_away[node] = false;
            self.nodes[node].heard(self.now);
            then(self, node);
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
                    if !net.owned[node].contains_key(QUEUES[queue]) {
                        let is_new = !net.nodes[node].claims.contains_key(QUEUES[queue]);
                        prop_assert!(net.nodes[node].claim(QUEUES[queue], net.now));
                        claimed += usize::from(is_new);
                    }
                    net.wait(20);
                }
                Step::Release(node, queue) => _ = net.owned[node].remove(QUEUES[queue]),
                Step::Wait(time) => net.wait(time),
                Step::Cut(is_cut) => net.is_cut = is_cut,
                Step::Loss(percent) => net.loss = percent,
                Step::Outage(time, returns, queue) => net.outage(time, returns, |net, node| {
                    let (queue, now) = (QUEUES[queue], net.now);
                    if !net.owned[node].contains_key(queue) && !net.nodes[node].claims.contains_key(queue) {
                        claimed += usize::from(net.nodes[node].claim(queue, now));
                    }
                }),
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
