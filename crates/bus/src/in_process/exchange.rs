//! What all connections of a bus in process share.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
};

use bytes::Bytes;
use tokio::{sync::Notify, task, time};

use super::{
    faults::{Dice, Faults},
    log::Logs,
    queue::Queue,
};
use crate::{bus::Receiver, subject::Subject};

#[derive(Debug)]
pub(super) struct Exchange {
    state: Mutex<State>,
    pub(super) logs: Arc<Logs>,
    pub(super) max_payload: usize,
    pub(super) max_waiting: usize,
}

#[derive(Debug)]
struct State {
    nodes: BTreeMap<u64, Node>,
    /// The nodes that have subscribed to something.
    interested: HashMap<Subject, BTreeSet<u64>>,
    /// Pairs of nodes that do not hear each other, the smaller number first.
    cut: BTreeSet<(u64, u64)>,
    faults: Faults,
    dice: Dice,
    next_id: u64,
}

struct Node {
    is_connected: bool,
    queue: Queue,
    subscriptions: HashMap<Subject, Vec<(u64, Receiver)>>,
    notify: Arc<Notify>,
    overflowed: u64,
    received: u64,
}

/// The most messages that are delivered before other tasks have a turn.
const TURN: usize = 32;

/// What a node's task does next.
enum Next {
    Deliver(Bytes, Vec<Receiver>),
    /// Nothing is due before that time, if anything is at all.
    Wait(Option<time::Instant>),
    /// The connection has ended.
    End,
}

impl Exchange {
    pub(super) fn new(max_payload: usize, max_waiting: usize) -> Self {
        let state = State {
            nodes: BTreeMap::new(),
            interested: HashMap::new(),
            cut: BTreeSet::new(),
            faults: Faults::none(),
            dice: Dice::new(0),
            next_id: 0,
        };
        Self { state: Mutex::new(state), logs: Arc::new(Logs::new()), max_payload, max_waiting }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a node, and the task that delivers to it.
    pub(super) fn add_node(self: &Arc<Self>) -> u64 {
        let notify = Arc::new(Notify::new());
        let node = {
            let mut state = self.lock();
            let node = state.next_id();
            let new = Node {
                is_connected: true,
                queue: Queue::default(),
                subscriptions: HashMap::new(),
                notify: Arc::clone(&notify),
                overflowed: 0,
                received: 0,
            };
            state.nodes.insert(node, new);
            node
        };
        tokio::spawn(deliver(Arc::downgrade(self), node, notify));
        node
    }

    pub(super) fn remove_node(&self, node: u64) {
        let removed = {
            let mut state = self.lock();
            let removed = state.nodes.remove(&node);
            let subjects = removed.iter().flat_map(|removed| removed.subscriptions.keys());
            subjects.for_each(|subject| state.forget_interest(node, subject));
            state.cut.retain(|&(one, other)| one != node && other != node);
            removed
        };
        if let Some(removed) = removed {
            removed.notify.notify_one();
        }
    }

    pub(super) fn subscribe(&self, node: u64, subject: &Subject, receiver: Receiver) -> u64 {
        let mut state = self.lock();
        let id = state.next_id();
        if let Some(at) = state.nodes.get_mut(&node) {
            at.subscriptions.entry(subject.clone()).or_default().push((id, receiver));
            state.interested.entry(subject.clone()).or_default().insert(node);
        }
        id
    }

    pub(super) fn unsubscribe(&self, node: u64, subject: &Subject, id: u64) {
        let _ended = {
            let mut state = self.lock();
            let Some(at) = state.nodes.get_mut(&node) else { return };
            let Some(subscriptions) = at.subscriptions.get_mut(subject) else { return };
            let Some(index) = subscriptions.iter().position(|&(other, _)| other == id) else { return };
            let ended = subscriptions.remove(index);
            if subscriptions.is_empty() {
                at.subscriptions.remove(subject);
                state.forget_interest(node, subject);
            }
            ended
        };
    }

    /// Puts a message into the queues of those who have subscribed. `false` if its node is disconnected.
    pub(super) fn publish(&self, from: u64, subject: &Subject, payload: &Bytes) -> bool {
        let woken = {
            let mut state = self.lock();
            if !state.nodes.get(&from).is_some_and(|node| node.is_connected) {
                return false;
            }
            state.publish(from, subject, payload, self.max_waiting)
        };
        woken.iter().for_each(|notify| notify.notify_one());
        true
    }

    /// What has been received and lost at a node.
    pub(super) fn counts(&self, node: u64) -> (u64, u64) {
        self.lock().nodes.get(&node).map(|node| (node.received, node.overflowed)).unwrap_or_default()
    }

    fn next(&self, node: u64) -> Next {
        let mut state = self.lock();
        let Some(node) = state.nodes.get_mut(&node) else { return Next::End };
        let Some((subject, payload)) = node.queue.pop(time::Instant::now()) else {
            return Next::Wait(node.queue.next_due());
        };
        let receivers = node.subscriptions.get(&subject).into_iter().flatten();
        let receivers: Vec<_> = receivers.map(|(_, receiver)| Arc::clone(receiver)).collect();
        node.received += receivers.len() as u64;
        Next::Deliver(payload, receivers)
    }
}

#[cfg(any(test, feature = "test"))]
impl Exchange {
    pub(super) fn set_faults(&self, faults: Faults, seed: u64) {
        let mut state = self.lock();
        state.faults = faults;
        state.dice = Dice::new(seed);
    }

