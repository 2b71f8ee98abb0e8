//! All rooms of an application.
//!
//! Imports: as_sender, error, events, join, key, node, presence, sent, stats, tab, to, user_events.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum_sockjs::{ConnectionId, Message};

use crate::{
    as_sender::AsSender,
    error::JoinError,
    events::Events,
    join::{Join, Who},
    key::{Data, Key, KeyRef, is_same},
    node::{end::End, node::Node, room::Room, tab::User},
    presence::{Members, PresenceWatch, Present, present},
    sent::{Closed, Sent},
    stats::Stats,
    tab::Tab,
    to::To,
    user_events::UserEvents,
};

/// All rooms of an application, and the users that are there.
///
/// It is cheap to clone, and all clones are the same. `K` is the key of a room, `U` a user, `D` the data of the
/// application's for each member; by default strings and no data.
///
/// A session belongs to the user that is its [identity](axum_sockjs::Session::identity), if the endpoint knows one of
/// the type `U`, or of `Option<U>`; or whom [`enter_as`](Self::enter_as) names. Any other is a guest.
///
/// See the [crate's page](crate) for a first program.
pub struct Rooms<K = String, U = String, D = ()> {
    node: Arc<Node<K, U, D>>,
}

impl<K, U, D> Rooms<K, U, D> {
    pub(crate) fn from_node(node: Arc<Node<K, U, D>>) -> Self {
        Self { node }
    }

    /// Returns the events of the rooms from now on.
    #[must_use]
    pub fn events(&self) -> Events<K, U, D> {
        Events::new(&self.node)
    }

    /// Returns the numbers of now. What has been counted so far is exact; the others may be of slightly different
    /// moments.
    #[must_use]
    pub fn stats(&self) -> Stats {
        Stats::of(&self.node)
    }
}

impl<K: Key, U: Key, D: Data> Rooms<K, U, D> {
    /// Makes a session known as a tab of its user, without a room: messages [to the user](Self::to_user) and [to
    /// all](Self::to_all) reach it. A session that joins a room need not enter.
    ///
    /// # Errors
    /// [`JoinError::Closed`].
    pub fn enter(&self, session: &impl AsSender) -> Result<Tab<K, U, D>, JoinError> {
        Tab::enter(&self.node, session.as_sender(), None)
    }

    /// Makes a session known as a tab of this user, whatever its identity.
    ///
    /// # Errors
    /// [`JoinError::Closed`]; [`JoinError::OtherUser`] if the session is known already, as a tab of another user or as
    /// a guest.
    pub fn enter_as(&self, session: &impl AsSender, user: impl Into<U>) -> Result<Tab<K, U, D>, JoinError> {
        Tab::enter(&self.node, session.as_sender(), Some(user.into()))
    }

    /// Joins a room, with default data. The room is created if it does not exist. What is returned is awaited, and may be
    /// told before what of the room's history the session gets: see [`Join`].
    ///
    /// ```
    /// use axum_sockjs::Session;
    /// use axum_sockjs_rooms::{JoinError, Rooms};
    ///
    /// async fn chat(rooms: Rooms, mut session: Session) -> Result<(), JoinError> {
    ///     let room = rooms.join(&session, "lobby").await?;
    ///     while let Some(line) = session.recv().await {
    ///         room.send(line);
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// See [`JoinError`].
    pub fn join(&self, session: &impl AsSender, key: impl Into<K>) -> Join<K, U, D>
    where
        D: Default,
    {
        Join::new(&self.node, Who::Sender(session.as_sender()), key.into(), self.node.default_data())
    }

    /// Joins a room like [`join`](Self::join), with data of this member, which those see who look who is there.
    pub fn join_with(&self, session: &impl AsSender, key: impl Into<K>, data: D) -> Join<K, U, D> {
        Join::new(&self.node, Who::Sender(session.as_sender()), key.into(), Arc::new(data))
    }

    /// Sends a message to all members of a room, from anywhere: see [`To::send`]. A room that nobody is in gets it if it
    /// keeps a history.
    pub fn send<Q: KeyRef<K> + ?Sized>(&self, key: &Q, message: impl Into<Message>) -> Sent {
        self.to(key).send(message)
    }

