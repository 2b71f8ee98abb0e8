//! The bus itself.
//!
//! Imports: connection, options, registry, shared.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use sockjs_bus::{
    BoxFuture, Bus, ConnectError, PublishError, Receiver, Stats, Status, Streams, Subject, Subscription,
    driver::{Front, ready},
};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    connection::{self, Running},
    options::Options,
    registry::deliver,
    shared::Shared,
};

/// A node's connection to a Redis or Valkey server. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Redis {
    pub(crate) shared: Arc<Shared>,
    pub(crate) front: Front,
    tasks: Vec<AbortHandle>,
}

impl Options {
    /// Connects, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If an option or address is invalid, and, unless [told not to wait](Self::wait_for_server), if the server does not
    /// let it in.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: nothing stays.
    pub async fn connect(self) -> Result<Redis, ConnectError> {
        self.validate()?;
        let Running { shared, front, tasks } = connection::start(self).await?;
        Ok(Redis { shared, front, tasks })
    }
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
}

impl Bus for Redis {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.front.publish(subject, payload)
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(self.front.flush())
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        let counters = Arc::clone(&self.shared.state.counters);
        let capacity = self.shared.options.subscription_messages;
        let (subscribed, queued) =
            self.shared.subscribe(subject.as_str().into(), capacity, Some(Arc::clone(&counters)));
        tokio::spawn(deliver(queued, receiver, counters, Arc::downgrade(&subscribed.entry)));
        let mut outcome = subscribed.entry.outcome();
        Subscription::new(async move { ready(&mut outcome).await }, subscribed)
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.shared.state.status()
    }

    fn failure(&self) -> Option<ConnectError> {
        self.shared.state.failure()
    }

    fn stats(&self) -> Stats {
        self.shared.state.counters.stats()
    }

    fn max_payload(&self) -> usize {
        self.shared.state.max_payload()
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

impl Drop for Redis {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.state.close();
        self.shared.connections.send_replace(None);
        self.shared.registry.close();
    }
}

impl fmt::Debug for Redis {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Redis").field("status", &*self.status().borrow()).finish_non_exhaustive()
    }
}
