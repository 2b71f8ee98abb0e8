//! Values by a key of the application's, which is hashed and compared outside of the lock.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

/// So many that threads seldom meet at one.
const SHARDS: usize = 64;

/// Values by the hash of their keys. The key itself is a part of the value, and the callers compare it.
pub(crate) struct Index<T> {
    shards: Box<[Mutex<Shard<T>>]>,
    /// Random, so that nobody can choose keys with equal hashes.
    hasher: RandomState,
}

type Shard<T> = HashMap<u64, Found<T>, Prehashed>;

/// The values with one hash: one, but for one chance in 2^64, or keys whose `Hash` leaves something out.
enum Found<T> {
    One(Arc<T>),
    #[allow(
        clippy::box_collection,
        reason = "a map has few of them, and one large variant would make all large"
    )]
    Many(Box<Vec<Arc<T>>>),
}

impl<T> Clone for Found<T> {
    fn clone(&self) -> Self {
        match self {
            Self::One(value) => Self::One(Arc::clone(value)),
            Self::Many(values) => Self::Many(values.clone()),
        }
    }
}

impl<T> Found<T> {
    fn as_slice(&self) -> &[Arc<T>] {
        match self {
            Self::One(value) => std::slice::from_ref(value),
            Self::Many(values) => values,
        }
    }

    fn is_same(&self, other: &Self) -> bool {
        let (these, those) = (self.as_slice(), other.as_slice());
        these.len() == those.len() && these.iter().zip(those).all(|(this, that)| Arc::ptr_eq(this, that))
    }

    fn with(&self, value: Arc<T>) -> Self {
        Self::Many(Box::new(self.as_slice().iter().cloned().chain([value]).collect()))
    }
}

impl<T> Default for Index<T> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect(), hasher: RandomState::new() }
    }
}

impl<T> Index<T> {
    pub(crate) fn hasher(&self) -> &RandomState {
        &self.hasher
    }

    /// Runs code of the application.
    pub(crate) fn hash_of<Q: Hash + ?Sized>(&self, key: &Q) -> u64 {
        self.hasher.hash_one(key)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard<T>> {
        // The map uses the lowest bits and the highest.
        let shard = (hash >> 32) as usize % SHARDS;
        self.shards[shard].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// `is` compares the key: code of the application, which runs outside of the lock.
    pub(crate) fn find(&self, hash: u64, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
        let found = self.shard(hash).get(&hash).cloned()?;
        match found {
            Found::One(value) => is(&value).then_some(value),
            Found::Many(values) => values.into_iter().find(|value| is(value)),
        }
    }

    /// Finds a value, or inserts a new one. `admit` is called under the lock, for a value that is about to be inserted.
    pub(crate) fn find_or_insert<E>(
        &self,
        hash: u64,
        is: impl Fn(&T) -> bool,
        new: impl FnOnce() -> Arc<T>,
        admit: impl Fn() -> Result<(), E>,
    ) -> Result<(Arc<T>, bool), E> {
        let mut seen = self.shard(hash).get(&hash).cloned();
        if let Some(value) = find_in(seen.as_ref(), &is) {
            return Ok((value, false));
        }
        let new = new();
        loop {
            let now = {
                let mut shard = self.shard(hash);
                match (shard.entry(hash), &seen) {
                    (Entry::Vacant(place), _) => {
                        admit()?;
                        place.insert(Found::One(Arc::clone(&new)));
                        return Ok((new, true));
                    }
                    (Entry::Occupied(mut place), Some(seen)) if place.get().is_same(seen) => {
                        admit()?;
                        let both = place.get().with(Arc::clone(&new));
                        place.insert(both);
                        return Ok((new, true));
                    }
                    (Entry::Occupied(place), _) => place.get().clone(),
                }
            };
            // Others have come meanwhile, and one of them may be the one that is looked for.
            if let Some(value) = find_in(Some(&now), &is) {
                return Ok((value, false));
            }
            seen = Some(now);
        }
    }

    /// Removes a value. Returns whether it was there.
    pub(crate) fn remove(&self, hash: u64, value: &Arc<T>) -> bool {
        let mut shard = self.shard(hash);
        let Entry::Occupied(mut place) = shard.entry(hash) else { return false };
        let there = place.get().as_slice().iter().position(|other| Arc::ptr_eq(other, value));
        let Some(at) = there else { return false };
        // The caller has the value itself: this drops no last reference.
        match place.get_mut() {
            Found::One(_) => _ = place.remove(),
            Found::Many(values) => {
                values.remove(at);
                if let [only] = values.as_slice() {
                    let only = Found::One(Arc::clone(only));
                    place.insert(only);
                }
            }
        }
        // Many may have come and gone.
        if shard.len() * 8 < shard.capacity() && shard.capacity() > 64 {
            shard.shrink_to_fit();
        }
        true
    }

    /// Returns all values, one shard after the other.
    pub(crate) fn all(&self) -> Vec<Arc<T>> {
        let mut all = Vec::new();
        for shard in &self.shards {
            let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
            all.extend(shard.values().flat_map(Found::as_slice).cloned());
        }
        all
    }
}

fn find_in<T>(found: Option<&Found<T>>, is: impl Fn(&T) -> bool) -> Option<Arc<T>> {
    found?.as_slice().iter().find(|value| is(value)).cloned()
}

/// For keys that are hashes.
#[derive(Clone, Default)]
pub(crate) struct Prehashed;

impl BuildHasher for Prehashed {
    type Hasher = Hashed;

    fn build_hasher(&self) -> Hashed {
        Hashed(0)
    }
}

pub(crate) struct Hashed(u64);

impl Hasher for Hashed {
    fn finish(&self) -> u64 {
        self.0
    }

    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }

    fn write_u64(&mut self, hash: u64) {
        self.0 = hash;
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use std::convert::Infallible;

    use super::*;

    fn insert(index: &Index<u8>, hash: u64, value: u8) -> (Arc<u8>, bool) {
        index
            .find_or_insert(hash, |other| *other == value, || Arc::new(value), || Ok::<_, Infallible>(()))
            .unwrap()
    }

    #[test]
    fn values_with_one_hash_are_told_apart() {
        let index = Index::default();
        let (one, is_new) = insert(&index, 7, 1);
        assert!(is_new && !insert(&index, 7, 1).1 && insert(&index, 7, 2).1 && insert(&index, 7, 3).1);
        assert_eq!(index.find(7, |value| *value == 2).as_deref(), Some(&2));
        assert_eq!(index.find(8, |_| true), None);
        assert!(index.remove(7, &one) && !index.remove(7, &one));
        assert_eq!(index.find(7, |value| *value == 1), None);
        let mut left: Vec<u8> = index.all().iter().map(|value| **value).collect();
        left.sort_unstable();
        assert_eq!(left, [2, 3]);
        for value in index.all() {
            assert!(index.remove(7, &value));
        }
        assert!(index.all().is_empty());
    }

    #[test]
    fn a_value_that_was_inserted_meanwhile_is_found() {
        let index = Index::default();
        let new = || {
            insert(&index, 7, 2);
            insert(&index, 7, 1);
            Arc::new(1)
        };
        let (_, is_new) =
            index.find_or_insert(7, |other| *other == 1, new, || Ok::<_, Infallible>(())).unwrap();
        assert!(!is_new);
        assert_eq!(index.all().len(), 2);
    }
}
