//! Random consumers of queues, compared with a simple model.

use std::{
    collections::{BTreeMap, VecDeque},
    sync::{Arc, Mutex},
};

use proptest::{collection::vec, prelude::*, sample::Index};

use super::{
    super::{DeadLetterReason, MemoryBroker, MemoryBrokerStats, QueueMode},
    support::{ALWAYS, Client, publish},
};
use crate::{
    AckMode,
    broker::{BrokerError, Published, Settlement},
};

const QUEUES: [&str; 2] = ["/queue/a", "/queue/b"];
const CLIENTS: usize = 3;
const MAX_MESSAGES: usize = 8;
const MAX_DELIVERIES: u32 = 3;

#[derive(Debug, Clone)]
enum Step {
    /// Connects, or ends the session that is there.
    Connect {
        client: usize,
        room: usize,
        bytes: usize,
    },
    End {
        client: usize,
    },
    /// The network connection is gone, which the session does not know yet.
    Lose {
        client: usize,
    },
    Subscribe {
        client: usize,
        queue: usize,
        ack: AckMode,
        prefetch: usize,
    },
    Unsubscribe {
        client: usize,
        which: Index,
    },
    Publish {
        queue: usize,
    },
    Settle {
        client: usize,
        which: Index,
        number: Index,
        settlement: Settlement,
    },
    /// The network connection takes more, and the session's task runs.
    Allow {
        client: usize,
        pieces: usize,
    },
}

fn step() -> impl Strategy<Value = Step> {
    let client = 0..CLIENTS;
    let queue = prop_oneof![3 => Just(0), 1 => Just(1_usize)];
    let ack = prop_oneof![Just(AckMode::Auto), Just(AckMode::Client), Just(AckMode::ClientIndividual)];
    let settlement = prop_oneof![
        2 => Just(Settlement::Accepted),
        2 => Just(Settlement::Rejected { requeue: true }),
        1 => Just(Settlement::Rejected { requeue: false }),
    ];
    let bytes = prop_oneof![Just(ALWAYS), 100..400_usize];
    prop_oneof![
        2 => (client.clone(), prop_oneof![Just(1000), 0..4_usize], bytes)
            .prop_map(|(client, room, bytes)| Step::Connect { client, room, bytes }),
        1 => client.clone().prop_map(|client| Step::End { client }),
        1 => client.clone().prop_map(|client| Step::Lose { client }),
        4 => (client.clone(), queue.clone(), ack, 1..4_usize)
            .prop_map(|(client, queue, ack, prefetch)| Step::Subscribe { client, queue, ack, prefetch }),
        1 => (client.clone(), any::<Index>())
            .prop_map(|(client, which)| Step::Unsubscribe { client, which }),
        12 => queue.prop_map(|queue| Step::Publish { queue }),
        8 => (client.clone(), any::<Index>(), any::<Index>(), settlement).prop_map(
            |(client, which, number, settlement)| Step::Settle { client, which, number, settlement }
        ),
        4 => (client, 0..4_usize).prop_map(|(client, pieces)| Step::Allow { client, pieces }),
    ]
}

#[derive(Debug, Clone)]
struct Sent {
    number: u64,
    queue: usize,
    deliveries: u32,
    is_redelivered: bool,
}

/// Names a subscription: a client, and its serial number.
type Name = (usize, u32);

#[derive(Debug)]
struct Subscribed {
    queue: usize,
    ack: AckMode,
    prefetch: usize,
    delivered: u64,
    unsettled: BTreeMap<u64, Sent>,
    is_full: bool,
    is_leaving: bool,
    is_ended: bool,
}

/// A client with its outbox.
#[derive(Debug, Default)]
struct Session {
    room: usize,
    limit: usize,
    is_lost: bool,
    has_ended: bool,
    waiting: VecDeque<(Name, u64, String)>,
    arrived: Vec<String>,
    next_serial: u32,
    turn: u32,
}

enum Attempt {
    Sent,
    Queued,
    Full,
    Gone,
}

impl Session {
    fn bytes(&self) -> usize {
        self.waiting.iter().map(|(.., frame)| frame.len()).sum()
    }
}

/// What should happen.
#[derive(Debug, Default)]
struct Model {
    sessions: Vec<Session>,
    subscribed: BTreeMap<Name, Subscribed>,
    ready: [Vec<Sent>; 2],
    turns: [VecDeque<Name>; 2],
    dead: Vec<(u64, u32, DeadLetterReason)>,
    next_number: u64,
}

