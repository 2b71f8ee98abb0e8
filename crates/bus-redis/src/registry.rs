//! The subscriptions of a node, which outlive each connection.
//!
//! The server knows one subscription for each channel; who else has subscribed to it is known here.
//!
//! Imports: nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use bytes::Bytes;
use sockjs_bus::{
    Receiver, SubscribeError,
    driver::{Counters, Outcome},
};
use tokio::sync::{mpsc, watch};

#[derive(Debug, Default)]
pub(crate) struct Registry {
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// By the name of the channel, without the prefix.
    topics: HashMap<Arc<str>, Vec<Arc<Entry>>>,
    is_closed: bool,
}

/// One subscription.
#[derive(Debug)]
pub(crate) struct Entry {
    queue: mpsc::Sender<Bytes>,
    counters: Option<Arc<Counters>>,
    /// Whether the server has it, or the reason why not; none while there is no connection.
    outcome: watch::Sender<Outcome>,
    /// Whether something did not fit since this was last asked.
    has_overflowed: AtomicBool,
    is_ended: AtomicBool,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription, and the queue of what comes. With `counters` each message that does not fit into it is
    /// counted.
    pub(crate) fn add(
        &self,
        topic: &Arc<str>,
        capacity: usize,
        counters: Option<Arc<Counters>>,
    ) -> (Arc<Entry>, mpsc::Receiver<Bytes>) {
        let (queue, queued) = mpsc::channel(capacity);
        let entry = Arc::new(Entry {
            queue,
            counters,
            outcome: watch::Sender::new(None),
            has_overflowed: AtomicBool::new(false),
            is_ended: AtomicBool::new(false),
        });
        let is_closed = {
            let mut state = self.lock();
            if !state.is_closed {
                state.topics.entry(Arc::clone(topic)).or_default().push(Arc::clone(&entry));
            }
            state.is_closed
        };
        if is_closed {
            entry.outcome.send_replace(Some(Err(SubscribeError::Closed)));
        }
        (entry, queued)
    }

    /// Removes a subscription, whose task ends with it.
    pub(crate) fn remove(&self, topic: &str, entry: &Arc<Entry>) {
        entry.is_ended.store(true, SeqCst);
        let mut state = self.lock();
        if let Some(entries) = state.topics.get_mut(topic) {
            entries.retain(|other| !Arc::ptr_eq(other, entry));
            if entries.is_empty() {
                state.topics.remove(topic);
            }
        }
    }

    /// Whether anybody has subscribed to it.
    pub(crate) fn is_wanted(&self, topic: &str) -> bool {
        self.lock().topics.contains_key(topic)
    }

    pub(crate) fn topics(&self) -> Vec<Arc<str>> {
        self.lock().topics.keys().cloned().collect()
    }

    fn entries(&self, topic: &str) -> Vec<Arc<Entry>> {
        self.lock().topics.get(topic).cloned().unwrap_or_default()
    }

    /// The server has the subscription to a topic, or refuses it.
    pub(crate) fn settle(&self, topic: &str, outcome: &Result<(), SubscribeError>) {
        for entry in self.entries(topic) {
            entry.outcome.send_if_modified(|old| {
                let is_new = old.is_none();
                if is_new {
                    *old = Some(outcome.clone());
                }
                is_new
            });
        }
    }

    /// A message has come.
    pub(crate) fn take(&self, topic: &str, payload: &Bytes) {
        for entry in self.entries(topic) {
            if entry.queue.try_send(payload.clone()).is_err() {
                entry.has_overflowed.store(true, SeqCst);
                if let Some(counters) = &entry.counters {
                    counters.overflowed();
                }
            }
        }
    }

    /// No subscription is there until the next connection.
    pub(crate) fn disconnected(&self) {
        for entry in self.topics().iter().flat_map(|topic| self.entries(topic)) {
            entry.outcome.send_replace(None);
        }
    }

    /// There will be no connection any more.
    pub(crate) fn close(&self) {
        let topics = {
            let mut state = self.lock();
            state.is_closed = true;
            std::mem::take(&mut state.topics)
        };
        for entry in topics.into_values().flatten() {
            entry.is_ended.store(true, SeqCst);
            entry.outcome.send_replace(Some(Err(SubscribeError::Closed)));
        }
    }
}

impl Entry {
    pub(crate) fn outcome(&self) -> watch::Receiver<Outcome> {
        self.outcome.subscribe()
    }

    /// Whether something did not fit into the queue since this was last asked.
    pub(crate) fn has_overflowed(&self) -> bool {
        self.has_overflowed.swap(false, SeqCst)
    }

    fn is_ended(&self) -> bool {
        self.is_ended.load(SeqCst)
    }
}

/// Calls a receiver with what comes, until the subscription is removed.
pub(crate) async fn deliver(
    mut queued: mpsc::Receiver<Bytes>,
    receiver: Receiver,
    counters: Arc<Counters>,
    entry: Weak<Entry>,
) {
    while let Some(payload) = queued.recv().await {
        if entry.upgrade().is_none_or(|entry| entry.is_ended()) {
            return;
        }
        counters.received();
        receiver(payload);
    }
}
