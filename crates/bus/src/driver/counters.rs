//! What is counted.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use crate::{bus::PublishError, status::Stats};

/// What becomes the [`Stats`] of a driver.
#[derive(Debug, Default)]
pub struct Counters {
    published: AtomicU64,
    disconnected: AtomicU64,
    full: AtomicU64,
    too_large: AtomicU64,
    forbidden: AtomicU64,
    received: AtomicU64,
    overflowed: AtomicU64,
    reconnects: AtomicU64,
}

impl Counters {
    /// A message was taken for publishing, or refused.
    pub fn published(&self, result: Result<(), PublishError>) {
        let counter = match result {
            Ok(()) => &self.published,
            Err(PublishError::Disconnected) => &self.disconnected,
            Err(PublishError::Full) => &self.full,
            Err(PublishError::TooLarge { .. }) => &self.too_large,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Messages were taken, and there is no connection for them any more.
    pub fn lost(&self, messages: u64) {
        self.disconnected.fetch_add(messages, Relaxed);
    }

    /// Messages were taken, and the engine refuses them.
    pub fn forbidden(&self, messages: u64) {
        self.forbidden.fetch_add(messages, Relaxed);
    }

    /// A message is given to a receiver.
    pub fn received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    /// A message is lost, since a receiver is too slow.
    pub fn overflowed(&self) {
        self.overflowed.fetch_add(1, Relaxed);
    }

    /// A lost connection has come back.
    pub fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    /// What has been counted.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats {
            published: self.published.load(Relaxed),
            disconnected: self.disconnected.load(Relaxed),
            full: self.full.load(Relaxed),
            too_large: self.too_large.load(Relaxed),
            forbidden: self.forbidden.load(Relaxed),
            received: self.received.load(Relaxed),
            overflowed: self.overflowed.load(Relaxed),
            reconnects: self.reconnects.load(Relaxed),
        }
    }
}
