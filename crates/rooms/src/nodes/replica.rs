//! What one node has: its sessions, their rooms and data.

use std::{collections::HashMap, hash::Hash, sync::Arc};

use super::protocol::{Op, Record, TabId};

/// The sessions of a node and their memberships, as they are after some number of operations.
#[derive(Debug)]
pub(crate) struct Replica<K, U, D> {
    tabs: HashMap<TabId, Tab<K, U, D>>,
    size: Size,
}

/// How much it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Size {
    /// Sessions and memberships.
    pub(crate) entries: usize,
    /// Of their JSON.
    pub(crate) bytes: usize,
}

impl Size {
    const fn one(bytes: usize) -> Self {
        Self { entries: 1, bytes }
    }

    pub(crate) const fn and(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_add(other.entries),
            bytes: self.bytes.saturating_add(other.bytes),
        }
    }

    pub(crate) const fn without(self, other: Self) -> Self {
        Self {
            entries: self.entries.saturating_sub(other.entries),
            bytes: self.bytes.saturating_sub(other.bytes),
        }
    }

    /// Rounded up.
    pub(crate) const fn third(self) -> Self {
        Self { entries: self.entries.div_ceil(3), bytes: self.bytes.div_ceil(3) }
    }

    pub(crate) const fn fits(self, max: Self) -> bool {
        self.entries <= max.entries && self.bytes <= max.bytes
    }
}

#[derive(Debug)]
struct Tab<K, U, D> {
    user: Option<Arc<U>>,
    /// The number of the operation that has made it known.
    revision: u64,
    bytes: usize,
    rooms: HashMap<Arc<K>, Membership<D>>,
}

impl<K, U, D> Tab<K, U, D> {
    fn size(&self) -> Size {
        let rooms = self.rooms.values().map(|membership| Size::one(membership.bytes));
        rooms.fold(Size::one(self.bytes), Size::and)
    }
}

#[derive(Debug)]
struct Membership<D> {
    data: Arc<D>,
    /// The number of the operation that has changed it last.
    revision: u64,
    bytes: usize,
}

/// What has changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change<K, U, D> {
    Entered {
        id: TabId,
        user: Option<Arc<U>>,
    },
    Exited {
        id: TabId,
        user: Option<Arc<U>>,
    },
    /// A member has come, or has other data.
    Joined {
        room: Arc<K>,
        id: TabId,
        user: Option<Arc<U>>,
        data: Arc<D>,
    },
    Left {
        room: Arc<K>,
        id: TabId,
    },
}

impl<K, U, D> Default for Replica<K, U, D> {
    fn default() -> Self {
        Self { tabs: HashMap::new(), size: Size::default() }
    }
}

impl<K: Clone + Eq + Hash, U: Clone + Eq, D: Clone> Replica<K, U, D> {
    /// How much there is.
    pub(crate) fn size(&self) -> Size {
        self.size
    }

    /// Applies an operation of so many bytes if there is room beside the others, and otherwise withdraws what it would
    /// have changed. Returns whether it has been applied.
    pub(crate) fn admit(
        &mut self,
        Record { revision, op }: Record<K, U, D>,
        bytes: usize,
        (others, max): (Size, Size),
        changes: &mut Vec<Change<K, U, D>>,
    ) -> bool {
        let (old, new) = match &op {
            Op::Enter(id, _) => (self.tabs.get(id).map(Tab::size), Size::one(bytes)),
            Op::Join(id, room, _) => match self.tabs.get(id) {
                Some(tab) => (tab.rooms.get(room).map(|old| Size::one(old.bytes)), Size::one(bytes)),
                None => return true,
            },
            Op::Exit(_) | Op::Leave(..) | Op::Nothing => (None, Size::default()),
        };
        let after = others.and(self.size).without(old.unwrap_or_default()).and(new);
        let fits = new == Size::default() || after.fits(max);
        self.apply(if fits { op } else { op.withdrawn() }, revision, bytes, changes);
        fits
    }

