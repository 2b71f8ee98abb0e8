//! What is counted.
//!
//! Imports: nothing.

use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

use sockjs_bus::{PublishError, Stats};

#[derive(Debug, Default)]
pub(crate) struct Counters {
    published: AtomicU64,
    disconnected: AtomicU64,
    full: AtomicU64,
    too_large: AtomicU64,
    received: AtomicU64,
    overflowed: AtomicU64,
    reconnects: AtomicU64,
}

impl Counters {
    pub(crate) fn published(&self, result: Result<(), PublishError>) {
        let counter = match result {
            Ok(()) => &self.published,
            Err(PublishError::Full) => &self.full,
            Err(PublishError::TooLarge { .. }) => &self.too_large,
            Err(_) => &self.disconnected,
        };
        counter.fetch_add(1, Relaxed);
    }

    /// Messages that were taken, and for which there is no connection any more.
    pub(crate) fn lost(&self, messages: u64) {
        self.disconnected.fetch_add(messages, Relaxed);
    }

    pub(crate) fn received(&self) {
        self.received.fetch_add(1, Relaxed);
    }

    pub(crate) fn overflowed(&self) {
        self.overflowed.fetch_add(1, Relaxed);
    }

    pub(crate) fn reconnected(&self) {
        self.reconnects.fetch_add(1, Relaxed);
    }

    pub(crate) fn stats(&self) -> Stats {
        let mut stats = Stats::default();
        stats.published = self.published.load(Relaxed);
        stats.disconnected = self.disconnected.load(Relaxed);
        stats.full = self.full.load(Relaxed);
        stats.too_large = self.too_large.load(Relaxed);
        stats.received = self.received.load(Relaxed);
        stats.overflowed = self.overflowed.load(Relaxed);
        stats.reconnects = self.reconnects.load(Relaxed);
        stats
    }
}
