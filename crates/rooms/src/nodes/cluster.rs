//! What a node knows of all others, as a state machine: messages and the time go in, messages and changes come out.
//!
//! ```text
//!             any message of the node                 as many operations as it says
//!   unknown ──────────────────────────► behind ◄─────────────────────────────────── in step
//!      ▲                                  │  ▲            a number is missing          ▲  │
//!      │                                  │  └─────────────────────────────────────────┼──┘
//!      │ Bye, silence, or a new node      └────────────────────────────────────────────┘
//!      │ at its address                        a snapshot, whole
//!      └── from both
//! ```
//!
//! A node that is behind keeps what it has until the snapshot replaces it, and asks again until one comes.

use std::{
    collections::{HashMap, HashSet},
    hash::Hash,
    mem,
    time::{Duration, Instant},
};

use sockjs_bus::NodeId;

use super::{
    known::{Known, Touched},
    places::{Places, Token},
    protocol::{Message, Op, Part, Record, TabId},
    replica::{Change, Replica},
};

/// The times of a cluster, which all nodes should have alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// After so much silence a node counts as dead.
    pub(crate) dead_after: Duration,
    /// Operations wait for others so long, to be sent together.
    pub(crate) batch: Duration,
}

impl Timing {
    /// A node is never silent for longer: three of four may be lost.
    fn beat(self) -> Duration {
        self.dead_after / 4
    }

    /// How long a snapshot is waited for until it is asked for again.
    fn retry(self) -> Duration {
        self.dead_after / 8
    }

    /// All who ask within this time get one snapshot.
    fn snapshots(self) -> Duration {
        self.dead_after / 16
    }
}

/// Bounds of what other nodes may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    /// Sessions and memberships of all other nodes together.
    pub(crate) entries: usize,
}

/// Operations that are sent without waiting for more.
const MAX_PENDING: usize = 256;

/// An own session.
#[derive(Debug)]
pub(crate) struct Own<'a, U> {
    pub(crate) id: TabId,
    /// Tells apart the times that the session is known: see [`Places`].
    pub(crate) tab: usize,
    pub(crate) user: Option<&'a U>,
}

impl<U> Clone for Own<'_, U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U> Copy for Own<'_, U> {}

/// What has to be dropped outside of a lock.
pub(crate) type Garbage<K, U, D> = Vec<Change<K, U, D>>;

#[derive(Debug)]
pub(crate) struct Cluster<K, U, D> {
    me: NodeId,
    address: Option<String>,
    timing: Timing,
    bounds: Bounds,
    own: Replica<K, U, D>,
    places: Places<K>,
    /// The operations on it.
    version: u64,
    /// The last of them, which have not been sent.
    pending: Vec<Op<K, U, D>>,
    peers: HashMap<NodeId, Peer<K, U, D>>,
    /// Of all peers' replicas together.
    entries: usize,
    known: Known<K, U, D>,
    outbox: Vec<Message<K, U, D>>,
    counts: ClusterCounts,
    beat_at: Instant,
    flush_at: Option<Instant>,
    snapshot_at: Option<Instant>,
    last_snapshot: Option<Instant>,
    last_tick: Instant,
}

#[derive(Debug)]
struct Peer<K, U, D> {
    replica: Replica<K, U, D>,
    version: u64,
    address: Option<String>,
    heard: Instant,
    /// When a snapshot is asked for again, if the replica is behind.
    behind: Option<Instant>,
    partial: Option<Partial<K, U, D>>,
}

/// The parts of a snapshot that have come.
#[derive(Debug)]
struct Partial<K, U, D> {
    version: u64,
    next: u32,
    replica: Replica<K, U, D>,
}

/// What has been seen of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClusterCounts {
    /// How often operations of a node were missing.
    pub(crate) holes: u64,
    /// Nodes that have fallen silent.
    pub(crate) dead: u64,
    /// Snapshots that were sent.
    pub(crate) snapshots: u64,
    /// What was beyond a bound and is not known.
    pub(crate) refused: u64,
}

