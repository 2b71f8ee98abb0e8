//! The sessions that are known, and the users whose tabs they are.

use std::{
    collections::HashSet,
    hash::{Hash, Hasher},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU32, Ordering},
    },
};

use axum_sockjs::{ConnectionId, Sender, WeakSender};

/// A session that is known.
pub(crate) struct Tab<U> {
    pub(crate) id: ConnectionId,
    /// Weak for the sake of its size. Whoever holds the tab has the session.
    sender: WeakSender,
    pub(crate) user: Option<Arc<User<U>>>,
    /// The guards of the application's: what keeps the tab known.
    handles: AtomicU32,
    /// How many rooms it is in, or about to join.
    rooms: AtomicU32,
    joined: Mutex<Joined>,
}

/// The serial numbers of the rooms that a session is in. Most are in one, and it takes nothing more.
#[derive(Debug, Default)]
enum Joined {
    #[default]
    Nothing,
    One(u64),
    #[allow(clippy::box_collection, reason = "for the sake of the size of those that are in one")]
    More(Box<Vec<u64>>),
}

impl Joined {
    fn serials(&self) -> &[u64] {
        match self {
            Self::Nothing => &[],
            Self::One(serial) => std::slice::from_ref(serial),
            Self::More(serials) => serials,
        }
    }

    fn add(&mut self, serial: u64) {
        match self {
            Self::Nothing => *self = Self::One(serial),
            Self::One(first) => *self = Self::More(Box::new(vec![*first, serial])),
            Self::More(serials) => {
                if serials.len() == serials.capacity() {
                    serials.reserve_exact(2 + serials.len() / 4);
                }
                serials.push(serial);
            }
        }
    }

    fn remove(&mut self, serial: u64) {
        if let Self::More(serials) = self {
            if let Some(at) = serials.iter().position(|other| *other == serial) {
                serials.swap_remove(at);
            }
            if let [last] = serials[..] {
                *self = Self::One(last);
            }
        } else if self.serials() == [serial] {
            *self = Self::Nothing;
        }
    }
}

impl<U> Tab<U> {
    /// With one handle.
    pub(crate) fn new(sender: &Sender, user: Option<Arc<User<U>>>) -> Self {
        let (handles, rooms) = (AtomicU32::new(1), AtomicU32::new(0));
        Self { id: sender.id(), sender: sender.downgrade(), user, handles, rooms, joined: Mutex::default() }
    }

    /// Distinguishes it from the other tabs of its session, as long as it is there.
    pub(crate) fn address(&self) -> usize {
        std::ptr::from_ref(self) as usize
    }

    /// `None` if nothing is left of the session.
    pub(crate) fn sender(&self) -> Option<Sender> {
        self.sender.upgrade()
    }

    pub(crate) fn hold(&self) {
        self.handles.fetch_add(1, Ordering::Relaxed);
    }

    /// Returns whether this was the last handle.
    pub(crate) fn release(&self) -> bool {
        self.handles.fetch_sub(1, Ordering::AcqRel) == 1
    }

    /// Takes one of the rooms that a session may be in. Returns `false` if there is none left.
    pub(crate) fn reserve_room(&self, most: u32) -> bool {
        let more = |rooms: u32| (rooms < most).then(|| rooms + 1);
        self.rooms.fetch_update(Ordering::Relaxed, Ordering::Relaxed, more).is_ok()
    }

    pub(crate) fn release_room(&self) {
        self.rooms.fetch_sub(1, Ordering::Relaxed);
    }

    fn joined(&self) -> MutexGuard<'_, Joined> {
        self.joined.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether it is in the room with this serial number. This and what follows are called under the room's lock.
    pub(crate) fn is_in(&self, room: u64) -> bool {
        self.joined().serials().contains(&room)
    }

    pub(crate) fn has_joined(&self, room: u64) {
        self.joined().add(room);
    }

    pub(crate) fn has_left(&self, room: u64) {
        self.joined().remove(room);
    }
}

/// A user that has tabs.
pub(crate) struct User<U> {
    pub(crate) user: U,
    pub(crate) hash: u64,
    /// Distinguishes it from all other users and rooms.
    pub(crate) serial: u64,
    state: Mutex<UserState<U>>,
}

pub(crate) struct UserState<U> {
    pub(crate) tabs: Vec<Arc<Tab<U>>>,
    /// Its last tab has gone, and it is no longer in the index.
    pub(crate) removed: bool,
}

