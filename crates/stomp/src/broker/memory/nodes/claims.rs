//! Who owns which queue, as a state machine: messages and the time go in, messages and verdicts come out.
//!
//! ```text
//!              each node that is known says that it is free
//!   claimed ─────────────────────────────────────────────────► granted ──► owned, as long as it is used
//!      │                                                                     │
//!      │ a node has it, or has claimed it before;                            │ a node has owned it for longer:
//!      ▼ or the others cannot be asked                                       ▼ they have not heard each other
//!   refused                                                              given up
//! ```
//!
//! Of two nodes that claim a queue at the same time, each gets the claim of the other before its own is granted, and both
//! compare them alike. A claim waits for each node that has been heard, until that answers or counts as dead; it is
//! repeated meanwhile, so that a lost message only delays it. While the bus is away nobody grows older: all who were known before have to
//! answer afterwards, or to be silent for as long as anyone. So there are two owners only where a node was taken for dead
//! that was not, or was never heard: by one that has just started, and has missed the answer to its hello and a beat.
//! Such nodes find out when they hear each other, since each then says what it owns, and for how long. Of two owners the
//! one with the smaller id decides, and tells the other one: no clock but its own says what is older.

use std::{
    collections::{BTreeSet, HashMap, HashSet},
    mem,
    time::{Duration, Instant},
};

use sockjs_bus::NodeId;

use super::protocol::Message;

/// More nodes are not listened to.
const MAX_NODES: usize = 1000;

/// So many answers wait to be sent. More are dropped: whoever has asked asks again.
const MAX_ANSWERS: usize = 4096;

/// The times of a cluster.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Timing {
    /// After so much silence a node counts as dead.
    pub(crate) dead_after: Duration,
}

impl Timing {
    /// A node is never silent for longer: three of four beats may be lost.
    fn beat(self) -> Duration {
        self.dead_after / 4
    }

    /// A claim is repeated so often, and what a node owns is said so long after another one has been met.
    fn repeat(self) -> Duration {
        self.dead_after / 16
    }

    /// So long after it begins to hear them, a node knows the others: they have answered, and each has had a beat.
    fn settling(self) -> Duration {
        self.beat() + self.repeat()
    }

    /// A node that does not answer, and is not dead, is waited for so long.
    fn patience(self) -> Duration {
        2 * self.dead_after
    }
}

/// What is to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Outgoing {
    ToAll(Message),
    To(NodeId, Message),
    /// To all: the queues that are owned, which are not known here.
    Owned,
}

/// What has been decided of a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// It is owned from now on.
    Granted { since: Instant },
    /// The claim has failed: another node has the queue.
    Elsewhere,
    /// The claim has failed: the others could not be asked.
    Unknown,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reach {
    /// The others are not heard yet.
    Starting,
    /// The bus is away: nobody can be asked.
    Away,
    /// They are heard, and all of them known at that time.
    Heard { settled: Instant },
}

#[derive(Debug)]
struct Peer {
    heard: Instant,
    name: Option<Box<str>>,
}

#[derive(Debug)]
struct Claim {
    number: u64,
    is_granted: bool,
    /// Who has not answered.
    waiting: HashSet<NodeId>,
    repeat: Instant,
    until: Instant,
}

#[derive(Debug)]
pub(crate) struct Claims {
    me: NodeId,
    name: Option<Box<str>>,
    timing: Timing,
    reach: Reach,
    peers: HashMap<NodeId, Peer>,
    claims: HashMap<Box<str>, Claim>,
    next_number: u64,
    /// When the node says that it is there.
    beat: Instant,
    /// When it says what it owns.
    owned: Instant,
    ticked: Instant,
    outbox: Vec<Outgoing>,
    /// How many of those in the outbox are answers.
    answers: usize,
    verdicts: Vec<(Box<str>, Verdict)>,
    /// Queues that were owned, and are given up, since another node has owned them for longer.
    given_up: BTreeSet<Box<str>>,
    dead: u64,
}

/// Since when a queue is owned, if it is.
pub(crate) type Owns<'a> = &'a dyn Fn(&str) -> Option<Instant>;

impl Claims {
    pub(crate) fn new(me: NodeId, name: Option<Box<str>>, timing: Timing, now: Instant) -> Self {
        Self {
            me,
            name,
            timing,
            reach: Reach::Starting,
            peers: HashMap::new(),
            claims: HashMap::new(),
            next_number: 0,
            beat: now,
            owned: now + timing.dead_after,
            ticked: now,
            outbox: Vec::new(),
            answers: 0,
            verdicts: Vec::new(),
            given_up: BTreeSet::new(),
            dead: 0,
        }
    }

    /// How many other nodes are known.
    pub(crate) fn nodes(&self) -> usize {
        self.peers.len()
    }

    /// How many nodes have fallen silent.
    pub(crate) fn dead(&self) -> u64 {
        self.dead
    }