impl<K: Clone + Eq + Hash, U: Clone + Eq + Hash, D: Clone> Cluster<K, U, D> {
    /// A node that has just started. It tells the others, and asks them for what they have.
    pub(crate) fn new(
        me: NodeId,
        address: Option<String>,
        timing: Timing,
        bounds: Bounds,
        now: Instant,
    ) -> Self {
        Self {
            me,
            address: address.clone(),
            timing,
            bounds,
            own: Replica::default(),
            places: Places::default(),
            version: 0,
            pending: Vec::new(),
            peers: HashMap::new(),
            entries: 0,
            known: Known::default(),
            outbox: vec![Message::Hello { version: 0, address }],
            counts: ClusterCounts::default(),
            beat_at: now + timing.beat(),
            flush_at: None,
            snapshot_at: None,
            last_snapshot: None,
            last_tick: now,
        }
    }

    /// An own session is known. Like what follows, it may be told late or more than once.
    pub(crate) fn enter(&mut self, tab: Own<'_, U>, now: Instant) -> Garbage<K, U, D> {
        let is_news = self.places.enter(tab.id, tab.tab);
        let op = || Op::Enter(tab.id, tab.user.cloned());
        if is_news { self.operate(op(), now) } else { Vec::new() }
    }

    /// An own session is no longer known.
    pub(crate) fn exit(&mut self, id: TabId, tab: usize, now: Instant) -> Garbage<K, U, D> {
        if self.places.exit(id, tab) { self.operate(Op::Exit(id), now) } else { Vec::new() }
    }

    /// An own session has joined a room.
    pub(crate) fn join(
        &mut self,
        tab: Own<'_, U>,
        room: &K,
        token: Token,
        data: &D,
        now: Instant,
    ) -> Garbage<K, U, D> {
        // Whoever has made it known may not have told it yet.
        let mut garbage = self.enter(tab, now);
        if self.places.join(tab.id, room, token) {
            garbage.extend(self.operate(Op::Join(tab.id, room.clone(), data.clone()), now));
        }
        garbage
    }

    /// A membership has other data.
    pub(crate) fn update(
        &mut self,
        id: TabId,
        room: &K,
        token: Token,
        data: &D,
        now: Instant,
    ) -> Garbage<K, U, D> {
        let is_news = self.places.is_there(id, room, token);
        let op = || Op::Join(id, room.clone(), data.clone());
        if is_news { self.operate(op(), now) } else { Vec::new() }
    }

    /// An own session has left a room.
    pub(crate) fn leave(&mut self, id: TabId, room: &K, token: Token, now: Instant) -> Garbage<K, U, D> {
        let is_news = self.places.leave(id, room, token);
        if is_news { self.operate(Op::Leave(id, room.clone()), now) } else { Vec::new() }
    }

    /// An operation on an own session.
    fn operate(&mut self, op: Op<K, U, D>, now: Instant) -> Garbage<K, U, D> {
        let mut changes = Vec::new();
        self.version += 1;
        self.own.apply(op.clone(), self.version, &mut changes);
        self.pending.push(op);
        if self.pending.len() >= MAX_PENDING {
            self.flush();
        } else {
            self.flush_at.get_or_insert(now + self.timing.batch);
        }
        changes
    }

