//! Which queues the node owns, and what waits until that is known.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Instant as StdInstant,
};

use sockjs_bus::NodeId;
use tokio::{sync::Notify, time::Instant};

use super::{
    claims::{Claims, Outgoing, Timing, Verdict},
    protocol::Message,
    waiting::{Denied, Op, Waiting},
};
use crate::broker::memory::{queue::Queue, shared::Shared};

/// Which queues the node owns, and what waits until that is known.
///
/// A queue that is there is owned: it is made only for what has waited for that, and otherwise nothing but what is there is
/// used.
pub(super) struct Ownership {
    shared: Arc<Shared>,
    state: Mutex<State>,
    /// How many queues are waited for.
    waited: AtomicUsize,
    /// Wakes the task that speaks with the other nodes.
    wake: Arc<Notify>,
}

struct State {
    claims: Claims,
    waiting: Waiting,
    /// Queues that have been granted, and since when, until nothing waits for them: what comes meanwhile waits as well.
    granted: HashMap<Box<str>, StdInstant>,
}

/// What is to be done, with no lock held.
pub(super) struct Turn {
    pub(super) outbox: Vec<Outgoing>,
    /// What waited for queues whose claims have failed.
    pub(super) failed: Vec<(Vec<Op>, Denied)>,
    /// What waits for queues that are owned, since when. More may come before the next turn.
    pub(super) granted: Vec<(Vec<Op>, StdInstant)>,
    /// Queues that have been taken away, as another node has them.
    pub(super) given_up: Vec<Arc<Queue>>,
    /// When the next turn is.
    pub(super) due: Instant,
}

impl Ownership {
    pub(super) fn new(
        shared: &Arc<Shared>,
        me: NodeId,
        name: Option<Box<str>>,
        timing: Timing,
        wake: Arc<Notify>,
    ) -> Self {
        let limits = shared.settings.queue;
        let state = State {
            claims: Claims::new(me, name, timing, now()),
            waiting: Waiting::new(limits.messages, limits.bytes),
            granted: HashMap::new(),
        };
        Self { shared: Arc::clone(shared), state: Mutex::new(state), waited: AtomicUsize::new(0), wake }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether something waits for a queue: then what comes later waits as well, to keep the order.
    pub(super) fn is_waited(&self, queue: &str) -> bool {
        self.waited.load(Ordering::Acquire) > 0 && self.lock().waiting.contains(queue)
    }

    /// Does something with a queue once it is known whether the node owns it: later, or at once if that cannot be known.
    pub(super) fn when_known(&self, queue: &str, bytes: usize, is_connected: bool, op: Op) {
        let denied = {
            let mut state = self.lock();
            let State { claims, waiting, .. } = &mut *state;
            if is_connected {
                // The task may not have seen it yet.
                claims.coming_back();
            }
            let result = waiting.check(bytes).and_then(|()| {
                let may_be = waiting.contains(queue) || claims.claim(queue, now());
                if may_be { Ok(()) } else { Err(Denied::Unknown) }
            });
            match result {
                Ok(()) => {
                    waiting.push(queue, bytes, op);
                    self.waited.store(waiting.len(), Ordering::Release);
                    None
                }
                Err(denied) => Some((op, denied)),
            }
        };
        match denied {
            None => self.wake.notify_one(),
            Some((op, denied)) => op(Err(denied)),
        }
    }

    /// A message of another node.
    pub(super) fn receive(&self, from: NodeId, message: Message) {
        let is_beat = matches!(message, Message::Beat { .. });
        let queues = &self.shared.queues;
        let is_met = {
            let mut state = self.lock();
            let before = state.claims.nodes();
            state.claims.receive(from, message, now(), &|queue| queues.since(queue));
            state.claims.nodes() != before
        };
        // Of a node that is known, a beat asks for nothing.
        if !is_beat || is_met {
            self.wake.notify_one();
        }
    }

    /// Whether the others are heard.
    pub(super) fn set_heard(&self, is_heard: bool) {
        let mut state = self.lock();
        if is_heard {
            state.claims.heard(now());
        } else {
            state.claims.away();
        }
    }

    /// Each of the queues that are owned has one part of its turn: however much comes, the others are told meanwhile that
    /// the node is there.
    pub(super) fn turn(&self) -> Turn {
        let mut state = self.lock();
        let State { claims, waiting, granted } = &mut *state;
        claims.tick(now());
        let mut turn = Turn {
            outbox: claims.take_outbox(),
            failed: Vec::new(),
            granted: Vec::new(),
            given_up: Vec::new(),
            due: claims.next_due().into(),
        };
        for (queue, verdict) in claims.take_verdicts() {
            let denied = match verdict {
                Verdict::Granted { since } => {
                    granted.insert(queue, since);
                    continue;
                }
                Verdict::Elsewhere => Denied::Elsewhere,
                Verdict::Unknown => Denied::Unknown,
            };
            turn.failed.push((waiting.take_all(&queue), denied));
        }
        for queue in claims.take_given_up() {
            granted.remove(&queue);
            claims.done(&queue);
            turn.failed.push((waiting.take_all(&queue), Denied::Elsewhere));
            turn.given_up.extend(self.shared.queues.remove(&queue));
        }
        granted.retain(|queue, since| {
            let ops = waiting.take(queue);
            let is_waited = !ops.is_empty();
            if is_waited {
                turn.granted.push((ops, *since));
            } else {
                // It is owned only as long as it is used.
                claims.done(queue);
            }
            is_waited
        });
        self.waited.store(waiting.len(), Ordering::Release);
        turn
    }

    /// How many other nodes are known, and how many have fallen silent.
    pub(super) fn nodes(&self) -> (usize, u64) {
        let state = self.lock();
        (state.claims.nodes(), state.claims.dead())
    }
}

fn now() -> StdInstant {
    Instant::now().into_std()
}