impl Model {
    fn has_room(&self, name: Name) -> bool {
        self.subscribed
            .get(&name)
            .is_some_and(|each| !each.is_full && !each.is_leaving && each.unsettled.len() < each.prefetch)
    }

    fn kept(&self, queue: usize) -> usize {
        let unsettled = self.subscribed.values().filter(|each| each.queue == queue);
        self.ready[queue].len() + unsettled.map(|each| each.unsettled.len()).sum::<usize>()
    }

    fn is_used(&self, queue: usize) -> bool {
        self.kept(queue) > 0 || self.subscribed.values().any(|each| each.queue == queue)
    }

    fn give_turn(&mut self, name: Name) {
        let Some(queue) = self.subscribed.get(&name).map(|each| each.queue) else { return };
        if self.has_room(name) && !self.turns[queue].contains(&name) {
            self.turns[queue].push_back(name);
        }
        self.dispatch(queue);
    }

    fn dispatch(&mut self, queue: usize) {
        while !self.ready[queue].is_empty() {
            let Some(name) = self.turns[queue].pop_front() else { return };
            if !self.has_room(name) {
                continue;
            }
            let mut sent = self.ready[queue].remove(0);
            let attempt = self.attempt(name, &sent);
            let subscribed = self.subscribed.get_mut(&name).unwrap();
            match attempt {
                Attempt::Full => subscribed.is_full = true,
                Attempt::Gone => subscribed.is_leaving = true,
                Attempt::Sent | Attempt::Queued => {
                    subscribed.delivered += 1;
                    if subscribed.ack != AckMode::Auto {
                        sent.deliveries += 1;
                    }
                    sent.is_redelivered = true;
                    if subscribed.ack != AckMode::Auto || matches!(attempt, Attempt::Queued) {
                        subscribed.unsettled.insert(subscribed.delivered, sent);
                    }
                    if self.has_room(name) {
                        self.turns[queue].push_back(name);
                    }
                    continue;
                }
            }
            self.ready[queue].insert(0, sent);
        }
    }

    fn attempt(&mut self, name: Name, sent: &Sent) -> Attempt {
        let (client, serial) = name;
        let subscribed = &self.subscribed[&name];
        let number = subscribed.delivered + 1;
        let start = format!("MESSAGE\nsubscription:s{serial}\nmessage-id:{serial}-");
        let ack = match subscribed.ack {
            AckMode::Auto => String::new(),
            _ => format!("ack:{serial}-{number}\n"),
        };
        let redelivered = if sent.is_redelivered { "redelivered:true\n" } else { "" };
        let body = sent.number.to_string();
        let tail = format!("destination:{}\ncontent-length:{}\n\n{body}\0", QUEUES[sent.queue], body.len());
        let session = &mut self.sessions[client];
        if session.has_ended {
            return Attempt::Gone;
        }
        let bytes = session.bytes();
        // The end of the line that the number is in is counted with the tail.
        if bytes > 0 && bytes + start.len() + 1 + tail.len() > session.limit {
            return Attempt::Full;
        }
        let frame = format!("{start}{number}\n{ack}{redelivered}{tail}");
        if session.waiting.is_empty() {
            if session.is_lost {
                session.has_ended = true;
                return Attempt::Gone;
            }
            if session.room > 0 {
                session.room -= 1;
                session.arrived.push(frame);
                return Attempt::Sent;
            }
        }
        session.waiting.push_back((name, number, frame));
        Attempt::Queued
    }

    fn give_back(&mut self, sent: impl IntoIterator<Item = Sent>) {
        for sent in sent {
            if sent.deliveries >= MAX_DELIVERIES {
                self.dead.push((sent.number, sent.deliveries, DeadLetterReason::Deliveries));
            } else {
                let ready = &mut self.ready[sent.queue];
                ready.push(sent);
                ready.sort_by_key(|each| each.number);
            }
        }
    }

    fn remove(&mut self, name: Name) {
        if let Some(subscribed) = self.subscribed.remove(&name) {
            self.give_back(subscribed.unsettled.into_values());
            self.dispatch(subscribed.queue);
        }
    }

    fn unsubscribe(&mut self, name: Name) {
        let Some(subscribed) = self.subscribed.get_mut(&name) else { return };
        subscribed.is_ended = true;
        if subscribed.ack == AckMode::Auto && !subscribed.unsettled.is_empty() {
            subscribed.is_leaving = true;
        } else {
            self.remove(name);
        }
    }

