//! Which own sessions and memberships the other nodes have been told of.
//!
//! Threads tell in any order what they have done: a session that leaves a room and joins it anew may have joined, as
//! far as is told, before it has left. Tokens that grow put that right.

use std::{
    collections::{HashMap, hash_map::Entry},
    hash::Hash,
};

use super::protocol::TabId;

/// Grows from one membership of a session in a room to the next.
pub(crate) type Token = (u64, u64);

#[derive(Debug)]
pub(crate) struct Places<K>(HashMap<TabId, Place<K>>);

#[derive(Debug)]
struct Place<K> {
    /// Grows from one time that the session is known to the next.
    serial: u64,
    rooms: HashMap<K, Token>,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// Each returns whether it is news.
impl<K: Clone + Eq + Hash> Places<K> {
    pub(crate) fn enter(&mut self, id: TabId, serial: u64) -> bool {
        let is_known = self.0.get(&id).is_some_and(|place| place.serial >= serial);
        if !is_known {
            self.0.insert(id, Place { serial, rooms: HashMap::new() });
        }
        !is_known
    }

    pub(crate) fn exit(&mut self, id: TabId, serial: u64) -> bool {
        let is_it = self.0.get(&id).is_some_and(|place| place.serial == serial);
        if is_it {
            self.0.remove(&id);
        }
        is_it
    }

    /// Of a session that has entered, by this serial or a later one.
    pub(crate) fn join(&mut self, id: TabId, serial: u64, room: &K, token: Token) -> bool {
        let Some(place) = self.0.get_mut(&id).filter(|place| place.serial == serial) else { return false };
        match place.rooms.entry(room.clone()) {
            Entry::Occupied(known) if *known.get() >= token => false,
            entry => {
                entry.insert_entry(token);
                true
            }
        }
    }

    /// Whether other data of this membership are news.
    pub(crate) fn is_there(&self, id: TabId, room: &K, token: Token) -> bool {
        self.0.get(&id).is_some_and(|place| place.rooms.get(room) == Some(&token))
    }

    pub(crate) fn leave(&mut self, id: TabId, room: &K, token: Token) -> bool {
        let is_it = self.is_there(id, room, token);
        if let Some(place) = self.0.get_mut(&id).filter(|_| is_it) {
            place.rooms.remove(room);
        }
        is_it
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_told_late_is_no_news() {
        let mut places = Places::default();
        assert!(places.enter(1, 5) && !places.enter(1, 5));
        assert!(places.join(1, 5, &"a", (3, 0)) && !places.join(1, 5, &"a", (3, 0)));
        assert!(places.join(1, 5, &"a", (3, 1)), "it has left meanwhile");
        assert!(!places.leave(1, &"a", (3, 0)), "which is told now");
        assert!(places.is_there(1, &"a", (3, 1)) && !places.is_there(1, &"a", (3, 0)));
        assert!(!places.join(1, 5, &"a", (2, 9)), "an earlier room with this key");
        assert!(places.leave(1, &"a", (3, 1)) && !places.leave(1, &"a", (3, 1)));
        assert!(places.enter(1, 6));
        assert!(!places.exit(1, 5) && !places.join(1, 5, &"a", (9, 9)) && !places.enter(1, 5));
        assert!(places.exit(1, 6) && places.0.is_empty());
    }
}
