//! The bus itself.
//!
//! Imports: appends, connection, error, options, registry, shared.

use std::{
    fmt,
    sync::{Arc, atomic::Ordering::Relaxed},
};

use bytes::Bytes;
use sockjs_bus::{
    BoxFuture, Bus, PublishError, Receiver, Stats, Status, Streams, Subject, SubscribeError, Subscription,
};
use tokio::{
    sync::{mpsc, oneshot, watch},
    task::AbortHandle,
};

use crate::{
    appends::Append,
    connection::{self, Running},
    error::ConnectError,
    options::Options,
    registry::deliver,
    shared::{Guard, Outgoing, Room, Shared, refused},
};

/// A node's connection to a NATS server or cluster. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Nats {
    pub(crate) shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    pub(crate) appends: mpsc::Sender<Append>,
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
        let Running { shared, outgoing, appends, added, tasks } = connection::start(self).await?;
        Ok(Nats { shared, outgoing, appends, added, tasks })
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

    fn try_publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let shared = &self.shared;
        shared.admit(payload.len())?;
        let room = Room::take(shared, &shared.publishing, payload.len())?;
        let outgoing = Outgoing::Message { subject: subject.clone(), payload };
        self.outgoing.try_send(outgoing).map_err(refused)?;
        room.keep();
        Ok(())
    }
}

impl Bus for Nats {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let result = self.try_publish(subject, payload);
        self.shared.counters.published(result);
        result
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let (done, is_done) = oneshot::channel();
            if self.outgoing.send(Outgoing::Flush(done)).await.is_ok() && is_done.await.is_ok() {
                connection::flush(&self.shared).await;
            }
        })
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