    fn of(&self, client: usize) -> Vec<Name> {
        self.subscribed.keys().filter(|(each, _)| *each == client).copied().collect()
    }

    fn end(&mut self, client: usize) {
        // The queues in the order in which they were subscribed to.
        while let Some(first) = self.of(client).first() {
            let queue = self.subscribed[first].queue;
            for name in self.of(client) {
                if self.subscribed[&name].queue == queue {
                    let subscribed = self.subscribed.remove(&name).unwrap();
                    self.give_back(subscribed.unsettled.into_values());
                }
            }
            self.dispatch(queue);
        }
    }

    fn settle(&mut self, name: Name, number: u64, settlement: Settlement) {
        let Some(subscribed) = self.subscribed.get_mut(&name) else { return };
        let is_covered = |each: u64| match subscribed.ack {
            AckMode::Auto => false,
            AckMode::Client => each <= number,
            AckMode::ClientIndividual => each == number,
        };
        let numbers: Vec<_> = subscribed.unsettled.keys().copied().filter(|each| is_covered(*each)).collect();
        let settled: Vec<_> =
            numbers.iter().filter_map(|number| subscribed.unsettled.remove(number)).collect();
        if settled.is_empty() {
            return;
        }
        match settlement {
            Settlement::Accepted => {}
            Settlement::Rejected { requeue: true } => self.give_back(settled),
            Settlement::Rejected { requeue: false } => self.dead.extend(
                settled.iter().map(|each| (each.number, each.deliveries, DeadLetterReason::Rejected)),
            ),
        }
        self.give_turn(name);
    }

    fn run(&mut self, client: usize) {
        loop {
            let session = &mut self.sessions[client];
            if session.has_ended || session.waiting.is_empty() {
                break;
            }
            if session.is_lost {
                session.has_ended = true;
                break;
            }
            if session.room == 0 {
                break;
            }
            session.room -= 1;
            let (name, number, frame) = session.waiting.pop_front().unwrap();
            session.arrived.push(frame);
            let Some(subscribed) = self.subscribed.get_mut(&name) else { continue };
            if subscribed.ack != AckMode::Auto {
                continue;
            }
            subscribed.unsettled.remove(&number);
            if subscribed.is_leaving && subscribed.unsettled.is_empty() {
                self.remove(name);
            } else {
                self.give_turn(name);
            }
        }
        let turn = self.sessions[client].turn;
        let (before, mut in_turn): (Vec<_>, Vec<_>) =
            self.of(client).into_iter().partition(|(_, serial)| *serial < turn);
        in_turn.extend(before);
        self.sessions[client].turn = in_turn.first().map_or(0, |(_, serial)| serial + 1);
        for name in in_turn {
            self.subscribed.get_mut(&name).unwrap().is_full = false;
            self.give_turn(name);
        }
    }
}

/// The broker beside its model.
struct Both {
    broker: MemoryBroker,
    dead: Arc<Mutex<Vec<(u64, u32, DeadLetterReason)>>>,
    model: Model,
    /// Which session each of the clients has.
    clients: [Option<(usize, Client)>; CLIENTS],
}

impl Both {
    fn new() -> Self {
        let dead = Arc::<Mutex<Vec<_>>>::default();
        let collected = dead.clone();
        let broker = MemoryBroker::builder()
            .queue_mode(QueueMode::Competing)
            .max_queue_messages(MAX_MESSAGES)
            .max_deliveries(MAX_DELIVERIES)
            .on_dead_letter(move |each| {
                let body = std::str::from_utf8(each.message().body()).unwrap().parse().unwrap();
                collected.lock().unwrap().push((body, each.deliveries(), each.reason()));
            })
            .build();
        Self { broker, dead, model: Model::default(), clients: Default::default() }
    }

