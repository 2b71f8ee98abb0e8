//! What is known of the connection to an engine.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Instant,
};

use tokio::sync::watch;

use super::counters::Counters;
use crate::{bus::PublishError, connect_error::ConnectError, status::Status};

/// What the tasks of a driver and those who call it know of its connection.
#[derive(Debug)]
pub struct State {
    /// What is counted.
    pub counters: Arc<Counters>,
    status: watch::Sender<Status>,
    max_payload: AtomicUsize,
    failure: Mutex<Option<ConnectError>>,
}

impl State {
    /// Of a bus that is not connected yet, and takes messages of so many bytes.
    #[must_use]
    pub fn new(max_payload: usize) -> Self {
        Self {
            counters: Arc::default(),
            status: watch::Sender::new(Status::Reconnecting { since: Instant::now() }),
            max_payload: AtomicUsize::new(max_payload),
            failure: Mutex::new(None),
        }
    }

    /// Whether there is a connection, now and at each change.
    #[must_use]
    pub fn status(&self) -> watch::Receiver<Status> {
        self.status.subscribe()
    }

    /// There is a connection.
    pub fn connected(&self) {
        self.set_failure(None);
        self.status.send_replace(Status::Connected);
    }

    /// The connection is lost.
    pub fn lost(&self) {
        self.status.send_replace(Status::Reconnecting { since: Instant::now() });
    }

    /// An attempt to connect has failed.
    pub fn failed(&self, error: ConnectError) {
        self.set_failure(Some(error));
    }

    /// The bus is dropped.
    pub fn close(&self) {
        self.status.send_replace(Status::Closed);
    }

    fn set_failure(&self, failure: Option<ConnectError>) {
        let old =
            std::mem::replace(&mut *self.failure.lock().unwrap_or_else(PoisonError::into_inner), failure);
        // It is dropped behind the lock.
        drop(old);
    }

    /// See [`Bus::failure`](crate::Bus::failure).
    #[must_use]
    pub fn failure(&self) -> Option<ConnectError> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The most bytes that a message may have.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.max_payload.load(Relaxed)
    }

    /// A server has said how many bytes a message may have.
    pub fn set_max_payload(&self, bytes: usize) {
        self.max_payload.store(bytes, Relaxed);
    }

    /// Whether a message or an entry of this length can be taken now.
    pub(super) fn admit(&self, len: usize) -> Result<(), PublishError> {
        let max = self.max_payload();
        if len > max {
            Err(PublishError::TooLarge { max })
        } else if !self.status.borrow().is_connected() {
            Err(PublishError::Disconnected)
        } else {
            Ok(())
        }
    }
}
