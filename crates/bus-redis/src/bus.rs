//! The bus itself.
//!
//! Imports: appends, connection, counters, error, options, registry.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use redis::aio::MultiplexedConnection;
use sockjs_bus::{
    Bus, PublishError, Receiver, Stats, Status, Streams, Subject, SubscribeError, Subscription,
};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{
    appends::Append,
    connection::Outgoing,
    counters::Counters,
    error::ConnectError,
    options::Options,
    registry::{Entry, Registry, deliver},
};

/// A node's connection to a Redis or Valkey server. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Redis {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
    pub(crate) appends: mpsc::Sender<Append>,
    pub(crate) tasks: Vec<AbortHandle>,
}

/// What its tasks know as well.
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

impl Redis {
    /// Connects to a server, as `redis://host:6379`, with the defaults of [`Options`].
    ///
    /// # Errors
    ///
    /// If the address is invalid, or the server does not let it in.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: nothing stays.
    pub async fn connect(address: &str) -> Result<Self, ConnectError> {
        Options::new(address).connect().await
    }

    /// The options for a server: see [`Options::new`].
    #[must_use]
    pub fn options(address: &str) -> Options {
        Options::new(address)
    }

    fn try_publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let shared = &self.shared;
        shared.admit(payload.len())?;
        let room = Room::take(shared, &shared.publishing, payload.len())?;
        let outgoing = Outgoing { subject: subject.clone(), payload };
        self.outgoing.try_send(outgoing).map_err(refused)?;
        room.keep();
        Ok(())
    }
}

/// The reason why a queue did not take something.
#[allow(clippy::needless_pass_by_value, reason = "it is what `map_err` gives")]
pub(crate) fn refused<T>(error: mpsc::error::TrySendError<T>) -> PublishError {
    match error {
        mpsc::error::TrySendError::Full(_) => PublishError::Full,
        mpsc::error::TrySendError::Closed(_) => PublishError::Disconnected,
    }
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

impl Bus for Redis {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let result = self.try_publish(subject, payload);
        self.shared.counters.published(result);
        result
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        let counters = Arc::clone(&self.shared.counters);
        let capacity = self.shared.options.subscription_messages;
        let (subscribed, queued) =
            self.shared.subscribe(subject.as_str().into(), capacity, Some(Arc::clone(&counters)));
        tokio::spawn(deliver(queued, receiver, counters, Arc::downgrade(&subscribed.entry)));
        let mut outcome = subscribed.entry.outcome();
        let ready = async move {
            match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Err(SubscribeError::Closed)),
                Err(_) => Err(SubscribeError::Closed),
            }
        };
        Subscription::new(ready, subscribed)
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    fn stats(&self) -> Stats {
        self.shared.counters.stats()
    }

    fn max_payload(&self) -> usize {
        self.shared.options.max_payload
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.status.send_replace(Status::Closed);
        self.shared.connections.send_replace(None);
        self.shared.registry.close();
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("status", &*self.shared.status.borrow()).finish_non_exhaustive()
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
