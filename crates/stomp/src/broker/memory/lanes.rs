//! The order of messages of a destination, over all who get them.

use std::{
    array,
    hash::{BuildHasher, RandomState},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Locks that are held while a message is delivered, one for many destinations.
///
/// A message goes to the subscriptions of its destination and then to those of each pattern. Without this two messages
/// that are published at the same time could reach them in different orders. One that goes to a single topic needs no
/// lane: the topic's own lock gives all who get it the same order.
#[derive(Debug)]
pub(super) struct Lanes {
    /// Random, so that no client finds names that share a lane.
    hash: RandomState,
    lanes: [Mutex<()>; 64],
}

impl Lanes {
    pub(super) fn new() -> Self {
        Self { hash: RandomState::new(), lanes: array::from_fn(|_| Mutex::default()) }
    }

    pub(super) fn lock(&self, name: &str) -> MutexGuard<'_, ()> {
        let lane = self.hash.hash_one(name) % self.lanes.len() as u64;
        self.lanes[lane as usize].lock().unwrap_or_else(PoisonError::into_inner)
    }
}
