//! The rooms that nobody needs and that are kept for their history, by the time at which they are forgotten.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::time::Instant;

use super::room::Room;

type ByTime<K, U, D> = BTreeMap<(Instant, u64), Arc<Room<K, U, D>>>;

/// A room, and when it is forgotten.
pub(crate) type Until<K, U, D> = (Instant, Arc<Room<K, U, D>>);

pub(crate) struct Idle<K, U, D>(Mutex<ByTime<K, U, D>>);

impl<K, U, D> Default for Idle<K, U, D> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K, U, D> Idle<K, U, D> {
    fn lock(&self) -> MutexGuard<'_, ByTime<K, U, D>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn insert(&self, until: Instant, room: &Arc<Room<K, U, D>>) {
        self.lock().insert((until, room.serial), Arc::clone(room));
    }

    /// The caller holds the room, so that this drops no last reference.
    pub(crate) fn remove(&self, until: Instant, room: &Room<K, U, D>) {
        self.lock().remove(&(until, room.serial));
    }

    /// Takes the room that is forgotten first, if its time has come by `now`, or in any case with `None`.
    pub(crate) fn pop(&self, now: Option<Instant>) -> Option<Until<K, U, D>> {
        let mut idle = self.lock();
        let first = idle.first_entry()?;
        let (until, _) = *first.key();
        if now.is_some_and(|now| until > now) {
            return None;
        }
        Some((until, first.remove()))
    }
}
