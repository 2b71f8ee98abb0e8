//! What a node counts of the requests between it and others.

use std::sync::atomic::{AtomicU64, Ordering};

/// A total that grows.
#[derive(Debug, Default)]
pub(super) struct Total(AtomicU64);

impl Total {
    pub(super) fn add(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The totals of a node.
#[derive(Debug, Default)]
pub(super) struct Totals {
    pub(super) forwarded: Total,
    pub(super) over_links: Total,
    pub(super) answered: Total,
    pub(super) given_up: Total,
}
