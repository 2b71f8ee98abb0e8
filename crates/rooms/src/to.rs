//! A message on its way: to whom, and how.
//!
//! Imports: as_sender, key, node, position, sent.

use std::{borrow::Cow, fmt, sync::Arc, time::Duration};

use axum_sockjs::{ConnectionId, Message, Overflow};
use tokio::time::Instant;

use crate::{
    as_sender::AsSender,
    key::{Data, Key},
    node::{
        delivery::{Except, How},
        end::End,
        joining::{Pin, Target},
        node::Node,
        room::Room,
        tab::User,
    },
    position::Position,
    sent::{Closed, ConfirmError, Refused, Sent},
};

/// Those to whom a message is sent, and how: made for one message by [`Rooms::to`](crate::Rooms::to),
/// [`to_user`](crate::Rooms::to_user), [`to_all`](crate::Rooms::to_all) or
/// [`Member::to_room`](crate::Member::to_room).
///
/// ```
/// use axum_sockjs::{Overflow, Session};
/// use axum_sockjs_rooms::Rooms;
///
/// fn tick(rooms: &Rooms, session: &Session) {
///     rooms.to("game").except(session).overflow(Overflow::DropOldest).send("12,7");
/// }
/// ```
#[must_use = "nothing is done without `send` or `close`"]
pub struct To<'a, K, U, D> {
    node: &'a Arc<Node<K, U, D>>,
    whom: Whom<K, U, D>,
    how: How,
}

enum Whom<K, U, D> {
    Room(Target<K, U, D>),
    /// With a bus, the user's name for other nodes.
    User(Option<Arc<User<U>>>, Option<U>),
    All,
}

impl<'a, K, U, D> To<'a, K, U, D> {
    pub(crate) fn room(node: &'a Arc<Node<K, U, D>>, target: Target<K, U, D>) -> Self {
        Self { node, whom: Whom::Room(target), how: How::default() }
    }

    pub(crate) fn user(
        node: &'a Arc<Node<K, U, D>>,
        user: Option<Arc<User<U>>>,
        elsewhere: Option<U>,
    ) -> Self {
        Self { node, whom: Whom::User(user, elsewhere), how: How::default() }
    }

    pub(crate) fn all(node: &'a Arc<Node<K, U, D>>) -> Self {
        Self { node, whom: Whom::All, how: How::default() }
    }

    /// Leaves out one session.
    ///
    /// In a room with history the message is kept all the same: whoever comes back later is a new session, and gets it.
    pub fn except(mut self, session: &impl AsSender) -> Self {
        self.how.except = Except::Sender(session.as_sender());
        self
    }

    /// Leaves out the session with this id.
    pub fn except_id(mut self, id: ConnectionId) -> Self {
        self.how.except = Except::Id(id);
        self
    }

    /// Sets the policy for sessions whose queue is full, in place of
    /// [`Builder::overflow`](crate::Builder::overflow).
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.how.overflow = Some(overflow);
        self
    }

    /// Does not keep the message in the room's history: it has no position, and whoever joins later does not get it. For
    /// what counts only now, such as "Ada is typing".
    pub fn transient(mut self) -> Self {
        self.how.is_transient = true;
        self
    }
}

impl<K: Key, U: Key, D: Data> To<'_, K, U, D> {
    /// Sends the message. It never waits, and the message is quoted once, however many get it.
    ///
    /// Messages of one task to one room come in the same order to each member. In a room with history, that is true of
    /// all messages.
    pub fn send(self, message: impl Into<Message>) -> Sent {
        let Self { node, whom, how } = self;
        let message = message.into();
        let to_room = |room: &Arc<Room<K, U, D>>, message, how| node.send_to_room(room, message, how);
        match whom {
            Whom::Room(Target::Room(room)) => to_room(&room, message, how),
            Whom::Room(Target::Pinned(Pin { ref room, .. })) => to_room(room, message, how),
            Whom::Room(Target::Nobody) => node.send_to_nobody(),
            Whom::Room(Target::TooManyRooms) => node.refuse(Refused::TooManyRooms),
            Whom::Room(Target::Elsewhere { ref key, has_history }) => {
                node.send_elsewhere(key, has_history, &message, &how)
            }
            Whom::User(user, elsewhere) => {
                node.counters.message();
                let sent = node.send_to_user(user.as_deref(), &message, &how);
                let send = |user: U| node.elsewhere()?.send_to_user(&user, &message, &how).err();
                Sent { bus: elsewhere.and_then(send), ..sent }
            }
            Whom::All => {
                node.counters.message();
                let sent = node.send_to_all(&message, &how);
                let bus = node.elsewhere().and_then(|elsewhere| elsewhere.send_to_all(&message, &how).err());
                Sent { bus, ..sent }
            }
        }
    }
}

