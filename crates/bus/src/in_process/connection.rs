//! A node's connection to the bus in process.

use std::{
    fmt,
    future::ready,
    sync::{
        Arc, Mutex, PoisonError, Weak,
        atomic::{AtomicBool, Ordering::Relaxed},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::sync::watch;

use super::{exchange::Exchange, log::Follower};
use crate::{
    bus::{Bus, PublishError, Receiver, SubscribeError, Subscription},
    driver::Counters,
    status::{Stats, Status},
    streams::{Batch, BoxFuture, Follow, Position, Retention, StreamError, Streams},
    subject::Subject,
};

/// A node's connection to an [`InProcess`](super::hub::InProcess). It ends when it is dropped.
pub struct Connection {
    exchange: Arc<Exchange>,
    node: u64,
    status: watch::Sender<Status>,
    is_full: AtomicBool,
    /// Subscriptions whose subjects have this in them are refused.
    refused: Mutex<Option<Box<str>>>,
    counters: Counters,
}

/// A subscription as long as it is there.
struct Guard {
    exchange: Weak<Exchange>,
    node: u64,
    subject: Subject,
    id: u64,
}

impl Connection {
    pub(super) fn new(exchange: Arc<Exchange>) -> Self {
        let node = exchange.add_node();
        Self {
            exchange,
            node,
            status: watch::Sender::new(Status::Connected),
            is_full: AtomicBool::new(false),
            refused: Mutex::default(),
            counters: Counters::default(),
        }
    }

    /// Whether a message or entry of this length can be taken now.
    fn admit(&self, len: usize) -> Result<(), PublishError> {
        let max = self.exchange.max_payload;
        if len > max {
            Err(PublishError::TooLarge { max })
        } else if !self.status.borrow().is_connected() {
            Err(PublishError::Disconnected)
        } else if self.is_full.load(Relaxed) {
            Err(PublishError::Full)
        } else {
            Ok(())
        }
    }

    fn is_refused(&self, subject: &Subject) -> bool {
        let refused = self.refused.lock().unwrap_or_else(PoisonError::into_inner);
        refused.as_deref().is_some_and(|part| subject.as_str().contains(part))
    }

    fn reached(&self) -> Result<(), StreamError> {
        if self.status.borrow().is_connected() { Ok(()) } else { Err(StreamError::Disconnected) }
    }
}

/// # Faults
#[cfg(any(test, feature = "test"))]
#[cfg_attr(docsrs, doc(cfg(feature = "test")))]
impl Connection {
    /// The connection is lost: messages to this node are lost, and those of this node are refused.
    pub fn disconnect(&self) {
        self.exchange.set_connected(self.node, false);
        let since = tokio::time::Instant::now().into_std();
        self.status.send_replace(Status::Reconnecting { since });
    }

    /// The connection is there again.
    pub fn reconnect(&self) {
        self.exchange.set_connected(self.node, true);
        self.counters.reconnected();
        self.status.send_replace(Status::Connected);
    }

    /// Whether what is published is refused, as if too much waited to be sent.
    pub fn set_full(&self, is_full: bool) {
        self.is_full.store(is_full, Relaxed);
    }

    /// From now on subscriptions whose subjects have this in them are refused, as by an engine that does not let the node
    /// listen: once the connection is there, and a millisecond later, as over a network.
    pub fn refuse(&self, part: &str) {
        *self.refused.lock().unwrap_or_else(PoisonError::into_inner) = Some(part.into());
    }

    pub(super) const fn node(&self) -> u64 {
        self.node
    }
}

impl Bus for Connection {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let is_sent = || self.exchange.publish(self.node, subject, &payload);
        let result = self.admit(payload.len());
        let result = result.and_then(|()| if is_sent() { Ok(()) } else { Err(PublishError::Disconnected) });
        self.counters.published(result);
        result
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        // The others have it already.
        Box::pin(ready(()))
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        if self.is_refused(subject) {
            let mut status = self.status.subscribe();
            let refused = async move {
                if status.wait_for(|status| status.is_connected()).await.is_err() {
                    return Err(SubscribeError::Closed);
                }
                tokio::time::sleep(Duration::from_millis(1)).await;
                Err(SubscribeError::Refused("not for this user".into()))
            };
            return Subscription::new(refused, ());
        }
        let guard = Guard {
            exchange: Arc::downgrade(&self.exchange),
            node: self.node,
            subject: subject.clone(),
            id: self.exchange.subscribe(self.node, subject, receiver),
        };
        let mut status = self.status.subscribe();
        let ready = async move {
            let settled = status.wait_for(|status| !matches!(status, Status::Reconnecting { .. })).await;
            // The connection is dropped: an error, or the last status that it has had.
            if settled.is_ok_and(|status| status.is_connected()) {
                Ok(())
            } else {
                Err(SubscribeError::Closed)
            }
        };
        Subscription::new(ready, guard)
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    fn stats(&self) -> Stats {
        let (received, overflowed) = self.exchange.counts(self.node);
        Stats { received, overflowed, ..self.counters.stats() }
    }

    fn max_payload(&self) -> usize {
        self.exchange.max_payload
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

impl Streams for Connection {
    fn append(
        &self,
        stream: &Subject,
        payload: Bytes,
        retention: Retention,
    ) -> BoxFuture<'static, Result<Position, StreamError>> {
        let result = self.admit(payload.len());
        let result = result.map(|()| self.exchange.logs.append(stream, payload, retention));
        Box::pin(ready(result.map_err(StreamError::from)))
    }

    fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> BoxFuture<'static, Result<Batch, StreamError>> {
        let batch = self.reached().and_then(|()| self.exchange.logs.read(stream, after, max));
        Box::pin(ready(batch))
    }

    fn last(&self, stream: &Subject, max: usize) -> BoxFuture<'static, Result<Batch, StreamError>> {
        Box::pin(ready(self.reached().map(|()| self.exchange.logs.last(stream, max))))
    }

    fn follow(&self, stream: &Subject, after: Position) -> Box<dyn Follow> {
        Box::new(Follower {
            logs: Arc::clone(&self.exchange.logs),
            status: self.status.subscribe(),
            stream: stream.clone(),
            after,
            failed: None,
        })
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.exchange.remove_node(self.node);
        self.status.send_replace(Status::Closed);
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        if let Some(exchange) = self.exchange.upgrade() {
            exchange.unsubscribe(self.node, &self.subject, self.id);
        }
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("node", &self.node)
            .field("status", &*self.status.borrow())
            .finish()
    }
}
