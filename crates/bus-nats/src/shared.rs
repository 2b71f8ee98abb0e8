//! What the tasks of a node's connection have in common.
//!
//! Imports: counters, options, registry, store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
};

use bytes::Bytes;
use sockjs_bus::{Position, PublishError, Status, StreamError, Subject};
use tokio::{
    sync::{mpsc, oneshot, watch},
    time::timeout,
};

use crate::{
    counters::Counters,
    options::Options,
    registry::Registry,
    store::{RawBatch, Store},
};

/// What each of them knows.
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

    /// The store, as it is now. It is made if it is not there.
    pub(crate) async fn store(&self) -> Result<Store, StreamError> {
        let client = self.client.borrow().clone().ok_or(StreamError::Disconnected)?;
        let mut known = self.store.lock().await;
        let epoch = self.epoch.load(Relaxed);
        if let Some((of, store)) = &*known {
            if *of == epoch {
                return Ok(store.clone());
            }
        }
        let store = Store::open(client, &self.options).await?;
        *known = Some((epoch, store.clone()));
        Ok(store)
    }

    /// The store has to be looked at again.
    pub(crate) async fn forget_store(&self) {
        *self.store.lock().await = None;
    }

    /// Reads from the store, as long as it is the same connection.
    pub(crate) async fn reading<T>(
        &self,
        read: impl AsyncFnOnce(&Store) -> Result<T, StreamError>,
    ) -> Result<(Store, T), StreamError> {
        let mut connection = self.client.subscribe();
        if connection.borrow_and_update().is_none() {
            return Err(StreamError::Disconnected);
        }
        let work = async {
            let store = self.store().await?;
            let read = read(&store).await?;
            Ok((store, read))
        };
        let outcome = tokio::select! {
            biased;
            outcome = timeout(self.options.connect_timeout * 4, work) => outcome.unwrap_or(Err(StreamError::Disconnected)),
            _ = connection.changed() => return Err(StreamError::Disconnected),
        };
        if outcome.is_err() {
            // It may be no more: the next one looks.
            self.forget_store().await;
        }
        outcome
    }

    pub(crate) async fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> Result<(Store, RawBatch), StreamError> {
        let once = || self.reading(async |store: &Store| store.read(stream, after, max).await);
        match once().await {
            // Perhaps of a store that is no more, and the position is of the new one.
            Err(StreamError::Gone) => once().await,
            other => other,
        }
    }
}

/// What waits its turn to be sent.
#[derive(Debug)]
pub(crate) enum Outgoing {
    Message {
        subject: Subject,
        payload: Bytes,
    },
    /// Somebody wants to know that all before it has been handed over.
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
pub(crate) struct Guard {
    pub(crate) shared: Arc<Shared>,
    pub(crate) id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.registry.remove(self.id);
    }
}
