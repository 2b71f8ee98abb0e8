//! What the rooms have counted.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};

use crate::{
    recovery::{Outcome, Recovery},
    sent::Sent,
};

#[derive(Default)]
pub(crate) struct Counters {
    pub(crate) memberships: AtomicUsize,
    /// Rooms that have members.
    pub(crate) occupied: AtomicUsize,
    pub(crate) users: AtomicUsize,
    pub(crate) sent: AtomicU64,
    pub(crate) delivered: AtomicU64,
    pub(crate) dropped: AtomicU64,
    pub(crate) gone: AtomicU64,
    pub(crate) unsupported: AtomicU64,
    pub(crate) refused: AtomicU64,
    pub(crate) recovered: AtomicU64,
    pub(crate) positions_gone: AtomicU64,
    panics: AtomicU64,
}

impl Counters {
    pub(crate) fn message(&self) {
        self.sent.fetch_add(1, Relaxed);
    }

    /// Code of the application has panicked where no caller of the application's gets it.
    pub(crate) fn panicked(&self, what: &str) {
        self.panics.fetch_add(1, Relaxed);
        tracing::error!("{what}");
    }

    pub(crate) fn panics(&self) -> u64 {
        self.panics.load(Relaxed)
    }

    pub(crate) fn recovery(&self, recovery: &Recovery) {
        match recovery.outcome {
            Outcome::New => {}
            Outcome::Whole => _ = self.recovered.fetch_add(1, Relaxed),
            Outcome::Gone => _ = self.positions_gone.fetch_add(1, Relaxed),
        }
    }

    #[inline]
    pub(crate) fn deliveries(&self, sent: &Sent) {
        self.delivered.fetch_add(sent.delivered as u64, Relaxed);
        if sent.dropped | sent.gone | sent.unsupported > 0 {
            self.missed(sent);
        }
    }

    #[cold]
    fn missed(&self, sent: &Sent) {
        for (counter, number) in
            [(&self.dropped, sent.dropped), (&self.gone, sent.gone), (&self.unsupported, sent.unsupported)]
        {
            counter.fetch_add(number as u64, Relaxed);
        }
    }
}
