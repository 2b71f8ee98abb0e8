//! Who is in a room, and how that changes.
//!
//! Imports: key, node, nodes.

use std::{
    collections::HashMap,
    fmt,
    hash::{BuildHasher, Hash, Hasher, RandomState},
    sync::Arc,
    time::Duration,
};

use axum_sockjs::ConnectionId;
use serde::{Deserialize, Serialize};
use sockjs_bus::NodeId;
use tokio::{sync::watch, time::Instant};

use crate::{
    key::{Data, Key},
    node::{
        index::Prehashed,
        joining::Pin,
        members::{self, About},
        node::Node,
        room::Room,
    },
    nodes::{
        known::{Remote, Remotes},
        protocol::TabId,
    },
};

/// A user in a room, with the tabs that have joined it. A guest is a user of one tab without a name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct Present<U = String, D = ()> {
    /// The user, or `None` for a guest.
    pub user: Option<U>,
    /// The user's tabs in the room, in the order in which they have joined; at least one.
    pub tabs: Vec<PresentTab<D>>,
}

/// One tab of a user in a room.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresentTab<D = ()> {
    /// The session; as text with serde.
    #[serde(with = "id")]
    pub id: ConnectionId,
    /// The data that it has joined with, or has been given since.
    pub data: D,
}

/// What has changed of who is in a room: see [`PresenceWatch::next`]. Each user is in one of the lists at most.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[non_exhaustive]
pub struct PresenceChanges<U = String, D = ()> {
    /// Users who were not there before.
    pub joined: Vec<Present<U, D>>,
    /// Users who were there, as they are now: with other tabs, or other data.
    pub updated: Vec<Present<U, D>>,
    /// Users who are no longer there, as they were.
    pub left: Vec<Present<U, D>>,
}

impl<U, D> PresenceChanges<U, D> {
    /// Returns whether nothing has changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.joined.is_empty() && self.updated.is_empty() && self.left.is_empty()
    }
}

impl<U, D> Default for PresenceChanges<U, D> {
    fn default() -> Self {
        Self { joined: Vec::new(), updated: Vec::new(), left: Vec::new() }
    }
}

/// The members of a room at one moment.
pub(crate) struct Members<U, D> {
    here: Arc<members::Members<U, D>>,
    /// Those on other nodes, and what hashes their users as those of this node have been.
    elsewhere: Option<(Arc<Remotes<U, D>>, RandomState)>,
}

impl<U, D> Members<U, D> {
    /// Those of a room, which may not exist on this node, and those of it on other nodes.
    pub(crate) fn of<K>(
        node: &Node<K, U, D>,
        room: Option<&Room<K, U, D>>,
        elsewhere: Option<Arc<Remotes<U, D>>>,
    ) -> Self {
        let elsewhere = elsewhere.map(|members| (members, node.users.hasher().clone()));
        Self { here: node.members_of(room), elsewhere }
    }

    pub(crate) fn of_room<K>(node: &Node<K, U, D>, room: &Room<K, U, D>) -> Self {
        Self::of(node, Some(room), node.elsewhere().map(|elsewhere| elsewhere.members(&room.key)))
    }

    fn none() -> Self {
        Self { here: Arc::default(), elsewhere: None }
    }

    fn elsewhere(&self) -> impl Iterator<Item = (&(NodeId, TabId), &Remote<U, D>, &RandomState)> {
        let all =
            self.elsewhere.iter().map(|(members, hasher)| members.iter().zip(std::iter::repeat(hasher)));
        all.flatten().map(|((id, remote), hasher)| (id, remote, hasher))
    }

    pub(crate) fn len(&self) -> usize {
        self.here.len() + self.elsewhere.as_ref().map_or(0, |(members, _)| members.len())
    }

    fn iter(&self) -> impl Iterator<Item = Seen<'_, U, D>>
    where
        U: Hash,
    {
        let elsewhere = self.elsewhere().map(|(_, remote, hasher)| Seen::elsewhere(remote, hasher));
        self.here.iter().map(Seen::here).chain(elsewhere)
    }