    /// The others are heard, or again.
    pub(crate) fn heard(&mut self, now: Instant) {
        if !matches!(self.reach, Reach::Heard { .. }) {
            self.reach = Reach::Heard { settled: now + self.timing.settling() };
            // Nobody could be heard. They may come back later than this node.
            self.peers.values_mut().for_each(|peer| peer.heard = now);
            self.outbox.push(Outgoing::ToAll(Message::Hello { name: self.name.clone() }));
            self.owned = self.owned.min(now + self.timing.repeat());
        }
    }

    /// The bus is away: what has not been decided cannot be.
    pub(crate) fn away(&mut self) {
        self.reach = Reach::Away;
        let undecided: Vec<_> = self
            .claims
            .iter()
            .filter(|(_, claim)| !claim.is_granted)
            .map(|(queue, _)| queue.clone())
            .collect();
        for queue in undecided {
            self.fail(&queue, Verdict::Unknown);
        }
    }

    /// The bus is there again, and the others will be heard.
    pub(crate) fn coming_back(&mut self) {
        if self.reach == Reach::Away {
            self.reach = Reach::Starting;
        }
    }

    /// Claims a queue. `false` if nobody can be asked.
    pub(crate) fn claim(&mut self, queue: &str, now: Instant) -> bool {
        if self.reach == Reach::Away {
            return false;
        }
        if !self.claims.contains_key(queue) {
            self.next_number += 1;
            let claim = Claim {
                number: self.next_number,
                is_granted: false,
                waiting: self.peers.keys().copied().collect(),
                repeat: now,
                until: now + self.timing.patience(),
            };
            self.claims.insert(queue.into(), claim);
        }
        true
    }

    /// A queue that was granted is used now, or not.
    pub(crate) fn done(&mut self, queue: &str) {
        self.claims.remove(queue);
    }

    /// A message of another node.
    pub(crate) fn receive(&mut self, from: NodeId, message: Message, now: Instant, owns: Owns<'_>) {
        if message == Message::Bye {
            return self.lose(from);
        }
        if !self.meet(from, &message, now) {
            return;
        }
        match message {
            Message::Hello { .. } => self.beat = now,
            Message::Beat { .. } | Message::Bye => {}
            Message::Claim { number, queue } => {
                if self.answers < MAX_ANSWERS {
                    let is_free = self.leaves(&queue, from, owns);
                    self.answer(from, Message::Answer { number, is_free, queue });
                }
            }
            Message::Answer { number, is_free, queue } => self.answered(from, &queue, number, is_free),
            Message::Owned(queues) => {
                for theirs in queues {
                    self.compare(theirs.queue, (theirs.age, from), now, owns);
                }
            }
            Message::Kept(queue) => {
                if owns(&queue).is_some() {
                    self.given_up.insert(queue);
                }
            }
        }
    }

    /// Does what is due.
    pub(crate) fn tick(&mut self, now: Instant) {
        if now.saturating_duration_since(self.ticked) > self.timing.dead_after / 2 {
            // The process was stopped: it is not the others who were silent.
            self.peers.values_mut().for_each(|peer| peer.heard = now);
            self.claims.values_mut().for_each(|claim| claim.until = now + self.timing.patience());
            if let Reach::Heard { settled } = &mut self.reach {
                *settled = now + self.timing.settling();
            }
        }
        self.ticked = now;
        if matches!(self.reach, Reach::Heard { .. }) {
            self.bury(now);
        }
        if self.beat <= now {
            self.outbox.push(Outgoing::ToAll(Message::Beat { name: self.name.clone() }));
            self.beat = now + self.timing.beat();
        }
        if self.owned <= now {
            self.outbox.push(Outgoing::Owned);
            self.owned = now + self.timing.dead_after;
        }
        self.pursue(now);
    }

    /// When [`tick`](Self::tick) is to be called, if nothing happens before.
    pub(crate) fn next_due(&self) -> Instant {
        let mut due = self.beat.min(self.owned);
        let heard = self.peers.values().map(|peer| peer.heard).min();
        if let (Reach::Heard { .. }, Some(heard)) = (self.reach, heard) {
            due = due.min(heard + self.timing.dead_after);
        }
        for claim in self.claims.values().filter(|claim| !claim.is_granted) {
            due = due.min(claim.repeat).min(claim.until);
            if let (Reach::Heard { settled }, true) = (self.reach, claim.waiting.is_empty()) {
                due = due.min(settled);
            }
        }
        due
    }

    pub(crate) fn take_outbox(&mut self) -> Vec<Outgoing> {
        self.answers = 0;
        mem::take(&mut self.outbox)
    }

    pub(crate) fn take_verdicts(&mut self) -> Vec<(Box<str>, Verdict)> {
        mem::take(&mut self.verdicts)
    }

    pub(crate) fn take_given_up(&mut self) -> BTreeSet<Box<str>> {
        mem::take(&mut self.given_up)
    }

