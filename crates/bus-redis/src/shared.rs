//! What the tasks of a node's connection have in common.
//!
//! Imports: counters, options, registry.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use sockjs_bus::{PublishError, Status, Subject};
use tokio::sync::{mpsc, oneshot, watch};

use crate::{
    counters::Counters,
    options::Options,
    registry::{Entry, Registry},
};

/// What each of them knows.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) registry: Registry,
    pub(crate) counters: Arc<Counters>,
    pub(crate) status: watch::Sender<Status>,
    /// The connections, while there are some.
    pub(crate) connections: watch::Sender<Option<Connections>>,
    /// Topics to which somebody has begun or ceased to subscribe.
    pub(crate) changes: mpsc::UnboundedSender<Arc<str>>,
    /// Bytes that wait to be published and to be appended.
    pub(crate) publishing: AtomicUsize,
    pub(crate) appending: AtomicUsize,
}

/// What one life of the link to the server consists of.
#[derive(Debug, Clone)]
pub(crate) struct Connections {
    /// For messages, in both directions.
    pub(crate) messages: MultiplexedConnection,
    /// For streams: the server limits how much may wait for one that has subscribed.
    pub(crate) commands: MultiplexedConnection,
}

impl Shared {
    /// Whether a message of this length can be taken now.
    pub(crate) fn admit(&self, len: usize) -> Result<(), PublishError> {
        let max = self.options.max_payload;
        if len > max {
            Err(PublishError::TooLarge { max })
        } else if !self.status.borrow().is_connected() {
            Err(PublishError::Disconnected)
        } else {
            Ok(())
        }
    }

    /// Subscribes to a topic: see [`Registry::add`].
    pub(crate) fn subscribe(
        self: &Arc<Self>,
        topic: Arc<str>,
        capacity: usize,
        counters: Option<Arc<Counters>>,
    ) -> (Subscribed, mpsc::Receiver<Bytes>) {
        let (entry, queued) = self.registry.add(&topic, capacity, counters);
        _ = self.changes.send(Arc::clone(&topic));
        (Subscribed { shared: Arc::clone(self), topic, entry }, queued)
    }
}

/// What waits its turn to be sent.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Message {
        subject: Subject,
        payload: Bytes,
    },
    /// Somebody wants to know that all before it has been answered.
    Flush(oneshot::Sender<()>),
}

/// The reason why a queue did not take something.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(crate) fn refused<T>(error: mpsc::error::TrySendError<T>) -> PublishError {
    match error {
        mpsc::error::TrySendError::Full(_) => PublishError::Full,
        mpsc::error::TrySendError::Closed(_) => PublishError::Disconnected,
    }
}

/// Bytes of a queue that are given back, unless they are kept.
pub(crate) struct Room<'a> {
    waiting: &'a AtomicUsize,
    bytes: usize,
}

impl<'a> Room<'a> {
    pub(crate) fn take(
        shared: &Shared,
        waiting: &'a AtomicUsize,
        bytes: usize,
    ) -> Result<Self, PublishError> {
        let room = Self { waiting, bytes };
        let before = waiting.fetch_add(bytes, Relaxed);
        // The largest message fits into a queue that is empty.
        if before > 0 && before + bytes > shared.options.queue_bytes {
            Err(PublishError::Full)
        } else {
            Ok(room)
        }
    }

    pub(crate) fn keep(self) {
        std::mem::forget(self);
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        self.waiting.fetch_sub(self.bytes, Relaxed);
    }
}

/// A subscription as long as it is there.
pub(crate) struct Subscribed {
    shared: Arc<Shared>,
    topic: Arc<str>,
    pub(crate) entry: Arc<Entry>,
}

impl Drop for Subscribed {
    fn drop(&mut self) {
        self.shared.registry.remove(&self.topic, &self.entry);
        _ = self.shared.changes.send(Arc::clone(&self.topic));
    }
}