    fn end(&mut self, client: usize) {
        if let Some((session, client)) = self.clients[client].take() {
            let link = client.end();
            self.model.end(session);
            assert_eq!(link.taken(), std::mem::take(&mut self.model.sessions[session].arrived));
        }
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Connect { client, room, bytes } => {
                self.end(client);
                let session = self.model.sessions.len();
                self.model.sessions.push(Session { room, limit: bytes, ..Session::default() });
                self.clients[client] = Some((session, Client::new(&self.broker, None, room, bytes)));
            }
            Step::End { client } => self.end(client),
            Step::Publish { queue } => {
                let number = self.model.next_number;
                let published = publish(&self.broker, QUEUES[queue], number);
                if self.model.kept(queue) >= MAX_MESSAGES {
                    assert!(matches!(published, Err(BrokerError::LimitExceeded("max_queue_messages"))));
                    return;
                }
                self.model.next_number += 1;
                self.model.ready[queue].push(Sent { number, queue, deliveries: 0, is_redelivered: false });
                self.model.dispatch(queue);
                let is_stored = self.model.ready[queue].iter().any(|each| each.number == number);
                let expected =
                    Published { delivered: usize::from(!is_stored), dropped: 0, is_stored, bus: None };
                assert_eq!(published.unwrap(), expected);
            }
            Step::Lose { client }
            | Step::Subscribe { client, .. }
            | Step::Unsubscribe { client, .. }
            | Step::Settle { client, .. }
            | Step::Allow { client, .. } => {
                if let Some((session, client)) = &mut self.clients[client] {
                    Self::step_of(&mut self.model, *session, client, step);
                }
            }
        }
    }

    fn step_of(model: &mut Model, session: usize, client: &mut Client, step: &Step) {
        let state = &mut model.sessions[session];
        let serial = |which: &Index| u32::try_from(which.index(state.next_serial as usize)).unwrap();
        match step {
            Step::Lose { .. } => {
                client.link.close();
                state.is_lost = true;
            }
            Step::Subscribe { queue, ack, prefetch, .. } => {
                let serial = client.subscribe(QUEUES[*queue], *ack, *prefetch);
                state.next_serial += 1;
                let name = (session, serial);
                let subscribed = Subscribed {
                    queue: *queue,
                    ack: *ack,
                    prefetch: *prefetch,
                    delivered: 0,
                    unsettled: BTreeMap::new(),
                    is_full: false,
                    is_leaving: false,
                    is_ended: false,
                };
                model.subscribed.insert(name, subscribed);
                model.give_turn(name);
            }
            Step::Unsubscribe { which, .. } if state.next_serial > 0 => {
                let serial = serial(which);
                client.unsubscribe(serial);
                model.unsubscribe((session, serial));
            }
            Step::Settle { which, number, settlement, .. } if state.next_serial > 0 => {
                let serial = serial(which);
                let delivered = model.subscribed.get(&(session, serial)).map_or(4, |each| each.delivered);
                let number = number.index(usize::try_from(delivered).unwrap() + 1) as u64;
                client.settle(serial, number, *settlement);
                model.settle((session, serial), number, *settlement);
            }
            Step::Allow { pieces, .. } => {
                if !state.is_lost {
                    client.link.allow(*pieces);
                    state.room += pieces;
                }
                client.run();
                model.run(session);
            }
            _ => {}
        }
    }

    fn check(&mut self) {
        for (session, client) in self.clients.iter().flatten() {
            assert_eq!(client.frames(), std::mem::take(&mut self.model.sessions[*session].arrived));
        }
        assert_eq!(*self.dead.lock().unwrap(), self.model.dead);
        let stats = self.broker.stats();
        let kept = self.model.kept(0) + self.model.kept(1);
        assert_eq!(stats.queued_messages, kept);
        assert_eq!(stats.queued_bytes > 0, kept > 0);
        assert_eq!(stats.queues, (0..2).filter(|queue| self.model.is_used(*queue)).count());
        let subscriptions = self.model.subscribed.values().filter(|each| !each.is_ended).count();
        assert_eq!(stats.subscriptions, subscriptions);
        self.broker.shared.queues.check();
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(2000) })]

    /// Each message of a queue is in one place at a time, and what each client gets is known in advance.
    #[test]
    fn queues_do_what_the_model_does(steps in vec(step(), 1..60)) {
        let mut both = Both::new();
        for step in &steps {
            both.step(step);
            both.check();
        }
        for client in 0..CLIENTS {
            both.end(client);
            both.check();
        }
        // What is left comes in the order in which it was sent.
        let mut last = Client::fast(&both.broker);
        for (queue, name) in QUEUES.into_iter().enumerate() {
            last.subscribe(name, AckMode::Auto, 1);
            let left: Vec<_> = both.model.ready[queue].iter().map(|each| each.number.to_string()).collect();
            prop_assert!(both.model.ready[queue].is_sorted_by_key(|each| each.number));
            prop_assert_eq!(last.bodies(), left);
        }
        last.end();
        let stats = both.broker.stats();
        let dead_letters = both.model.dead.len() as u64;
        prop_assert_eq!(stats, MemoryBrokerStats { dead_letters, ..MemoryBrokerStats::default() });
    }
}
