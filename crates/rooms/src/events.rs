//! Rooms that become occupied or vacant, and users that come or leave.
//!
//! Imports: key, node.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

use crate::{
    key::Key,
    node::{
        changes::{Change, Listener, Subject},
        node::Node,
    },
};

/// A change of the rooms as a whole: see [`Events`].
///
/// With a [bus](crate::Builder::bus) it is one of this node, of which the others tell nothing: a room may have members
/// elsewhere, and a user tabs: [`UserEvents`](crate::UserEvents) are of all nodes. See the guide on
/// [nodes](crate::guide::nodes#events).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum Event<K = String, U = String> {
    /// The room has the first member on this node: for an application that loads what the room needs.
    RoomOccupied(K),
    /// The last member on this node has left the room.
    RoomVacated(K),
    /// The user has the first tab on this node.
    UserOnline(U),
    /// The user's last tab on this node has gone.
    UserOffline(U),
}

/// The events of the rooms from the moment of [`Rooms::events`](crate::Rooms::events) on.
///
/// Events of one room, or of one user, come in their order. Unread events that undo each other are not told: if a room
/// becomes occupied and vacant again before a slow listener looks, nothing has happened for it. So what waits for a
/// listener is bounded by the rooms and users that are there, or were when it last looked.
pub struct Events<K = String, U = String, D = ()> {
    node: Arc<Node<K, U, D>>,
    listener: Arc<Listener<K, U, D>>,
}

impl<K, U, D> Events<K, U, D> {
    pub(crate) fn new(node: &Arc<Node<K, U, D>>) -> Self {
        Self { node: Arc::clone(node), listener: node.events.listen() }
    }
}

impl<K: Key, U: Key, D> Events<K, U, D> {
    /// Waits for the next event.
    ///
    /// # Cancel safety
    /// An event is taken only when it is returned: safe in `select!`.
    pub async fn next(&mut self) -> Event<K, U> {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            self.listener.notify.notified().await;
        }
    }

    /// Returns the next event if there is one.
    pub fn try_next(&mut self) -> Option<Event<K, U>> {
        let Change { subject, is_there } = self.listener.pop()?;
        Some(match (subject, is_there) {
            (Subject::Room(room), true) => Event::RoomOccupied(room.key.clone()),
            (Subject::Room(room), false) => Event::RoomVacated(room.key.clone()),
            (Subject::User(user), true) => Event::UserOnline(user.user.clone()),
            (Subject::User(user), false) => Event::UserOffline(user.user.clone()),
        })
    }
}

impl<K, U, D> fmt::Debug for Events<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("users", &self.node.counters.users).finish_non_exhaustive()
    }
}