    /// A message of another node has come.
    pub(crate) fn receive(&mut self, from: NodeId, message: Message<K, U, D>, now: Instant) {
        if from == self.me {
            return;
        }
        match message {
            Message::Bye => self.forget(from),
            Message::Want { node } => {
                if node == self.me {
                    self.owe_snapshot(now);
                }
                _ = self.heard(from, now);
            }
            Message::Hello { version, address } => {
                self.owe_snapshot(now);
                if address.is_some() {
                    let old = |(&id, peer): (&NodeId, &Peer<K, U, D>)| {
                        (id != from && peer.address == address).then_some(id)
                    };
                    let replaced: Vec<_> = self.peers.iter().filter_map(old).collect();
                    replaced.into_iter().for_each(|old| self.forget(old));
                }
                if let Some(peer) = self.heard(from, now) {
                    peer.address = address;
                    self.compare(from, version, now);
                }
            }
            Message::Beat { version, address } => {
                if let Some(peer) = self.heard(from, now) {
                    peer.address = address;
                    self.compare(from, version, now);
                }
            }
            Message::Delta { version, ops } => {
                if self.heard(from, now).is_some() {
                    self.receive_delta(from, version, ops, now);
                }
            }
            Message::Snapshot { version, part, records } => {
                if self.heard(from, now).is_some() {
                    self.receive_snapshot(from, version, part, records);
                }
            }
        }
    }

    /// The peer, which is not silent. `None` if there are too many.
    fn heard(&mut self, from: NodeId, now: Instant) -> Option<&mut Peer<K, U, D>> {
        if !self.peers.contains_key(&from) && self.peers.len() >= self.bounds.nodes {
            self.counts.refused += 1;
            return None;
        }
        let peer = self.peers.entry(from).or_insert_with(|| Peer {
            replica: Replica::default(),
            version: 0,
            address: None,
            heard: now,
            behind: None,
            partial: None,
        });
        peer.heard = now;
        Some(peer)
    }

    /// A node says how many operations it has had.
    fn compare(&mut self, from: NodeId, version: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // A higher one of ours would be of nobody's making.
        if peer.version == version || peer.behind.is_some() {
            return;
        }
        peer.behind = Some(now + self.timing.retry());
        self.counts.holes += u64::from(peer.version > 0);
        self.outbox.push(Message::Want { node: from });
    }

    fn receive_delta(&mut self, from: NodeId, version: u64, ops: Vec<Op<K, U, D>>, now: Instant) {
        self.compare(from, version, now);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // Of a replica that is behind, a snapshot that has yet to be sent has these too.
        if peer.version != version {
            return;
        }
        let mut changes = Vec::new();
        for op in ops {
            peer.version = peer.version.saturating_add(1);
            let before = peer.replica.len();
            if self.entries >= self.bounds.entries && matches!(op, Op::Enter(..) | Op::Join(..)) {
                self.counts.refused += 1;
                continue;
            }
            peer.replica.apply(op, peer.version, &mut changes);
            self.entries = self.entries + peer.replica.len() - before;
        }
        self.known.index(from, changes);
    }

