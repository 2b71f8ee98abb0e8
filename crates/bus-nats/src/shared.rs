//! What the tasks of a node's connection have in common.
//!
//! Imports: options, registry, store.

use std::sync::{
    Arc,
    atomic::{AtomicU64, Ordering::Relaxed},
};

use sockjs_bus::{Position, StreamError, Subject, driver::State};
use tokio::{sync::watch, time::timeout};

use crate::{
    options::Options,
    registry::Registry,
    store::{RawBatch, Store},
};

/// What each of them knows.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) options: Options,
    pub(crate) registry: Registry,
    pub(crate) state: Arc<State>,
    /// The connection, while there is one.
    pub(crate) client: watch::Sender<Option<async_nats::Client>>,
    /// Grows with each connection.
    pub(crate) epoch: AtomicU64,
    /// The store of the streams, as it was when some connection was new.
    pub(crate) store: tokio::sync::Mutex<Option<(u64, Store)>>,
}

impl Shared {
    /// The store, as it is now. It is made if it is not there.
    pub(crate) async fn store(&self) -> Result<Store, StreamError> {
        let client = self.client.borrow().clone().ok_or(StreamError::Disconnected)?;
        let mut known = self.store.lock().await;
        let epoch = self.epoch.load(Relaxed);
        if let Some((of, store)) = &*known
            && *of == epoch
        {
            return Ok(store.clone());
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
