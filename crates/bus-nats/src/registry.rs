//! The subscriptions of a node, which outlive each connection.
//!
//! Imports: nothing.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::SeqCst},
    },
};

use async_nats::Subscriber;
use futures_util::StreamExt;
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
    subscriptions: HashMap<u64, Arc<Entry>>,
    next_id: u64,
    is_closed: bool,
}

/// One subscription.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) subject: Arc<str>,
    /// What the server sends, of one connection after the other.
    feed: mpsc::UnboundedSender<Subscriber>,
    /// Whether the server has it, or the reason why not.
    pub(crate) outcome: watch::Sender<Outcome>,
    is_ended: AtomicBool,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds a subscription, and where it gets what the server sends.
    pub(crate) fn add(&self, subject: Arc<str>) -> (u64, Arc<Entry>, mpsc::UnboundedReceiver<Subscriber>) {
        let (feed, fed) = mpsc::unbounded_channel();
        let entry = Arc::new(Entry {
            subject,
            feed,
            outcome: watch::Sender::new(None),
            is_ended: AtomicBool::new(false),
        });
        let mut state = self.lock();
        state.next_id += 1;
        let id = state.next_id;
        if state.is_closed {
            entry.outcome.send_replace(Some(Err(SubscribeError::Closed)));
        } else {
            state.subscriptions.insert(id, Arc::clone(&entry));
        }
        (id, entry, fed)
    }

    /// Its task ends, and with it what the server sends.
    pub(crate) fn remove(&self, id: u64) {
        let removed = self.lock().subscriptions.remove(&id);
        if let Some(entry) = removed {
            entry.is_ended.store(true, SeqCst);
        }
    }

    pub(crate) fn get(&self, id: u64) -> Option<Arc<Entry>> {
        self.lock().subscriptions.get(&id).cloned()
    }

    pub(crate) fn all(&self) -> Vec<Arc<Entry>> {
        self.lock().subscriptions.values().cloned().collect()
    }

    /// The server refuses this subject.
    pub(crate) fn refuse(&self, subject: &str, reason: &str) {
        let refused: Vec<_> = self.all().into_iter().filter(|entry| &*entry.subject == subject).collect();
        for entry in refused {
            entry.outcome.send_replace(Some(Err(SubscribeError::Refused(reason.into()))));
        }
    }

    /// No subscription is there until the next connection.
    pub(crate) fn disconnected(&self) {
        for entry in self.all() {
            entry.outcome.send_replace(None);
        }
    }

    /// There will be no connection any more.
    pub(crate) fn close(&self) {
        let closed = {
            let mut state = self.lock();
            state.is_closed = true;
            std::mem::take(&mut state.subscriptions)
        };
        for entry in closed.values() {
            entry.is_ended.store(true, SeqCst);
            entry.outcome.send_replace(Some(Err(SubscribeError::Closed)));
        }
    }
}

impl Entry {
    pub(crate) fn feed(&self, subscriber: Subscriber) {
        _ = self.feed.send(subscriber);
    }

    /// The server has it.
    pub(crate) fn confirm(&self) {
        self.outcome.send_if_modified(|outcome| {
            let is_new = outcome.is_none();
            if is_new {
                *outcome = Some(Ok(()));
            }
            is_new
        });
    }
}

/// Calls a receiver with what comes, until the subscription is removed.
pub(crate) async fn deliver(
    mut fed: mpsc::UnboundedReceiver<Subscriber>,
    receiver: Receiver,
    counters: Arc<Counters>,
    entry: Weak<Entry>,
) {
    let mut current: Option<Subscriber> = None;
    loop {
        let message = tokio::select! {
            // A new connection: whatever the old one still has is old.
            biased;
            new = fed.recv() => match new {
                Some(new) => {
                    current = Some(new);
                    continue;
                }
                None => return,
            },
            message = next(&mut current) => message,
        };
        if entry.upgrade().is_none_or(|entry| entry.is_ended.load(SeqCst)) {
            return;
        }
        counters.received();
        receiver(message.payload);
    }
}

/// The next message, or none until there is another connection.
pub(crate) async fn next(current: &mut Option<Subscriber>) -> async_nats::Message {
    if let Some(subscriber) = current {
        if let Some(message) = subscriber.next().await {
            return message;
        }
        *current = None;
    }
    std::future::pending().await
}