    /// Returns the members of a room as those to whom a message is sent, to say how.
    pub fn to<Q: KeyRef<K> + ?Sized>(&self, key: &Q) -> To<'_, K, U, D> {
        To::room(&self.node, self.node.target(key))
    }

    /// Sends a message to a user, in all tabs, whatever rooms these are in.
    pub fn send_to_user<Q: KeyRef<U> + ?Sized>(&self, user: &Q, message: impl Into<Message>) -> Sent {
        self.to_user(user).send(message)
    }

    /// Returns the tabs of a user as those to whom a message is sent, to say how.
    pub fn to_user<Q: KeyRef<U> + ?Sized>(&self, user: &Q) -> To<'_, K, U, D> {
        To::user(&self.node, self.user(user), self.node.elsewhere().map(|_| user.to_owned()))
    }

    /// Sends a message to all sessions that are known, also to those in no room.
    pub fn send_to_all(&self, message: impl Into<Message>) -> Sent {
        self.to_all().send(message)
    }

    /// Returns all sessions as those to whom a message is sent, to say how.
    pub fn to_all(&self) -> To<'_, K, U, D> {
        To::all(&self.node)
    }

    /// Returns the users who come and leave from now on, with the tabs of all nodes together. Without a
    /// [bus](crate::Builder::bus) they are those of [`events`](Self::events).
    ///
    /// ```
    /// use axum_sockjs_rooms::{Rooms, UserEvent};
    ///
    /// async fn friends(rooms: Rooms) {
    ///     let mut users = rooms.user_events();
    ///     loop {
    ///         match users.next().await {
    ///             UserEvent::Online(user) => println!("{user} has the first tab"),
    ///             UserEvent::Offline(user) => println!("{user} has no tab on any node"),
    ///             _ => {}
    ///         }
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn user_events(&self) -> UserEvents<K, U, D> {
        UserEvents::new(&self.node)
    }

    /// Closes all known sessions of a user, with a code and a reason: a log-out, for instance. With a
    /// [bus](crate::Builder::bus), those on other nodes too.
    ///
    /// Other nodes are told at once. What is lost on the way, or refused ([`Closed::bus`]), is made good as far as this node
    /// sees it: sessions of the user that it knew on other nodes at the call, and still knows a quarter of
    /// [`dead_after`](crate::Builder::dead_after) later, are closed again, three times at the most. A session that comes
    /// after the call is not closed. That is no proof: whoever must know asks [`tabs_of`](Self::tabs_of) afterwards, and lets
    /// no request of a user who is logged out do anything.
    ///
    /// Each client gets the messages sent before, as with [`Sender::close`](axum_sockjs::Sender::close).
    pub fn close_user<Q: KeyRef<U> + ?Sized>(
        &self,
        user: &Q,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
    ) -> Closed {
        self.to_user(user).close(code, reason)
    }

    /// Closes a session by its id, with a code and a reason. With a [bus](crate::Builder::bus) it may be on any node: one
    /// that is not known here is closed by whoever knows it, at most once, and does not count.
    ///
    /// So a user is sent out of one room, in all tabs that are there:
    ///
    /// ```
    /// use axum_sockjs_rooms::Rooms;
    ///
    /// fn send_out(rooms: &Rooms, room: &str, user: &str) {
    ///     let present = rooms.presence(room).into_iter().filter(|present| present.user.as_deref() == Some(user));
    ///     for tab in present.flat_map(|present| present.tabs) {
    ///         rooms.close_session(tab.id, 4003, "sent out");
    ///     }
    /// }
    /// ```
    pub fn close_session(&self, id: ConnectionId, code: u16, reason: impl Into<Cow<'static, str>>) -> Closed {
        let end = End { code, reason: reason.into(), except: None };
        if let Some(sessions) = self.node.close_tabs(&[id], &end) {
            return Closed { sessions, bus: None };
        }
        let elsewhere = self.node.elsewhere();
        Closed { sessions: 0, bus: elsewhere.and_then(|elsewhere| elsewhere.close_session(id, &end).err()) }
    }

    /// Returns the sessions of a user, in no particular order; none if the user is not there.
    #[must_use]
    pub fn tabs_of<Q: KeyRef<U> + ?Sized>(&self, user: &Q) -> Vec<ConnectionId> {
        let tabs = self.user(user).map(|user| user.tabs()).unwrap_or_default();
        let elsewhere = self.node.elsewhere().map(|elsewhere| elsewhere.tabs_of(&user.to_owned()));
        tabs.iter().map(|tab| tab.id).chain(elsewhere.unwrap_or_default()).collect()
    }

    /// Returns all users that have a tab, in no particular order.
    #[must_use]
    pub fn users(&self) -> Vec<U> {
        let here = self.node.users.all();
        let here = here.iter().map(|user| user.user.clone());
        let Some(elsewhere) = self.node.elsewhere() else { return here.collect() };
        let mut users = here.collect();
        elsewhere.add_users(&mut users);
        users.into_iter().collect()
    }

    /// Returns the keys of all rooms that have members, in no particular order.
    #[must_use]
    pub fn keys(&self) -> Vec<K> {
        let rooms = self.node.rooms.all();
        let occupied = rooms.iter().filter(|room| !room.lock().members.is_empty());
        let here = occupied.map(|room| room.key.clone());
        let Some(elsewhere) = self.node.elsewhere() else { return here.collect() };
        let mut keys = here.collect();
        elsewhere.add_keys(&mut keys);
        keys.into_iter().collect()
    }

    /// Returns the number of a room's members; 0 if it does not exist.
    #[must_use]
    pub fn len<Q: KeyRef<K> + ?Sized>(&self, key: &Q) -> usize {
        self.members(key).len()
    }

    /// Returns whether a room has no members.
    #[must_use]
    pub fn is_empty<Q: KeyRef<K> + ?Sized>(&self, key: &Q) -> bool {
        self.len(key) == 0
    }

    /// Returns who is in a room: its users in the order in which they have joined, each with the tabs that have.
    ///
    /// The room goes on meanwhile: its lock is held for the copy of one reference.
    #[must_use]
    pub fn presence<Q: KeyRef<K> + ?Sized>(&self, key: &Q) -> Vec<Present<U, D>> {
        present(&self.members(key))
    }

    /// Returns the changes of who is in a room, told together, at most once in each interval.
    ///
    /// For the members themselves there is [`Builder::announce`](crate::Builder::announce): one message for all of them.
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum_sockjs_rooms::{JoinError, Rooms};
    ///
    /// async fn log(rooms: Rooms) -> Result<(), JoinError> {
    ///     let mut changes = rooms.watch("lobby", Duration::from_secs(60))?;
    ///     loop {
    ///         let changes = changes.next().await;
    ///         println!("{} have come, {} have left", changes.joined.len(), changes.left.len());
    ///     }
    /// }
    /// ```
    ///
    /// A room that is watched exists, with members or without.
    ///
    /// # Errors
    /// [`JoinError::TooManyRooms`].
    pub fn watch(&self, key: impl Into<K>, interval: Duration) -> Result<PresenceWatch<K, U, D>, JoinError> {
        Ok(PresenceWatch::new(self.node.pin(&key.into())?, interval))
    }

    /// Leaves the [bus](crate::Builder::bus): tells the other nodes that this one stops, so that its members are gone there at
    /// once, and waits until the engine has that, for 2 s at the most. Without a bus it does nothing.
    ///
    /// It is the last thing that a node does before its process ends or the bus is dropped, behind the end of its sessions:
    /// from then on nothing is published to other nodes.
    ///
    /// ```
    /// # use axum_sockjs_rooms::Rooms;
    /// # async fn stop(rooms: Rooms, handle: axum_sockjs::SockJsHandle) {
    /// handle.shutdown(1001, "restarting", std::time::Duration::from_secs(8)).await;
    /// rooms.leave_bus().await;
    /// # }
    /// ```
    ///
    /// # Cancel safety
    /// The others are told by the first poll; what is dropped is the wait.
    pub async fn leave_bus(&self) {
        if let Some(elsewhere) = self.node.elsewhere() {
            elsewhere.leave().await;
        }
    }

    fn members<Q: KeyRef<K> + ?Sized>(&self, key: &Q) -> Members<U, D> {
        let elsewhere = self.node.elsewhere().map(|elsewhere| elsewhere.members(&key.to_owned()));
        Members::of(&self.node, self.room(key).as_deref(), elsewhere)
    }

    fn room<Q: KeyRef<K> + ?Sized>(&self, key: &Q) -> Option<Arc<Room<K, U, D>>> {
        self.node.rooms.find(self.node.rooms.hash_of(key), |room| is_same(&room.key, key))
    }

    fn user<Q: KeyRef<U> + ?Sized>(&self, user: &Q) -> Option<Arc<User<U>>> {
        self.node.users.find(self.node.users.hash_of(user), |known| is_same(&known.user, user))
    }
}

impl<K, U, D> Clone for Rooms<K, U, D> {
    fn clone(&self) -> Self {
        Self { node: Arc::clone(&self.node) }
    }
}

impl<K, U, D> fmt::Debug for Rooms<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Rooms").field("stats", &self.stats()).finish_non_exhaustive()
    }
}
