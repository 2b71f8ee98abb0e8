//! When a client was last heard.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    time::Duration,
};

use tokio::time::Instant;

/// When a client was last heard.
///
/// While a frame of its is in work, nothing is read: then it cannot be silent.
#[derive(Debug)]
pub(super) struct Pulse {
    start: Instant,
    /// In milliseconds since the start.
    heard: AtomicU64,
}

const BUSY: u64 = u64::MAX;

impl Pulse {
    pub(super) fn new() -> Self {
        Self { start: Instant::now(), heard: AtomicU64::new(0) }
    }

    pub(super) fn heard(&self) {
        let millis = u64::try_from(self.start.elapsed().as_millis()).unwrap_or(BUSY - 1);
        self.heard.store(millis, Ordering::Relaxed);
    }

    pub(super) fn busy(&self) {
        self.heard.store(BUSY, Ordering::Relaxed);
    }

    /// Since when the client is silent: at most since now.
    pub(super) fn silent_since(&self) -> Instant {
        match self.heard.load(Ordering::Relaxed) {
            BUSY => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }
}
