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
    iter, mem,
    time::Instant,
};

use sockjs_bus::NodeId;

use super::{
    bounds::{Bounds, Timing},
    counts::ClusterCounts,
    known::{Known, Touched},
    peer::{Partial, Peer},
    places::{Places, Token},
    protocol::{Message, Op, Part, Received, Record, TabId},
    replica::{Change, Replica, Size},
};

/// Operations that are sent without waiting for more.
const MAX_PENDING: usize = 256;

/// So many messages wait to be sent. What does not fit is in a snapshot.
const MAX_OUTBOX: usize = 64;

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
    held: Size,
    /// Of all snapshots of which parts have come.
    arriving: Size,
    known: Known<K, U, D>,
    outbox: Vec<Message<K, U, D>>,
    counts: ClusterCounts,
    /// A node with the address of this one, which nobody has been told of.
    namesake: Option<NodeId>,
    beat_at: Instant,
    flush_at: Option<Instant>,
    snapshot_at: Option<Instant>,
    last_snapshot: Option<Instant>,
    last_tick: Instant,
}

impl<K: Clone + Eq + Hash, U: Clone + Eq + Hash, D: Clone> Cluster<K, U, D> {
    /// A node that has just started. It says so when it is told to [greet](Self::greet) the others.
    pub(crate) fn new(
        me: NodeId,
        address: Option<String>,
        timing: Timing,
        bounds: Bounds,
        now: Instant,
    ) -> Self {
        Self {
            me,
            address,
            timing,
            bounds,
            own: Replica::default(),
            places: Places::default(),
            version: 0,
            pending: Vec::new(),
            peers: HashMap::new(),
            held: Size::default(),
            arriving: Size::default(),
            known: Known::default(),
            outbox: Vec::new(),
            counts: ClusterCounts::default(),
            namesake: None,
            beat_at: now + timing.beat(),
            flush_at: None,
            snapshot_at: None,
            last_snapshot: None,
            last_tick: now,
        }
    }

    /// The others can be heard from now on: they are asked for what they have.
    pub(crate) fn greet(&mut self) {
        // Behind what is waiting, which would seem to be missing otherwise.
        self.flush();
        let (version, address) = (self.version, self.address.clone());
        self.outbox.push(Message::Hello { version, address });
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
        self.own.apply(op.clone(), self.version, 0, &mut changes);
        self.pending.push(op);
        if self.pending.len() >= MAX_PENDING {
            if self.outbox.len() < MAX_OUTBOX {
                self.flush();
            } else {
                self.collapse(now);
            }
        } else {
            self.flush_at.get_or_insert(now + self.timing.batch);
        }
        changes
    }

    /// A message of another node has come.
    pub(crate) fn receive(&mut self, from: NodeId, received: impl Into<Received<K, U, D>>, now: Instant) {
        if from == self.me {
            return;
        }
        let Received { message, sizes, unreadable } = received.into();
        let sizes = sizes.into_iter().chain(iter::repeat(0));
        self.counts.refused += unreadable;
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
                self.present(from, address, version, now);
            }
            Message::Beat { version, address } => self.present(from, address, version, now),
            Message::Delta { version, ops } => {
                if self.heard(from, now).is_some() {
                    self.receive_delta(from, version, ops.into_iter().zip(sizes), now);
                }
            }
            Message::Snapshot { version, part, records } => {
                if self.heard(from, now).is_some() {
                    self.receive_snapshot(from, version, part, records.into_iter().zip(sizes), now);
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
        let patience = self.timing.retry();
        let peer = self.peers.entry(from).or_insert_with(|| Peer::new(now, patience));
        peer.heard = now;
        Some(peer)
    }

    /// A node says its address, and how many operations it has had.
    fn present(&mut self, from: NodeId, address: Option<String>, version: u64, now: Instant) {
        let is_mine = address.is_some() && address == self.address;
        let Some(peer) = self.heard(from, now) else { return };
        // Once for each node: it says so again and again.
        let is_news = peer.address != address;
        peer.address = address;
        if is_mine && is_news {
            self.namesake = Some(from);
        }
        self.compare(from, version, now);
    }

    /// A node says how many operations it has had.
    fn compare(&mut self, from: NodeId, version: u64, now: Instant) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // A higher one of ours would be of nobody's making.
        if peer.version == version || peer.behind.is_some() {
            return;
        }
        peer.wait(now, self.timing.max_retry());
        self.counts.holes += u64::from(peer.version > 0);
        // Otherwise it is asked the next time.
        if self.outbox.len() < MAX_OUTBOX {
            self.outbox.push(Message::Want { node: from });
        }
    }