    fn receive_snapshot(&mut self, from: NodeId, version: u64, part: Part, records: Vec<Record<K, U, D>>) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // Others have asked for it.
        if peer.behind.is_none() && peer.version == version {
            return;
        }
        let partial = match peer.partial.take() {
            _ if part.index == 0 => Partial { version, next: 0, replica: Replica::default() },
            Some(partial) if partial.version == version && partial.next == part.index => partial,
            // One is missing: it is asked for again.
            _ => return,
        };
        let mut partial = Partial { next: partial.next.saturating_add(1), ..partial };
        let others = self.entries - peer.replica.len();
        let mut ignored = Vec::new();
        for record in records {
            if others + partial.replica.len() < self.bounds.entries {
                partial.replica.apply(record.op, record.revision, &mut ignored);
            } else {
                self.counts.refused += 1;
            }
        }
        if !part.is_last {
            peer.partial = Some(partial);
            return;
        }
        let mut changes = Vec::new();
        self.entries = others + partial.replica.len();
        peer.replica.replace(partial.replica, &mut changes);
        peer.version = version;
        peer.behind = None;
        self.known.index(from, changes);
    }

    /// A node is no longer there, and its sessions are not.
    fn forget(&mut self, node: NodeId) {
        let Some(mut peer) = self.peers.remove(&node) else { return };
        let mut changes = Vec::new();
        self.entries -= peer.replica.len();
        peer.replica.clear(&mut changes);
        self.known.index(node, changes);
    }

    fn owe_snapshot(&mut self, now: Instant) {
        let soonest = self.last_snapshot.map_or(now, |last| last + self.timing.snapshots());
        // A little later, for others who ask at the same time.
        self.snapshot_at.get_or_insert(soonest.max(now + self.timing.batch));
    }

    fn flush(&mut self) {
        self.flush_at = None;
        let ops = mem::take(&mut self.pending);
        if !ops.is_empty() {
            let version = self.version - ops.len() as u64;
            self.outbox.push(Message::Delta { version, ops });
        }
    }

    /// Does what is due. It may be called earlier or later than [`next_due`](Self::next_due) says.
    pub(crate) fn tick(&mut self, now: Instant) {
        // Who has been asleep itself has heard nobody, which says nothing of them.
        let was_asleep = now.saturating_duration_since(self.last_tick) > self.timing.dead_after / 2;
        self.last_tick = now;
        if was_asleep {
            self.peers.values_mut().for_each(|peer| peer.heard = now);
        }
        let dead = self.peers.iter().filter(|(_, peer)| peer.heard + self.timing.dead_after <= now);
        let dead: Vec<_> = dead.map(|(&node, _)| node).collect();
        self.counts.dead += dead.len() as u64;
        dead.into_iter().for_each(|node| self.forget(node));
        for (&node, peer) in &mut self.peers {
            if peer.behind.is_some_and(|again| again <= now) {
                peer.behind = Some(now + self.timing.retry());
                self.outbox.push(Message::Want { node });
            }
        }
        if self.flush_at.is_some_and(|at| at <= now) {
            self.flush();
        }
        if self.snapshot_at.is_some_and(|at| at <= now) {
            self.snapshot_at = None;
            self.last_snapshot = Some(now);
            self.counts.snapshots += 1;
            // So that what follows the snapshot begins where it ends.
            self.flush();
            let (version, records) = (self.version, self.own.records());
            self.outbox.push(Message::Snapshot { version, part: Part::WHOLE, records });
        }
        if self.beat_at <= now {
            self.beat_at = now + self.timing.beat();
            // Behind what is waiting, which would seem to be missing otherwise.
            self.flush();
            let (version, address) = (self.version, self.address.clone());
            self.outbox.push(Message::Beat { version, address });
        }
    }

    /// When [`tick`](Self::tick) has something to do, if nothing comes before. Every call may change it.
    pub(crate) fn next_due(&self) -> Instant {
        let peers =
            self.peers.values().flat_map(|peer| [Some(peer.heard + self.timing.dead_after), peer.behind]);
        peers.chain([self.flush_at, self.snapshot_at]).flatten().fold(self.beat_at, Instant::min)
    }

    /// When there will be something to take, as far as calls of others may have changed that.
    pub(crate) fn output_due(&self) -> Option<Instant> {
        if self.outbox.is_empty() && !self.known.is_touched() {
            self.flush_at.into_iter().chain(self.snapshot_at).min()
        } else {
            Some(self.last_tick)
        }
    }

    /// Takes what is to be sent to all others, in this order.
    pub(crate) fn take_outbox(&mut self) -> Vec<Message<K, U, D>> {
        mem::take(&mut self.outbox)
    }

    /// What is known of the rooms and users of all other nodes.
    pub(crate) fn known(&self) -> &Known<K, U, D> {
        &self.known
    }

    /// Takes the rooms and users in which something has changed on other nodes.
    pub(crate) fn take_touched(&mut self) -> HashSet<Touched<K, U>> {
        self.known.take_touched()
    }

    /// How many other nodes are known.
    pub(crate) fn nodes(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn counts(&self) -> ClusterCounts {
        self.counts
    }
}

#[cfg(test)]
mod tests;
