//! A map that forgets what has not been used for long.
//!
//! Imports: nothing.

use std::{collections::HashMap, hash::Hash, mem};

/// A map of the last `capacity` keys that were used, and of up to as many before them.
///
/// There are two generations. What is used moves to the newer one; when that is full, it becomes the older one, whose
/// keys are forgotten.
#[derive(Debug)]
pub(crate) struct Recent<K, V> {
    newer: HashMap<K, V>,
    older: HashMap<K, V>,
    capacity: usize,
}

impl<K: Eq + Hash + Clone, V> Recent<K, V> {
    pub(crate) fn new(capacity: usize) -> Self {
        Self { newer: HashMap::new(), older: HashMap::new(), capacity }
    }

    /// The value of a key; if the key is not there, it gets this one.
    pub(crate) fn get_or_insert_with(&mut self, key: &K, value: impl FnOnce() -> V) -> &mut V {
        if !self.newer.contains_key(key) {
            let value = self.older.remove(key).unwrap_or_else(value);
            if self.newer.len() >= self.capacity {
                self.older = mem::take(&mut self.newer);
            }
            self.newer.insert(key.clone(), value);
        }
        self.newer.get_mut(key).expect("it was there or has been inserted")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_stays_and_the_rest_is_forgotten() {
        let mut map = Recent::new(4);
        for key in 0..1000 {
            assert_eq!(*map.get_or_insert_with(&-1, || 7), 7);
            *map.get_or_insert_with(&-1, || 0) = 7;
            map.get_or_insert_with(&key, || key);
            assert!(map.newer.len() + map.older.len() <= 8);
        }
        assert_eq!(*map.get_or_insert_with(&999, || 0), 999);
        assert_eq!(*map.get_or_insert_with(&0, || -5), -5);
    }
}
