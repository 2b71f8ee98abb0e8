//! The connection to the broker, until the session has ended.

use std::sync::{Mutex, PoisonError};

use crate::broker::Connection;

/// A connection to the broker, until the session has ended.
///
/// A handler may still run then, so what it does to the broker comes too late.
pub(super) struct Slot(Mutex<Option<Box<dyn Connection>>>);

impl Slot {
    pub(super) fn new(connection: Box<dyn Connection>) -> Self {
        Self(Mutex::new(Some(connection)))
    }

    /// Calls `ask` with the connection; `None` after the end.
    pub(super) fn with<R>(&self, ask: impl FnOnce(&dyn Connection) -> R) -> Option<R> {
        let slot = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        slot.as_deref().map(ask)
    }

    /// Ends all subscriptions. Returns whether this is the first time.
    pub(super) fn end(&self) -> bool {
        let connection = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        connection.is_some()
    }
}