    pub(super) fn cut(&self, one: u64, other: u64) {
        self.lock().cut.insert((one.min(other), one.max(other)));
    }

    pub(super) fn heal(&self) {
        self.lock().cut.clear();
    }

    /// Messages to a node whose connection is lost are lost as well.
    pub(super) fn set_connected(&self, node: u64, is_connected: bool) {
        let _lost = {
            let mut state = self.lock();
            state.nodes.get_mut(&node).map(|node| {
                node.is_connected = is_connected;
                std::mem::take(&mut node.queue)
            })
        };
    }
}

impl State {
    fn next_id(&mut self) -> u64 {
        self.next_id += 1;
        self.next_id
    }

    fn forget_interest(&mut self, node: u64, subject: &Subject) {
        if let Some(nodes) = self.interested.get_mut(subject) {
            nodes.remove(&node);
            if nodes.is_empty() {
                self.interested.remove(subject);
            }
        }
    }

    fn publish(&mut self, from: u64, subject: &Subject, payload: &Bytes, max: usize) -> Vec<Arc<Notify>> {
        let Self { nodes, interested, cut, faults, dice, .. } = self;
        let now = time::Instant::now();
        let mut woken = Vec::new();
        for to in interested.get(subject).into_iter().flatten() {
            let Some(node) = nodes.get_mut(to).filter(|node| node.is_connected) else { continue };
            if cut.contains(&(from.min(*to), from.max(*to))) || dice.percent(faults.drop_percent) {
                continue;
            }
            let times = 1 + usize::from(dice.percent(faults.repeat_percent));
            for _ in 0..times {
                if node.queue.len() < max {
                    let due = now + dice.within(&faults.delay);
                    node.queue.push(from, subject, payload.clone(), now, due);
                } else {
                    node.overflowed += 1;
                }
            }
            woken.push(Arc::clone(&node.notify));
        }
        woken
    }
}

impl std::fmt::Debug for Node {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Node").field("queue", &self.queue).finish_non_exhaustive()
    }
}

/// The task of a node, which calls its receivers.
async fn deliver(exchange: Weak<Exchange>, node: u64, notify: Arc<Notify>) {
    let mut turn = 0;
    loop {
        // Held no longer than needed, so that the task does not keep what it waits for.
        let Some(next) = exchange.upgrade().map(|exchange| exchange.next(node)) else { return };
        match next {
            Next::Deliver(payload, receivers) => {
                receivers.iter().for_each(|receiver| receiver(payload.clone()));
                turn += 1;
                if turn % TURN == 0 {
                    task::yield_now().await;
                }
            }
            Next::Wait(Some(due)) => _ = time::timeout_at(due, notify.notified()).await,
            Next::Wait(None) => notify.notified().await,
            Next::End => return,
        }
    }
}
