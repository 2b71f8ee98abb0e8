//! The bus itself.
//!
//! Imports: appends, connection, counters, error, options, registry, store.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
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
    registry::{Registry, deliver},
    store::Store,
};

/// A node's connection to a NATS server or cluster. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Nats {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
    pub(crate) appends: mpsc::Sender<Append>,
    pub(crate) added: mpsc::UnboundedSender<u64>,
    pub(crate) tasks: Vec<AbortHandle>,
}

/// What its tasks know as well.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) registry: Registry,
    pub(crate) counters: Arc<Counters>,
    pub(crate) status: watch::Sender<Status>,
    /// The connection, while there is one.
    pub(crate) client: watch::Sender<Option<async_nats::Client>>,
    pub(crate) max_payload: AtomicUsize,
    /// Bytes that wait to be published and to be appended.
    pub(crate) publishing: AtomicUsize,
    pub(crate) appending: AtomicUsize,
    /// Grows with each connection.
    pub(crate) epoch: AtomicU64,
    /// The store of the streams, as it was when some connection was new.
    pub(crate) store: tokio::sync::Mutex<Option<(u64, Store)>>,
}

impl Nats {
    /// Connects to a server, as `nats://host:4222`, with the defaults of [`Options`].
    ///
    /// # Errors
    ///
    /// If the address is invalid, or no server lets it in.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: nothing stays.
    pub async fn connect(servers: &str) -> Result<Self, ConnectError> {
        Options::new(servers).connect().await
    }

    /// The options for a server: see [`Options::new`].
    #[must_use]
    pub fn options(servers: &str) -> Options {
        Options::new(servers)
    }

    fn try_publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let shared = &self.shared;
        shared.admit(payload.len())?;
        let room = Room::take(shared, &shared.publishing, payload.len())?;
        self.outgoing.try_send(Outgoing { subject: subject.clone(), payload }).map_err(refused)?;
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
        let max = self.max_payload.load(Relaxed);
        if len > max {
            Err(PublishError::TooLarge { max })
        } else if !self.status.borrow().is_connected() {
            Err(PublishError::Disconnected)
        } else {
            Ok(())
        }
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

impl Bus for Nats {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let result = self.try_publish(subject, payload);
        self.shared.counters.published(result);
        result
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        let (id, entry, fed) = self.shared.registry.add(subject.as_str().into());
        let counters = Arc::clone(&self.shared.counters);
        tokio::spawn(deliver(fed, receiver, counters, Arc::downgrade(&entry)));
        _ = self.added.send(id);
        let mut outcome = entry.outcome.subscribe();
        // A guard without the entry: its task ends with it.
        drop(entry);
        let ready = async move {
            match outcome.wait_for(Option::is_some).await {
                Ok(outcome) => outcome.clone().unwrap_or(Err(SubscribeError::Closed)),
                Err(_) => Err(SubscribeError::Closed),
            }
        };
        Subscription::new(ready, Guard { shared: Arc::clone(&self.shared), id })
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.shared.status.subscribe()
    }

    fn stats(&self) -> Stats {
        self.shared.counters.stats()
    }

    fn max_payload(&self) -> usize {
        self.shared.max_payload.load(Relaxed)
    }

    fn streams(&self) -> Option<&dyn Streams> {
        self.shared.options.streams.then_some(self)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.client.send_replace(None);
        self.shared.registry.close();
        self.shared.status.send_replace(Status::Closed);
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("status", &*self.shared.status.borrow()).finish_non_exhaustive()
    }
}

/// A subscription as long as it is there.
pub(crate) struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.registry.remove(self.id);
    }
}
