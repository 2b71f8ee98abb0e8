//! Which own sessions and memberships the other nodes have been told of.
//!
//! Threads tell late what has ended: a session that leaves a room and joins it anew may have joined, as far as is told,
//! before it has left. So each end says what it is the end of. That something has begun is told before it ends, and so
//! before it begins anew.

use std::{collections::HashMap, hash::Hash};

use super::protocol::TabId;

/// Tells apart the memberships of a session in a room.
pub(crate) type Token = (u64, u64);

#[derive(Debug)]
pub(crate) struct Places<K>(HashMap<TabId, Place<K>>);

#[derive(Debug)]
struct Place<K> {
    /// Tells apart the times that the session is known.
    tab: usize,
    rooms: HashMap<K, Token>,
}

impl<K> Default for Places<K> {
    fn default() -> Self {
        Self(HashMap::new())
    }
}

/// Each returns whether it is news.
impl<K: Clone + Eq + Hash> Places<K> {
    pub(crate) fn enter(&mut self, id: TabId, tab: usize) -> bool {
        let is_known = self.0.get(&id).is_some_and(|place| place.tab == tab);
        if !is_known {
            self.0.insert(id, Place { tab, rooms: HashMap::new() });
        }
        !is_known
    }

    pub(crate) fn exit(&mut self, id: TabId, tab: usize) -> bool {
        let is_it = self.0.get(&id).is_some_and(|place| place.tab == tab);
        if is_it {
            self.0.remove(&id);
        }
        is_it
    }

    /// Of a session that has entered.
    pub(crate) fn join(&mut self, id: TabId, room: &K, token: Token) -> bool {
        let Some(place) = self.0.get_mut(&id) else { return false };
        place.rooms.insert(room.clone(), token) != Some(token)
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
        assert!(places.join(1, &"a", (3, 0)) && !places.join(1, &"a", (3, 0)));
        assert!(places.join(1, &"a", (3, 1)), "it has left meanwhile");
        assert!(!places.leave(1, &"a", (3, 0)), "which is told now");
        assert!(places.is_there(1, &"a", (3, 1)) && !places.is_there(1, &"a", (3, 0)));
        assert!(places.leave(1, &"a", (3, 1)) && !places.leave(1, &"a", (3, 1)));
        assert!(places.join(1, &"b", (3, 0)));
        assert!(places.enter(1, 4), "it has exited meanwhile");
        assert!(!places.is_there(1, &"b", (3, 0)) && !places.exit(1, 5), "which is told now");
        assert!(places.exit(1, 4) && places.0.is_empty());
        assert!(!places.join(1, &"a", (3, 0)));
    }
}