impl<U> User<U> {
    pub(crate) fn new(user: U, hash: u64, serial: u64) -> Self {
        Self { user, hash, serial, state: Mutex::new(UserState { tabs: Vec::new(), removed: false }) }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, UserState<U>> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn tabs(&self) -> Vec<Arc<Tab<U>>> {
        self.lock().tabs.clone()
    }
}

/// So many that threads seldom meet at one.
const SHARDS: usize = 64;

/// The sessions that are known, by their ids.
pub(crate) struct Tabs<U> {
    shards: Box<[Mutex<HashSet<ById<U>>>]>,
}

struct ById<U>(Arc<Tab<U>>);

impl<U> std::borrow::Borrow<ConnectionId> for ById<U> {
    fn borrow(&self) -> &ConnectionId {
        &self.0.id
    }
}

impl<U> PartialEq for ById<U> {
    fn eq(&self, other: &Self) -> bool {
        self.0.id == other.0.id
    }
}

impl<U> Eq for ById<U> {}

impl<U> Hash for ById<U> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.id.hash(state);
    }
}

impl<U> Default for Tabs<U> {
    fn default() -> Self {
        Self { shards: (0..SHARDS).map(|_| Mutex::default()).collect() }
    }
}

impl<U> Tabs<U> {
    fn shard(&self, id: ConnectionId) -> MutexGuard<'_, HashSet<ById<U>>> {
        // Ids are random.
        self.shards[id.as_u128() as usize % SHARDS].lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Returns the tab of a session, with a handle.
    pub(crate) fn find(&self, id: ConnectionId) -> Option<Arc<Tab<U>>> {
        let shard = self.shard(id);
        let found = Arc::clone(&shard.get(&id)?.0);
        // Under the lock, so that it is not removed meanwhile.
        found.hold();
        Some(found)
    }

    /// Inserts a tab with its first handle, or returns the one that was there, with another handle.
    pub(crate) fn insert(&self, tab: &Arc<Tab<U>>) -> Option<Arc<Tab<U>>> {
        let mut shard = self.shard(tab.id);
        if let Some(there) = shard.get(&tab.id) {
            there.0.hold();
            return Some(Arc::clone(&there.0));
        }
        shard.insert(ById(Arc::clone(tab)));
        None
    }

    /// Removes a tab whose last handle has been dropped. Returns `false` if it has a new one, or has gone already.
    pub(crate) fn remove(&self, tab: &Arc<Tab<U>>) -> bool {
        let mut shard = self.shard(tab.id);
        if tab.handles.load(Ordering::Acquire) > 0 {
            return false;
        }
        let is_it = shard.get(&tab.id).is_some_and(|there| Arc::ptr_eq(&there.0, tab));
        if is_it {
            shard.remove(&tab.id);
            if shard.len() * 8 < shard.capacity() && shard.capacity() > 64 {
                shard.shrink_to_fit();
            }
        }
        is_it
    }

    pub(crate) fn len(&self) -> usize {
        self.shards.iter().map(|shard| shard.lock().unwrap_or_else(PoisonError::into_inner).len()).sum()
    }

    /// Calls `each` with the tabs of one shard after the other, outside of the lock.
    pub(crate) fn for_each(&self, mut each: impl FnMut(&Tab<U>)) {
        for shard in &self.shards {
            let tabs: Vec<_> = {
                let shard = shard.lock().unwrap_or_else(PoisonError::into_inner);
                shard.iter().map(|tab| Arc::clone(&tab.0)).collect()
            };
            tabs.iter().for_each(|tab| each(tab));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_is_in_the_rooms_that_it_has_not_left() {
        let mut joined = Joined::default();
        let mut model = HashSet::new();
        // Up, partly down, and up again; each of them in another order.
        for (from, to, is_joining) in
            [(0, 10, true), (3, 9, false), (20, 25, true), (0, 30, false), (7, 9, true)]
        {
            for serial in from..to {
                let serial = serial * 7 % 31;
                if is_joining {
                    joined.add(serial);
                    model.insert(serial);
                } else {
                    joined.remove(serial);
                    model.remove(&serial);
                }
                assert_eq!(joined.serials().len(), model.len());
                assert_eq!(joined.serials().iter().copied().collect::<HashSet<_>>(), model);
            }
        }
    }
}
