//! The bus itself.
//!
//! Imports: connection, options, registry, shared.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use sockjs_bus::{
    BoxFuture, Bus, ConnectError, PublishError, Receiver, Stats, Status, Streams, Subject, Subscription,
    driver::{Front, ready},
};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{
    connection::{self, Running},
    options::Options,
    registry::deliver,
    shared::{Guard, Shared},
};

/// A node's connection to a NATS server or cluster. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Nats {
    pub(crate) shared: Arc<Shared>,
    pub(crate) front: Front,
    pub(crate) added: mpsc::UnboundedSender<u64>,
    tasks: Vec<AbortHandle>,
}

impl Options {
    /// Connects, on the current tokio runtime.
    ///
    /// # Errors
    ///
    /// If an option or address is invalid, and, unless [told not to wait](Self::wait_for_server), if no server lets it in.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: nothing stays.
    pub async fn connect(self) -> Result<Nats, ConnectError> {
        self.validate()?;
        let Running { shared, front, added, tasks } = connection::start(self).await?;
        Ok(Nats { shared, front, added, tasks })
    }
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
}

impl Bus for Nats {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.front.publish(subject, payload)
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            self.front.flush().await;
            connection::flush(&self.shared).await;
        })
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        let (id, entry, fed) = self.shared.registry.add(subject.as_str().into());
        let counters = Arc::clone(&self.shared.state.counters);
        tokio::spawn(deliver(fed, receiver, counters, Arc::downgrade(&entry)));
        _ = self.added.send(id);
        let mut outcome = entry.outcome.subscribe();
        // A guard without the entry: its task ends with it.
        drop(entry);
        let ready = async move { ready(&mut outcome).await };
        Subscription::new(ready, Guard { shared: Arc::clone(&self.shared), id })
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
        self.shared.options.streams.then_some(self)
    }
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.tasks.iter().for_each(AbortHandle::abort);
        self.shared.client.send_replace(None);
        self.shared.registry.close();
        self.shared.state.close();
    }
}

impl fmt::Debug for Nats {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Nats").field("status", &*self.status().borrow()).finish_non_exhaustive()
    }
}
