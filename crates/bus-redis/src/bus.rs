//! The bus itself.
//!
//! Imports: appends, connection, error, options, registry, shared.

use std::{fmt, sync::Arc};

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
    shared::{Outgoing, Room, Shared, refused},
};

/// A node's connection to a Redis or Valkey server. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Redis {
    pub(crate) shared: Arc<Shared>,
    outgoing: mpsc::Sender<Outgoing>,
    pub(crate) appends: mpsc::Sender<Append>,
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
        let Running { shared, outgoing, appends, tasks } = connection::start(self).await?;
        Ok(Redis { shared, outgoing, appends, tasks })
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

impl Bus for Redis {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let result = self.try_publish(subject, payload);
        self.shared.counters.published(result);
        result
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        Box::pin(async {
            let (done, is_done) = oneshot::channel();
            if self.outgoing.send(Outgoing::Flush(done)).await.is_ok() {
                is_done.await.ok();
            }
        })
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