/// # Closing sessions
impl<K: Key, U: Key, D: Data> To<'_, K, U, D> {
    /// Closes the sessions in place of sending them a message, with a code and a reason. With a
    /// [bus](crate::Builder::bus), those on other nodes too: these are not counted.
    ///
    /// Each client gets the messages that its session had been sent before, as with
    /// [`Sender::close`](axum_sockjs::Sender::close). The sessions of a room's members leave all of their rooms. Those of a
    /// user are closed on other nodes as by [`close_user`](crate::Rooms::close_user), and others at most once. For one session
    /// there is [`close_session`](crate::Rooms::close_session).
    ///
    /// ```
    /// use axum_sockjs::Session;
    /// use axum_sockjs_rooms::Rooms;
    ///
    /// fn log_out_elsewhere(rooms: &Rooms, session: &Session, user: &str) {
    ///     rooms.to_user(user).except(session).close(4001, "logged in elsewhere");
    /// }
    ///
    /// fn end_the_game(rooms: &Rooms) {
    ///     rooms.to("game").close(4000, "the game is over");
    /// }
    /// ```
    pub fn close(self, code: u16, reason: impl Into<Cow<'static, str>>) -> Closed {
        let Self { node, whom, how } = self;
        let end = End::new(code, reason.into(), &how.except);
        let elsewhere = node.elsewhere();
        let close_room = |room: &Room<K, U, D>| {
            let bus = elsewhere.and_then(|elsewhere| elsewhere.close_room(&room.key, &end).err());
            Closed { sessions: node.close_room(room, &end), bus }
        };
        match whom {
            Whom::Room(Target::Room(room)) => close_room(&room),
            Whom::Room(Target::Pinned(Pin { ref room, .. })) => close_room(room),
            // Nobody is there.
            Whom::Room(Target::Nobody | Target::TooManyRooms) => Closed::default(),
            Whom::Room(Target::Elsewhere { ref key, .. }) => {
                let bus = elsewhere.and_then(|elsewhere| elsewhere.close_room(key, &end).err());
                Closed { sessions: 0, bus }
            }
            Whom::User(user, name) => {
                let close = |user: U| elsewhere?.close_user(&user, &end).err();
                let bus = name.and_then(close);
                Closed { sessions: user.map_or(0, |user| node.close_user(&user, &end)), bus }
            }
            Whom::All => {
                let bus = elsewhere.and_then(|elsewhere| elsewhere.close_all(&end).err());
                Closed { sessions: node.close_all(&end), bus }
            }
        }
    }
}

/// As far as a duration goes that is longer than the clock.
const FAR: Duration = Duration::from_secs(30 * 365 * 24 * 3600);

impl<K: Key, U: Key, D: Data> To<'_, K, U, D> {
    /// Sends the message to a room, and waits for members whose queue is full, all together so long at most. What becomes
    /// of those that have made no room by then, the [policy](Self::overflow) says: they miss the message, or are closed.
    ///
    /// So whoever speaks too fast is slowed down, instead of members that read on being dropped in a burst:
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum_sockjs::{Overflow, Session};
    /// use axum_sockjs_rooms::{JoinError, Rooms};
    ///
    /// async fn chat(rooms: Rooms, mut session: Session) -> Result<(), JoinError> {
    ///     let room = rooms.join(&session, "lobby").await?;
    ///     while let Some(line) = session.recv().await {
    ///         room.to_room().overflow(Overflow::Close).send_within(Duration::from_secs(5), line).await;
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// In a room with history, and to a user or to all, it does not wait, as [`send`](Self::send). Members on other nodes are
    /// sent the message at once, and are not waited for.
    ///
    /// # Cancel safety
    /// If the future is dropped, members with a full queue may miss the message.
    pub async fn send_within(self, patience: Duration, message: impl Into<Message>) -> Sent {
        match self {
            Self { node, whom: Whom::Room(Target::Room(room)), how } => {
                let end = Instant::now() + patience.min(FAR);
                node.send_to_room_until(&room, message.into(), how, end).await
            }
            at_once => at_once.send(message),
        }
    }
}

impl<K: Key, U: Key, D: Data> To<'_, K, U, D> {
    /// Sends the message to a room with history, and waits until it is kept: with a [bus](crate::Builder::bus), until the
    /// engine has it. Returns its position.
    ///
    /// For what must not be lost unseen, such as a line of which the speaker is shown that it was sent:
    ///
    /// ```
    /// use axum_sockjs::Session;
    /// use axum_sockjs_rooms::{JoinError, Rooms};
    ///
    /// async fn chat(rooms: Rooms, mut session: Session) -> Result<(), JoinError> {
    ///     let room = rooms.join(&session, "lobby").await?;
    ///     while let Some(line) = session.recv().await {
    ///         if let Err(error) = room.to_room().send_confirmed(line).await {
    ///             let _ = session.send(format!("not sent: {error}")).await;
    ///         }
    ///     }
    ///     Ok(())
    /// }
    /// ```
    ///
    /// # Errors
    /// Returns [`ConfirmError`] if the message was not sent, or nobody knows.
    ///
    /// # Cancel safety
    /// If the future is dropped, the message may be kept or not. Before it is polled for the first time, it is not sent.
    pub async fn send_confirmed(self, message: impl Into<Message>) -> Result<Position, ConfirmError> {
        let message = message.into();
        let Self { node, whom: Whom::Room(target), how } = self else { return Err(ConfirmError::NoHistory) };
        if how.is_transient {
            return Err(ConfirmError::NoHistory);
        }
        let room = match &target {
            Target::Nobody => return Err(ConfirmError::NoHistory),
            Target::TooManyRooms => {
                node.refuse(Refused::TooManyRooms);
                return Err(ConfirmError::Refused(Refused::TooManyRooms));
            }
            Target::Elsewhere { has_history: false, .. } => return Err(ConfirmError::NoHistory),
            Target::Elsewhere { key, .. } => return node.append_confirmed(key, &message, &how).await,
            Target::Room(room) | Target::Pinned(Pin { room, .. }) => room,
        };
        if !room.has_history {
            return Err(ConfirmError::NoHistory);
        }
        if node.elsewhere().is_some() {
            return node.append_confirmed(&room.key, &message, &how).await;
        }
        let sent = node.send_to_room(room, message, how);
        match sent.refused {
            Some(refused) => Err(ConfirmError::Refused(refused)),
            None => sent.position.ok_or(ConfirmError::Unknown),
        }
    }
}

impl<K, U, D> fmt::Debug for To<'_, K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("To").field("how", &self.how).finish_non_exhaustive()
    }
}
