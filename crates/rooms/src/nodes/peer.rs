//! What a node knows of one other.

use std::{
    hash::Hash,
    time::{Duration, Instant},
};

use super::{
    protocol::{Op, Record},
    replica::{Change, Replica, Size},
};

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
    /// Some of it was refused for want of room: not before is a snapshot asked for, which has it.
    pub(super) refused: Option<Instant>,
}

/// The parts of a snapshot that have come.
#[derive(Debug)]
pub(super) struct Partial<K, U, D> {
    version: u64,
    next: u32,
    /// Some of it was refused for want of room.
    pub(super) was_refused: bool,
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
            refused: None,
        }
    }

    /// A snapshot is asked for now. The next one is waited for twice as long: this one may be what is too much.
    pub(super) fn wait(&mut self, now: Instant, max: Duration) {
        self.behind = Some(now + self.patience);
        self.patience = max.min(2 * self.patience);
    }

    /// Whether a snapshot is asked for now, if there is room for what was refused.
    pub(super) fn is_due(&self, has_room: bool, now: Instant) -> bool {
        match self.behind {
            Some(again) => again <= now,
            None => has_room && self.refused.is_some_and(|at| at <= now),
        }
    }
}

impl<K: Clone + Eq + Hash, U: Clone + Eq, D: Clone> Peer<K, U, D> {
    /// Takes what has come of a snapshot, and how much it is.
    pub(super) fn take_partial(&mut self) -> (Option<Partial<K, U, D>>, Size) {
        let partial = self.partial.take();
        let size = partial.as_ref().map_or(Size::default(), |partial| partial.replica.size());
        (partial, size)
    }

    /// Applies operations of so many bytes each, as far as there is room beside the others. Returns how many there was
    /// none for.
    pub(super) fn operate(
        &mut self,
        ops: impl Iterator<Item = (Op<K, U, D>, usize)>,
        room: (Size, Size),
        changes: &mut Vec<Change<K, U, D>>,
    ) -> u64 {
        let mut refused = 0;
        for (op, bytes) in ops {
            self.version = self.version.saturating_add(1);
            let record = Record { revision: self.version, op };
            refused += u64::from(!self.replica.admit(record, bytes, room, changes));
        }
        refused
    }
}

impl<K: Clone + Eq + Hash, U: Clone + Eq, D: Clone> Partial<K, U, D> {
    /// The snapshot that a part belongs to. `None` if one before it is missing.
    pub(super) fn of(old: Option<Self>, version: u64, index: u32) -> Option<Self> {
        match old {
            _ if index == 0 => {
                Some(Self { version, next: 0, was_refused: false, replica: Replica::default() })
            }
            old => old.filter(|old| old.version == version && old.next == index),
        }
    }

    /// Adds the records of its next part like [`Peer::operate`].
    pub(super) fn add(
        &mut self,
        records: impl Iterator<Item = (Record<K, U, D>, usize)>,
        room: (Size, Size),
    ) -> u64 {
        self.next = self.next.saturating_add(1);
        let mut refused = 0;
        for (record, bytes) in records {
            refused += u64::from(!self.replica.admit(record, bytes, room, &mut Vec::new()));
        }
        self.was_refused |= refused > 0;
        refused
    }
}
