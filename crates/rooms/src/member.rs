//! A session in a room.
//!
//! Imports: key, node, presence, recovery, sent, tab, to.

use std::{fmt, sync::Arc, time::Duration};

use axum_sockjs::{ConnectionId, Message, Sender};

use crate::{
    key::{Data, Key},
    node::{
        delivery::{Except, How},
        joining::{Place, Target},
        room::Room,
    },
    presence::{Members, PresenceWatch, Present, present},
    recovery::Recovery,
    sent::Sent,
    tab::Tab,
    to::To,
};

/// A session in a room: see [`Rooms::join`](crate::Rooms::join).
///
/// **Dropping it leaves the room**, also if the handler fails or is dropped. Whoever was sent a message at that very
/// moment may still get it.
///
/// A session that has ended remains a member until this is dropped, which a handler does that returns: messages to it
/// count as [gone](Sent::gone).
#[must_use = "the session leaves the room when this is dropped"]
pub struct Member<K = String, U = String, D = ()> {
    tab: Tab<K, U, D>,
    room: Arc<Room<K, U, D>>,
    place: Place,
    recovery: Option<Recovery>,
}

impl<K, U, D> Member<K, U, D> {
    pub(crate) fn new(
        tab: Tab<K, U, D>,
        room: Arc<Room<K, U, D>>,
        place: Place,
        recovery: Option<Recovery>,
    ) -> Self {
        Self { tab, room, place, recovery }
    }

    /// Returns the key of the room.
    #[must_use]
    pub fn key(&self) -> &K {
        &self.room.key
    }

    /// Returns the user: see [`Tab::user`].
    #[must_use]
    pub fn user(&self) -> Option<&U> {
        self.tab.user()
    }

    /// Returns the id of the session.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.tab.id()
    }

    /// Returns what sends to this session alone.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        self.tab.sender()
    }

    /// Returns the session as one that is known to the rooms, to join others.
    pub fn tab(&self) -> &Tab<K, U, D> {
        &self.tab
    }

    /// Returns what the session was sent first, or `None` if the room has no history.
    #[must_use]
    pub fn recovery(&self) -> Option<Recovery> {
        self.recovery
    }

    /// Returns the number of the room's members, this one included.
    #[must_use]
    #[allow(clippy::len_without_is_empty, reason = "a member's room is not empty")]
    pub fn len(&self) -> usize {
        Members::of_room(self.tab.node(), &self.room).len()
    }

    /// Leaves the room, like dropping the member.
    pub fn leave(self) {}
}

impl<K: Key, U: Key, D: Data> Member<K, U, D> {
    /// Sends a message to all members of the room, this session included: see [`To::send`].
    pub fn send(&self, message: impl Into<Message>) -> Sent {
        self.tab.node().send_to_members(&self.room, message.into())
    }

    /// Sends a message to all other members of the room.
    pub fn send_to_others(&self, message: impl Into<Message>) -> Sent {
        let except = Except::Sender(self.sender().clone());
        self.tab.node().send_to_room(&self.room, message.into(), How { except, ..How::default() })
    }

    /// Returns the members of the room as those to whom a message is sent, to say how.
    pub fn to_room(&self) -> To<'_, K, U, D> {
        To::room(self.tab.node(), Target::Room(Arc::clone(&self.room)))
    }

    /// Returns who is in the room: see [`Rooms::presence`](crate::Rooms::presence).
    #[must_use]
    pub fn presence(&self) -> Vec<Present<U, D>> {
        present(&Members::of_room(self.tab.node(), &self.room))
    }

    /// Returns the changes of who is in the room: see [`Rooms::watch`](crate::Rooms::watch).
    pub fn watch(&self, interval: Duration) -> PresenceWatch<K, U, D> {
        PresenceWatch::new(self.tab.node().pin_known(&self.room), interval)
    }

    /// Returns this member's data.
    #[must_use]
    pub fn data(&self) -> Arc<D> {
        let members = self.room.members();
        let data = members.data(self.place.seq).map(Arc::clone);
        data.expect("a member is in its room until it is dropped")
    }

    /// Changes this member's data, and so the room's presence.
    pub fn set_data(&self, data: D) {
        self.tab.node().set_data(&self.room, &self.place, Arc::new(data));
    }
}

impl<K, U, D> Drop for Member<K, U, D> {
    fn drop(&mut self) {
        self.tab.node().remove(&self.room, &self.place);
        self.tab.inner().release_room();
    }
}

impl<K: fmt::Debug, U, D> fmt::Debug for Member<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member").field("key", self.key()).field("id", &self.id()).finish_non_exhaustive()
    }
}
