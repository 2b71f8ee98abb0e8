//! What is known of rooms and users, of all other nodes together.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    hash::Hash,
    mem,
    sync::Arc,
};

use sockjs_bus::NodeId;

use super::{protocol::TabId, replica::Change};

/// A member of a room on another node.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Remote<U, D> {
    pub(crate) node: NodeId,
    pub(crate) id: TabId,
    pub(crate) user: Option<Arc<U>>,
    pub(crate) data: Arc<D>,
}

/// The members of a room on other nodes. Shared, so that looking at them needs no lock.
pub(crate) type Remotes<U, D> = BTreeMap<(NodeId, TabId), Remote<U, D>>;

/// A room or user in which something has changed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Touched<K, U> {
    Room(Arc<K>),
    User(Arc<U>),
}

#[derive(Debug)]
pub(crate) struct Known<K, U, D> {
    rooms: HashMap<Arc<K>, Arc<Remotes<U, D>>>,
    /// The sessions of users.
    users: HashMap<Arc<U>, HashSet<(NodeId, TabId)>>,
    touched: HashSet<Touched<K, U>>,
}

impl<K, U, D> Default for Known<K, U, D> {
    fn default() -> Self {
        Self { rooms: HashMap::new(), users: HashMap::new(), touched: HashSet::new() }
    }
}

impl<K: Clone + Eq + Hash, U: Clone + Eq + Hash, D: Clone> Known<K, U, D> {
    /// Enters changes of a node's replica .
    pub(super) fn index(&mut self, node: NodeId, changes: Vec<Change<K, U, D>>) {
        for change in changes {
            match change {
                Change::Entered { id, user } => {
                    if let Some(user) = user {
                        self.users.entry(Arc::clone(&user)).or_default().insert((node, id));
                        self.touched.insert(Touched::User(user));
                    }
                }
                Change::Exited { id, user } => {
                    if let Some(user) = user {
                        if let Some(tabs) = self.users.get_mut(&user) {
                            tabs.remove(&(node, id));
                            if tabs.is_empty() {
                                self.users.remove(&user);
                            }
                        }
                        self.touched.insert(Touched::User(user));
                    }
                }
                Change::Joined { room, id, user, data } => {
                    let members = self.rooms.entry(Arc::clone(&room)).or_default();
                    Arc::make_mut(members).insert((node, id), Remote { node, id, user, data });
                    self.touched.insert(Touched::Room(room));
                }
                Change::Left { room, id } => {
                    if let Some(members) = self.rooms.get_mut(&room) {
                        Arc::make_mut(members).remove(&(node, id));
                        if members.is_empty() {
                            self.rooms.remove(&room);
                        }
                    }
                    self.touched.insert(Touched::Room(room));
                }
            }
        }
    }

    pub(super) fn is_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    pub(super) fn take_touched(&mut self) -> HashSet<Touched<K, U>> {
        mem::take(&mut self.touched)
    }

    /// The members of a room on other nodes, `None` if there are none.
    pub(crate) fn members(&self, room: &K) -> Option<Arc<Remotes<U, D>>> {
        self.rooms.get(room).cloned()
    }

    /// The rooms that have members on other nodes.
    pub(crate) fn rooms(&self) -> impl Iterator<Item = &Arc<K>> {
        self.rooms.keys()
    }

    /// The users of other nodes.
    pub(crate) fn users(&self) -> impl Iterator<Item = &Arc<U>> {
        self.users.keys()
    }

    /// The sessions of a user on other nodes.
    pub(crate) fn tabs_of(&self, user: &U) -> impl Iterator<Item = TabId> {
        self.users.get(user).into_iter().flatten().map(|&(_, id)| id)
    }
}
