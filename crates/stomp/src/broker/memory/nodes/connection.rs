//! A client's connection to a broker that is one of several nodes.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Instant,
};

use bytestring::ByteString;
use tokio::sync::oneshot;

use super::{
    interest::{Interest, Key},
    link::{Link, gone},
    waiting::Denied,
};
use crate::{
    broker::{
        BrokerError, Connection, Published, Settlement, Source, Target,
        memory::{connection::MemoryConnection, queues::Owned, topics},
    },
    message::Message,
    outcome::Outcome,
    subscription::{MessageId, Subscription},
};

/// A client's connection to a broker that is one of several nodes: that of the node, and what the node listens to for it.
pub(crate) struct NodeConnection {
    inner: Arc<Inner>,
    link: Arc<Link>,
}

struct Inner {
    memory: MemoryConnection,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// By the serial numbers of the subscriptions.
    interests: BTreeMap<u32, Arc<Interest>>,
    /// Subscriptions to queues of which it is not known yet who owns them.
    waiting: BTreeMap<u32, Arc<Subscription>>,
}

impl NodeConnection {
    pub(crate) fn new(memory: MemoryConnection, link: Arc<Link>) -> Self {
        Self { inner: Arc::new(Inner { memory, state: Mutex::default() }), link }
    }

    /// What is to be listened to for a subscription.
    fn key(&self, source: &Source) -> Key {
        match source {
            Source::User(_) => Key::user(self.inner.memory.own_name()),
            Source::Temporary(name) => Key::topic(name),
            Source::Destination(destination) => match topics::pattern(destination, self.link.separator()) {
                Some(_) => Key::patterns(),
                None => Key::topic(destination),
            },
        }
    }

    fn subscribe_to_queue(
        &self,
        queue: &ByteString,
        subscription: Arc<Subscription>,
    ) -> Outcome<Result<(), BrokerError>> {
        let source = Source::Destination(queue.clone());
        if !self.link.is_waited(queue) {
            match self.inner.memory.join(&source, None, &subscription) {
                Ok(true) => return Outcome::ready(Ok(())),
                Ok(false) => {}
                Err(error) => return Outcome::ready(Err(error)),
            }
        }
        let serial = subscription.serial();
        // What is kept of it: the beginning of its frames has the name once more.
        let headers =
            subscription.headers().iter().map(|(name, value)| name.len() + value.len()).sum::<usize>();
        let bytes = 2 * queue.len() + headers + subscription.id().map_or(0, str::len);
        // It ends with the session, however long the queue is waited for.
        self.inner.lock().waiting.insert(serial, subscription);
        let (sender, receiver) = oneshot::channel();
        let inner = Arc::downgrade(&self.inner);
        // The destination of the subscription is a copy, and that of the source may be a part of a large buffer.
        let source = Source::Destination(ByteString::from(&**queue));
        let op = move |owned: Result<Instant, Denied>| {
            // The session may have ended, or the subscription.
            let waiting = inner.upgrade().and_then(|inner| {
                let subscription = inner.lock().waiting.remove(&serial)?;
                Some((inner, subscription))
            });
            let join = |since| match waiting {
                Some((inner, subscription)) => {
                    let owned = Owned { since: Some(since) };
                    inner.memory.join(&source, Some(owned), &subscription).map(drop)
                }
                None => Err(gone()),
            };
            _ = sender.send(owned.map_err(BrokerError::from).and_then(join));
        };
        self.link.when_owned(queue, bytes, Box::new(op));
        Outcome::later(async { receiver.await.unwrap_or_else(|_| Err(gone())) })
    }
}

impl Inner {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn unsubscribe(&self, serial: u32) {
        let _ended = {
            let mut state = self.lock();
            (state.waiting.remove(&serial), state.interests.remove(&serial))
        };
        self.memory.leave(serial);
    }
}

impl Connection for NodeConnection {
    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
        self.link.publish(&target, &message)
    }

    fn subscribe(&self, source: Source, subscription: Arc<Subscription>) -> Outcome<Result<(), BrokerError>> {
        if let Source::Destination(destination) = &source {
            if self.link.is_queue(destination) {
                return self.subscribe_to_queue(destination, subscription);
            }
        }
        if let Err(error) = self.inner.memory.join(&source, None, &subscription) {
            return Outcome::ready(Err(error));
        }
        let serial = subscription.serial();
        let interest = self.link.listen(self.key(&source));
        self.inner.lock().interests.insert(serial, Arc::clone(&interest));
        let Some(ready) = self.link.ready(interest) else { return Outcome::ready(Ok(())) };
        let inner = Arc::downgrade(&self.inner);
        Outcome::later(async move {
            let Err(refused) = ready.await else { return Ok(()) };
            if let Some(inner) = inner.upgrade() {
                inner.unsubscribe(serial);
            }
            Err(BrokerError::Unavailable(refused.into()))
        })
    }

    fn unsubscribe(&self, serial: u32) -> Outcome<Result<(), BrokerError>> {
        self.inner.unsubscribe(serial);
        Outcome::ready(Ok(()))
    }

    fn settle(&self, id: MessageId, settlement: Settlement) -> Outcome<Result<(), BrokerError>> {
        self.inner.memory.settle(id, settlement)
    }

    fn written(&self, id: MessageId) {
        self.inner.memory.written(id);
    }

    fn has_room(&self) {
        self.inner.memory.has_room();
    }
}