    /// Forgets those who have been silent for too long.
    fn bury(&mut self, now: Instant) {
        let Some(silent) = now.checked_sub(self.timing.dead_after) else { return };
        let silent: Vec<_> =
            self.peers.iter().filter(|(_, peer)| peer.heard <= silent).map(|(&node, _)| node).collect();
        for node in silent {
            self.lose(node);
            self.dead += 1;
        }
    }

    /// Grants the claims that nobody objects to, and repeats the others.
    fn pursue(&mut self, now: Instant) {
        let is_settled = matches!(self.reach, Reach::Heard { settled } if settled <= now);
        let mut late = Vec::new();
        for (queue, claim) in self.claims.iter_mut().filter(|(_, claim)| !claim.is_granted) {
            if claim.repeat <= now {
                let (number, queue) = (claim.number, queue.clone());
                self.outbox.push(Outgoing::ToAll(Message::Claim { number, queue }));
                claim.repeat = now + self.timing.repeat();
            }
            if is_settled && claim.waiting.is_empty() {
                claim.is_granted = true;
                self.verdicts.push((queue.clone(), Verdict::Granted { since: now }));
            } else if claim.until <= now {
                late.push(queue.clone());
            }
        }
        for queue in late {
            self.fail(&queue, Verdict::Unknown);
        }
    }

    /// Notes that a node is there. `false` if there are too many.
    fn meet(&mut self, from: NodeId, message: &Message, now: Instant) -> bool {
        let name = match message {
            Message::Hello { name } | Message::Beat { name } => name.as_deref(),
            _ => None,
        };
        if let Some(name) = name {
            // Who was there before is not there any more.
            let before = |(_, peer): &(&NodeId, &Peer)| peer.name.as_deref() == Some(name);
            let before = self.peers.iter().filter(before).map(|(&node, _)| node).find(|&node| node != from);
            if let Some(before) = before {
                self.lose(before);
            }
        }
        if !self.peers.contains_key(&from) {
            if self.peers.len() >= MAX_NODES {
                return false;
            }
            self.peers.insert(from, Peer { heard: now, name: None });
            if name.is_some() && name == self.name.as_deref() {
                // The others take each of the two for the end of the other one.
                tracing::warn!(name, node = %from, "another node has the name of this one, and may take its queues");
            }
            self.owned = self.owned.min(now + self.timing.repeat());
            for claim in self.claims.values_mut().filter(|claim| !claim.is_granted) {
                claim.waiting.insert(from);
                claim.repeat = now;
            }
        }
        if let Some(peer) = self.peers.get_mut(&from) {
            peer.heard = now;
            if name.is_some() {
                peer.name = name.map(Box::from);
            }
        }
        true
    }

    /// A node is not there any more.
    fn lose(&mut self, node: NodeId) {
        if self.peers.remove(&node).is_some() {
            self.claims.values_mut().for_each(|claim| _ = claim.waiting.remove(&node));
        }
    }

    /// Whether this node leaves a queue to another one that claims it. Then its own claim fails.
    fn leaves(&mut self, queue: &str, from: NodeId, owns: Owns<'_>) -> bool {
        if owns(queue).is_some() {
            return false;
        }
        let me = self.me;
        match self.claims.get(queue) {
            Some(mine) if mine.is_granted || me < from => false,
            Some(_) => {
                self.fail(queue, Verdict::Elsewhere);
                true
            }
            None => true,
        }
    }

    fn answered(&mut self, from: NodeId, queue: &str, number: u64, is_free: bool) {
        let claim = self.claims.get_mut(queue).filter(|claim| claim.number == number && !claim.is_granted);
        match claim {
            Some(claim) if is_free => _ = claim.waiting.remove(&from),
            Some(_) => self.fail(queue, Verdict::Elsewhere),
            // It is of a claim that has been decided.
            None => {}
        }
    }

    /// Another node says that it owns a queue, and for how long, in milliseconds.
    fn compare(&mut self, queue: Box<str>, (age, from): (u64, NodeId), now: Instant, owns: Owns<'_>) {
        match owns(&queue) {
            // The other one decides, once it hears of it.
            Some(_) if from < self.me => self.owned = self.owned.min(now + self.timing.repeat()),
            Some(since) if age_at(since, now) < age => _ = self.given_up.insert(queue),
            Some(_) => self.answer(from, Message::Kept(queue)),
            None if self.claims.get(&queue).is_some_and(|claim| !claim.is_granted) => {
                self.fail(&queue, Verdict::Elsewhere);
            }
            None => {}
        }
    }

    fn answer(&mut self, to: NodeId, message: Message) {
        if self.answers < MAX_ANSWERS {
            self.answers += 1;
            self.outbox.push(Outgoing::To(to, message));
        }
    }

    fn fail(&mut self, queue: &str, verdict: Verdict) {
        if let Some((queue, _)) = self.claims.remove_entry(queue) {
            self.verdicts.push((queue, verdict));
        }
    }
}

/// How long a queue has been owned, in milliseconds.
pub(crate) fn age_at(since: Instant, now: Instant) -> u64 {
    u64::try_from(now.saturating_duration_since(since).as_millis()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
