//! Which queues the node owns, and what waits until that is known.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::SystemTime,
};

use sockjs_bus::NodeId;
use tokio::{sync::Notify, time::Instant};

use super::{
    claims::{Claims, Outgoing, Timing, Verdict},
    protocol::Message,
    waiting::{Denied, Op, Waiting},
};
use crate::broker::memory::shared::Shared;

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
}

/// What is to be done, with no lock held.
pub(super) struct Turn {
    pub(super) outbox: Vec<Outgoing>,
    pub(super) verdicts: Vec<(Box<str>, Verdict)>,
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
            let State { claims, waiting } = &mut *state;
            if is_connected {
                // The task may not have seen it yet.
                claims.coming_back();
            }
            let result = waiting.check(bytes).and_then(|()| {
                let may_be = waiting.contains(queue) || claims.claim(queue, wall(), now());
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

    pub(super) fn turn(&self) -> Turn {
        let mut state = self.lock();
        state.claims.tick(now());
        Turn {
            outbox: state.claims.take_outbox(),
            verdicts: state.claims.take_verdicts(),
            due: state.claims.next_due().into(),
        }
    }

    /// Takes what waits for a queue that has been granted. If nothing does, it is owned only as long as it is used.
    pub(super) fn take_granted(&self, queue: &str) -> Vec<Op> {
        let mut state = self.lock();
        let ops = state.waiting.take(queue);
        if ops.is_empty() {
            state.claims.done(queue);
            self.waited.store(state.waiting.len(), Ordering::Release);
        }
        ops
    }

    /// Takes all that waits for a queue whose claim has failed.
    pub(super) fn take_failed(&self, queue: &str) -> Vec<Op> {
        let mut state = self.lock();
        let ops = state.waiting.take(queue);
        let _nothing = state.waiting.take(queue);
        self.waited.store(state.waiting.len(), Ordering::Release);
        ops
    }

    /// How many other nodes are known, and how many have fallen silent.
    pub(super) fn nodes(&self) -> (usize, u64) {
        let state = self.lock();
        (state.claims.nodes(), state.claims.dead())
    }
}

fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Milliseconds of the calendar.
fn wall() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
}
