//! The bus itself.
//!
//! Imports: connection, counters, error, options, registry.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed},
    },
};

use bytes::Bytes;
use sockjs_bus::{Bus, PublishError, Receiver, Stats, Status, Subject, SubscribeError, Subscription};
use tokio::{
    sync::{mpsc, watch},
    task::AbortHandle,
};

use crate::{
    connection::Outgoing, counters::Counters, error::ConnectError, options::Options, registry::Registry,
};

/// A node's connection to a NATS server or cluster. It ends when it is dropped.
///
/// Its tasks run on the tokio runtime on which it was made.
pub struct Nats {
    pub(crate) shared: Arc<Shared>,
    pub(crate) outgoing: mpsc::Sender<Outgoing>,
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
    /// Bytes of messages that wait to be sent.
    pub(crate) waiting: AtomicUsize,
    pub(crate) is_closed: AtomicBool,
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
        let len = payload.len();
        if shared.waiting.fetch_add(len, Relaxed) + len > shared.options.queue_bytes.max(len) {
            shared.waiting.fetch_sub(len, Relaxed);
            return Err(PublishError::Full);
        }
        self.outgoing.try_send(Outgoing { subject: subject.clone(), payload }).map_err(|error| {
            shared.waiting.fetch_sub(len, Relaxed);
            match error {
                mpsc::error::TrySendError::Full(_) => PublishError::Full,
                mpsc::error::TrySendError::Closed(_) => PublishError::Disconnected,
            }
        })
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

impl Bus for Nats {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let result = self.try_publish(subject, payload);
        self.shared.counters.published(result);
        result
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        let (id, entry) = self.shared.registry.add(subject, receiver, Arc::clone(&self.shared.counters));
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
}

impl Drop for Nats {
    fn drop(&mut self) {
        self.shared.is_closed.store(true, Relaxed);
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
struct Guard {
    shared: Arc<Shared>,
    id: u64,
}

impl Drop for Guard {
    fn drop(&mut self) {
        self.shared.registry.remove(self.id);
    }
}
