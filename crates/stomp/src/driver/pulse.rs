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
    /// Whether anybody wants to know when.
    is_watched: bool,
    start: Instant,
    /// In milliseconds since the start.
    heard: AtomicU64,
}

const BUSY: u64 = u64::MAX;

impl Pulse {
    pub(super) fn new(is_watched: bool) -> Self {
        Self { is_watched, start: Instant::now(), heard: AtomicU64::new(0) }
    }

    pub(super) fn heard(&self) {
        let elapsed = if self.is_watched { self.start.elapsed() } else { Duration::ZERO };
        let millis = u64::try_from(elapsed.as_millis()).unwrap_or(BUSY - 1);
        self.heard.store(millis, Ordering::Relaxed);
    }

    pub(super) fn busy(&self) {
        self.heard.store(BUSY, Ordering::Relaxed);
    }

    /// Whether a frame is in work.
    pub(super) fn is_busy(&self) -> bool {
        self.heard.load(Ordering::Relaxed) == BUSY
    }

    /// Since when the client is silent: at most since now.
    pub(super) fn silent_since(&self) -> Instant {
        match self.heard.load(Ordering::Relaxed) {
            BUSY => Instant::now(),
            millis => self.start + Duration::from_millis(millis),
        }
    }
}
