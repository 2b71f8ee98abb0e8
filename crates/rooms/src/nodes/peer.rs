//! What a node knows of one other.

use std::time::{Duration, Instant};

use super::replica::Replica;

#[derive(Debug)]
pub(super) struct Peer<K, U, D> {
    pub(super) replica: Replica<K, U, D>,
    pub(super) version: u64,
    pub(super) address: Option<String>,
    pub(super) heard: Instant,
    /// When a snapshot is asked for again, if the replica is behind.
    pub(super) behind: Option<Instant>,
    /// How long the next one is waited for.
    pub(super) patience: Duration,
    pub(super) partial: Option<Partial<K, U, D>>,
}

/// The parts of a snapshot that have come.
#[derive(Debug)]
pub(super) struct Partial<K, U, D> {
    pub(super) version: u64,
    pub(super) next: u32,
    pub(super) replica: Replica<K, U, D>,
}

impl<K, U, D> Peer<K, U, D> {
    /// A node that has just been heard, and is given so long for its first snapshot.
    pub(super) fn new(heard: Instant, patience: Duration) -> Self {
        Self {
            replica: Replica::default(),
            version: 0,
            address: None,
            heard,
            behind: None,
            patience,
            partial: None,
        }
    }

    /// A snapshot is asked for now. The next one is waited for twice as long: this one may be what is too much.
    pub(super) fn wait(&mut self, now: Instant, max: Duration) {
        self.behind = Some(now + self.patience);
        self.patience = max.min(2 * self.patience);
    }
}