    /// Applies the operation with a number, whose JSON has so many bytes, and says what has changed.
    ///
    /// A session that is not known has no rooms, and leaves none: such an operation does nothing.
    pub(crate) fn apply(
        &mut self,
        op: Op<K, U, D>,
        revision: u64,
        bytes: usize,
        changes: &mut Vec<Change<K, U, D>>,
    ) {
        match op {
            Op::Nothing => {}
            Op::Enter(id, user) => {
                self.exit(id, changes);
                let user = user.map(Arc::new);
                changes.push(Change::Entered { id, user: user.clone() });
                self.tabs.insert(id, Tab { user, revision, bytes, rooms: HashMap::new() });
                self.size = self.size.and(Size::one(bytes));
            }
            Op::Exit(id) => self.exit(id, changes),
            Op::Join(id, room, data) => {
                let Some(tab) = self.tabs.get_mut(&id) else { return };
                let data = Arc::new(data);
                let room = tab
                    .rooms
                    .get_key_value(&room)
                    .map_or_else(|| Arc::new(room), |(known, _)| Arc::clone(known));
                let (user, membership) =
                    (tab.user.clone(), Membership { data: Arc::clone(&data), revision, bytes });
                if let Some(old) = tab.rooms.insert(Arc::clone(&room), membership) {
                    self.size = self.size.without(Size::one(old.bytes));
                }
                self.size = self.size.and(Size::one(bytes));
                changes.push(Change::Joined { room, id, user, data });
            }
            Op::Leave(id, room) => {
                let removed = self.tabs.get_mut(&id).and_then(|tab| tab.rooms.remove_entry(&room));
                if let Some((room, old)) = removed {
                    self.size = self.size.without(Size::one(old.bytes));
                    changes.push(Change::Left { room, id });
                }
            }
        }
    }

    fn exit(&mut self, id: TabId, changes: &mut Vec<Change<K, U, D>>) {
        let Some(tab) = self.tabs.remove(&id) else { return };
        self.size = self.size.without(tab.size());
        changes.extend(tab.rooms.into_keys().map(|room| Change::Left { room, id }));
        changes.push(Change::Exited { id, user: tab.user });
    }

    /// All sessions exit.
    pub(crate) fn clear(&mut self, changes: &mut Vec<Change<K, U, D>>) {
        let ids: Vec<_> = self.tabs.keys().copied().collect();
        ids.into_iter().for_each(|id| self.exit(id, changes));
    }

    /// Becomes another one, and says what is different.
    pub(crate) fn replace(&mut self, new: Self, changes: &mut Vec<Change<K, U, D>>) {
        // Of the same session by its number: one that has exited and entered again is another one.
        let is_there =
            |id: &TabId, old: &Tab<K, U, D>| new.tabs.get(id).is_some_and(|tab| tab.revision == old.revision);
        let gone: Vec<_> =
            self.tabs.iter().filter(|(id, old)| !is_there(id, old)).map(|(id, _)| *id).collect();
        gone.into_iter().for_each(|id| self.exit(id, changes));
        for (&id, tab) in &new.tabs {
            let old = self.tabs.remove(&id);
            if old.is_none() {
                changes.push(Change::Entered { id, user: tab.user.clone() });
            }
            let mut old = old.map(|old| old.rooms).unwrap_or_default();
            for (room, membership) in &tab.rooms {
                if old.remove(room).is_none_or(|old| old.revision != membership.revision) {
                    let (user, data) = (tab.user.clone(), Arc::clone(&membership.data));
                    changes.push(Change::Joined { room: Arc::clone(room), id, user, data });
                }
            }
            changes.extend(old.into_keys().map(|room| Change::Left { room, id }));
        }
        *self = new;
    }

    /// The operations that make an empty replica equal to this one.
    pub(crate) fn records(&self) -> Vec<Record<K, U, D>> {
        let mut records = Vec::with_capacity(self.size.entries);
        for (&id, tab) in &self.tabs {
            let op = Op::Enter(id, tab.user.as_deref().cloned());
            records.push(Record { revision: tab.revision, op });
            records.extend(tab.rooms.iter().map(|(room, membership)| {
                let op = Op::Join(id, K::clone(room), D::clone(&membership.data));
                Record { revision: membership.revision, op }
            }));
        }
        records
    }
}