    /// Calls `each` with what this list has and the other has not, or has otherwise.
    fn unlike<'a>(&'a self, other: &Self, mut each: impl FnMut(Seen<'a, U, D>))
    where
        U: Hash,
    {
        self.here.unlike(&other.here, |about| each(Seen::here(about)));
        let theirs = other.elsewhere.as_ref().map(|(members, _)| members);
        let is_same = |(ours, _): &(Arc<_>, _)| theirs.is_some_and(|theirs| Arc::ptr_eq(ours, theirs));
        if self.elsewhere.as_ref().is_some_and(is_same) {
            return;
        }
        for (id, remote, hasher) in self.elsewhere() {
            let known = theirs.and_then(|theirs| theirs.get(id));
            if !known.is_some_and(|known| Arc::ptr_eq(&known.data, &remote.data)) {
                each(Seen::elsewhere(remote, hasher));
            }
        }
    }
}

/// A member, of this node or of another one.
struct Seen<'a, U, D> {
    id: ConnectionId,
    who: Who<'a, U>,
    data: &'a D,
}

impl<'a, U, D> Seen<'a, U, D> {
    fn here(about: &'a About<U, D>) -> Self {
        let id = about.tab.id;
        let user = about.tab.user.as_ref();
        let who = user.map_or(Who::Guest(id), |user| Who::User { user: &user.user, hash: user.hash });
        Self { id, who, data: &about.data }
    }

    fn elsewhere(remote: &'a Remote<U, D>, hasher: &RandomState) -> Self
    where
        U: Hash,
    {
        let id = ConnectionId::from_u128(remote.id);
        let user = remote.user.as_deref();
        let who = user.map_or(Who::Guest(id), |user| Who::User { user, hash: hasher.hash_one(user) });
        Self { id, who, data: &remote.data }
    }
}

/// A user or a guest, as a key. Users are the same by `Eq`, since they may have been forgotten in between.
enum Who<'a, U> {
    User { user: &'a U, hash: u64 },
    Guest(ConnectionId),
}

impl<'a, U> Who<'a, U> {
    fn user(self) -> Option<&'a U> {
        match self {
            Self::User { user, .. } => Some(user),
            Self::Guest(_) => None,
        }
    }
}

impl<U> Clone for Who<'_, U> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<U> Copy for Who<'_, U> {}

impl<U: Eq> PartialEq for Who<'_, U> {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::User { user, .. }, Self::User { user: other, .. }) => {
                std::ptr::eq(*user, *other) || user == other
            }
            (Self::Guest(one), Self::Guest(other)) => one == other,
            _ => false,
        }
    }
}

impl<U: Eq> Eq for Who<'_, U> {}

impl<U> Hash for Who<'_, U> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        match self {
            Self::User { hash, .. } => state.write_u64(*hash),
            // It is random.
            Self::Guest(id) => state.write_u64(id.as_u128() as u64),
        }
    }
}