    fn receive_delta(
        &mut self,
        from: NodeId,
        version: u64,
        ops: impl Iterator<Item = (Op<K, U, D>, usize)>,
        now: Instant,
    ) {
        self.compare(from, version, now);
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // Of a replica that is behind, a snapshot that has yet to be sent has these too.
        if peer.version != version {
            return;
        }
        let (max, others) = (self.bounds.size(), self.held.without(peer.replica.size()));
        let mut changes = Vec::new();
        let refused = peer.operate(ops, (others.and(self.arriving), max), &mut changes);
        if refused > 0 {
            self.counts.refused += refused;
            peer.refused.get_or_insert(now + self.timing.dead_after);
        }
        self.held = others.and(peer.replica.size());
        self.known.index(from, changes);
    }

    fn receive_snapshot(
        &mut self,
        from: NodeId,
        version: u64,
        part: Part,
        records: impl Iterator<Item = (Record<K, U, D>, usize)>,
        now: Instant,
    ) {
        let Some(peer) = self.peers.get_mut(&from) else { return };
        // Others have asked for it.
        if peer.behind.is_none() && peer.version == version {
            return;
        }
        let (partial, size) = peer.take_partial();
        self.arriving = self.arriving.without(size);
        // One is missing: it is asked for again.
        let Some(mut partial) = Partial::of(partial, version, part.index) else { return };
        let (max, others) = (self.bounds.size(), self.held.without(peer.replica.size()));
        self.counts.refused += partial.add(records, (others.and(self.arriving), max));
        if !part.is_last {
            self.arriving = self.arriving.and(partial.replica.size());
            peer.partial = Some(partial);
            // The next parts are on their way.
            peer.behind = peer.behind.max(Some(now + self.timing.retry()));
            return;
        }
        let mut changes = Vec::new();
        self.held = others.and(partial.replica.size());
        peer.replica.replace(partial.replica, &mut changes);
        peer.version = version;
        peer.behind = None;
        peer.patience = self.timing.retry();
        peer.refused = partial.was_refused.then(|| now + self.timing.dead_after);
        self.known.index(from, changes);
    }

    /// A node is no longer there, and its sessions are not.
    fn forget(&mut self, node: NodeId) {
        let Some(mut peer) = self.peers.remove(&node) else { return };
        let mut changes = Vec::new();
        self.held = self.held.without(peer.replica.size());
        self.arriving = self.arriving.without(peer.take_partial().1);
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

    /// Nobody takes what is to be sent: the others miss it, and get a snapshot instead.
    fn collapse(&mut self, now: Instant) {
        self.flush_at = None;
        self.pending.clear();
        self.outbox.retain(|message| !matches!(message, Message::Delta { .. }));
        self.owe_snapshot(now);
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
        // Well below the bound, so that there is room for what has been refused.
        let has_room = self.held.and(self.held.third()).fits(self.bounds.size()) && self.bounds.entries > 0;
        for (&node, peer) in &mut self.peers {
            if peer.is_due(has_room, now) {
                peer.refused = None;
                self.arriving = self.arriving.without(peer.take_partial().1);
                peer.wait(now, self.timing.max_retry());
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

    /// Takes a node that has said the address of this one: both live, and the others take each for the end of the other.
    pub(crate) fn take_namesake(&mut self) -> Option<NodeId> {
        self.namesake.take()
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