/// Groups members by users, in the order in which these have joined.
fn group<'a, U: Key, D: Data>(
    members: impl Iterator<Item = Seen<'a, U, D>>,
) -> Vec<(Who<'a, U>, Present<U, D>)> {
    let mut places: HashMap<Who<'_, U>, usize, Prehashed> = HashMap::default();
    let mut groups: Vec<(Who<'_, U>, Present<U, D>)> = Vec::new();
    for seen in members {
        let at = *places.entry(seen.who).or_insert(groups.len());
        if at == groups.len() {
            groups.push((seen.who, Present { user: seen.who.user().cloned(), tabs: Vec::new() }));
        }
        groups[at].1.tabs.push(PresentTab { id: seen.id, data: seen.data.clone() });
    }
    groups
}

/// Returns who is among the members of a room.
pub(crate) fn present<U: Key, D: Data>(members: &Members<U, D>) -> Vec<Present<U, D>> {
    group(members.iter()).into_iter().map(|(_, present)| present).collect()
}

/// Finds what has changed between two moments.
fn changes<U: Key, D: Data>(before: &Members<U, D>, now: &Members<U, D>) -> PresenceChanges<U, D> {
    let mut affected: HashMap<Who<'_, U>, (), Prehashed> = HashMap::default();
    before.unlike(now, |seen| _ = affected.insert(seen.who, ()));
    now.unlike(before, |seen| _ = affected.insert(seen.who, ()));
    let mut changes = PresenceChanges::default();
    if affected.is_empty() {
        return changes;
    }
    let is_affected = |seen: &Seen<'_, U, D>| affected.contains_key(&seen.who);
    let mut were: Vec<_> = group(before.iter().filter(is_affected)).into_iter().map(Some).collect();
    let mut places = HashMap::with_capacity_and_hasher(were.len(), Prehashed);
    for (at, were) in were.iter().enumerate() {
        if let Some((who, _)) = were {
            places.insert(*who, at);
        }
    }
    for (who, present) in group(now.iter().filter(is_affected)) {
        match places.get(&who).and_then(|&at| were[at].take()) {
            Some(_) => changes.updated.push(present),
            None => changes.joined.push(present),
        }
    }
    changes.left.extend(were.into_iter().flatten().map(|(_, present)| present));
    changes
}

/// The changes of who is in a room: see [`Rooms::watch`](crate::Rooms::watch).
///
/// It never has a queue: however long it is not read, the next difference is that between what was told and what is.
pub struct PresenceWatch<K = String, U = String, D = ()> {
    room: Pin<K, U, D>,
    changed: watch::Receiver<()>,
    /// Whether something has changed that was not told.
    is_stale: bool,
    /// What was told. It shares with the room what has not changed.
    told: Members<U, D>,
    interval: Duration,
    not_before: Option<Instant>,
}

impl<K, U, D> PresenceWatch<K, U, D> {
    pub(crate) fn new(room: Pin<K, U, D>, interval: Duration) -> Self {
        let changed = {
            let mut state = room.room.lock();
            state.watched.get_or_insert_with(|| watch::channel(()).0).subscribe()
        };
        Self { room, changed, is_stale: true, told: Members::none(), interval, not_before: None }
    }
}

impl<K: Key, U: Key, D: Data> PresenceWatch<K, U, D> {
    /// Waits for a change, and returns what is different from what was returned last. The first call tells all who are
    /// there as joined.
    ///
    /// The first change after a quiet time is told at once, further ones an interval later, together. Users who join and
    /// leave in between are not told.
    ///
    /// # Cancel safety
    /// Nothing is lost if the future is dropped: safe in `select!`.
    pub async fn next(&mut self) -> PresenceChanges<U, D> {
        loop {
            let changes = self.look().await;
            if !changes.is_empty() {
                return changes;
            }
        }
    }

    /// Waits until somebody has joined, left or changed, which may have been undone meanwhile.
    pub(crate) async fn look(&mut self) -> PresenceChanges<U, D> {
        if !self.is_stale {
            // The room lives as long as it is watched.
            self.changed.changed().await.ok();
            self.is_stale = true;
        }
        // A time that has come is not slept for: the clock's next tick would be.
        if let Some(not_before) = self.not_before.filter(|&at| at > Instant::now()) {
            tokio::time::sleep_until(not_before).await;
        }
        self.changed.borrow_and_update();
        let now = Members::of_room(&self.room.node, &self.room.room);
        let changes = changes(&self.told, &now);
        self.told = now;
        self.is_stale = false;
        if !changes.is_empty() {
            self.not_before = Instant::now().checked_add(self.interval);
        }
        changes
    }
}

impl<K, U, D> fmt::Debug for PresenceWatch<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PresenceWatch").field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// The id of a connection as text.
mod id {
    use axum_sockjs::ConnectionId;
    use serde::{Deserialize, Deserializer, Serializer, de::Error};

    pub(super) fn serialize<S: Serializer>(id: &ConnectionId, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(id)
    }

    pub(super) fn deserialize<'de, T: Deserializer<'de>>(deserializer: T) -> Result<ConnectionId, T::Error> {
        String::deserialize(deserializer)?.parse().map_err(T::Error::custom)
    }
}
