//! Joining a room, with what has been said in it.
//!
//! Imports: error, key, member, node, position, recovery, tab.

use std::{
    fmt,
    future::{Future, IntoFuture, poll_fn},
    pin::{Pin, pin},
    sync::Arc,
    task::Poll,
};

use axum_sockjs::{Message, Overflow, SendError, Sender};

use crate::{
    error::JoinError,
    key::{Data, Key},
    member::Member,
    node::{
        joining::{self, Beginning, Read},
        node::Node,
        tab,
    },
    position::Position,
    recovery::{Outcome, Recovery},
    tab::Tab,
};

/// As many messages are read of a room's history under its lock.
const CHUNK: usize = 32;

type Greet = dyn FnOnce(&Recovery) -> Option<Message> + Send;

/// A session that is about to join a room: made by [`Rooms::join`](crate::Rooms::join) and [`Tab::join`], and awaited.
///
/// In a room with [history](crate::Builder::history) the session is first sent what it asks for:
///
/// ```
/// use axum_sockjs::{Message, Session};
/// use axum_sockjs_rooms::{JoinError, Outcome, Position, Rooms};
///
/// async fn chat(rooms: Rooms, mut session: Session, since: Option<Position>) -> Result<(), JoinError> {
///     let room = rooms.join(&session, "lobby").since(since).last(20).greet(|recovery| {
///         // A page that has a hole begins anew.
///         (recovery.outcome == Outcome::Gone).then(|| Message::from("clear"))
///     });
///     let room = room.await?;
///     while let Some(line) = session.recv().await {
///         room.send(line);
///     }
///     Ok(())
/// }
/// ```
///
/// The messages of the past and those that are sent meanwhile come in the order of their positions, each once. All of
/// them wait for room in the session's queue, however slow the client is; only if the room forgets messages before they
/// had room, the session does not join: [`JoinError::Lagged`].
///
/// # Errors
/// See [`JoinError`].
///
/// # Cancel safety
/// A session whose future is dropped has not joined. It may have been sent messages of the past.
#[must_use = "a session joins when this is awaited"]
pub struct Join<K, U, D> {
    node: Arc<Node<K, U, D>>,
    who: Who<K, U, D>,
    key: K,
    data: Arc<D>,
    last: Option<usize>,
    since: Option<Position>,
    greet: Option<Box<Greet>>,
}

pub(crate) enum Who<K, U, D> {
    Sender(Sender),
    Tab(Tab<K, U, D>),
}

impl<K: Key, U: Key, D: Data> Tab<K, U, D> {
    /// Joins a room, with default data: see [`Rooms::join`](crate::Rooms::join).
    pub fn join(&self, key: impl Into<K>) -> Join<K, U, D>
    where
        D: Default,
    {
        Join::new(self.node(), Who::Tab(self.clone()), key.into(), self.node().default_data())
    }

    /// Joins a room with data of this member: see [`Rooms::join_with`](crate::Rooms::join_with).
    pub fn join_with(&self, key: impl Into<K>, data: D) -> Join<K, U, D> {
        Join::new(self.node(), Who::Tab(self.clone()), key.into(), Arc::new(data))
    }
}

impl<K: Key, U: Key, D: Data> Join<K, U, D> {
    pub(crate) fn new(node: &Arc<Node<K, U, D>>, who: Who<K, U, D>, key: K, data: Arc<D>) -> Self {
        Self { node: Arc::clone(node), who, key, data, last: None, since: None, greet: None }
    }

    /// Asks for the last messages: at most so many, as far as the room has kept them. With a position by
    /// [`since`](Self::since) that is known, they are not sent.
    pub fn last(mut self, messages: usize) -> Self {
        self.last = Some(messages);
        self
    }

    /// Asks for what is behind a position: that of the last message that the client has received. `None` asks for
    /// nothing.
    ///
    /// If something of that is no longer there, the session gets the [last](Self::last) messages instead.
    /// [`Recovery::outcome`] tells.
    pub fn since(mut self, position: impl Into<Option<Position>>) -> Self {
        self.since = position.into();
        self
    }

    /// Sends a message ahead of those of the past, which the function makes: for instance to tell the client its
    /// position, or that it has missed something. The function is called once, in a room with history only.
    pub fn greet(mut self, greet: impl FnOnce(&Recovery) -> Option<Message> + Send + 'static) -> Self {
        self.greet = Some(Box::new(greet));
        self
    }

    async fn run(self) -> Result<Member<K, U, D>, JoinError> {
        let Self { node, who, key, data, last, since, greet } = self;
        let tab = match who {
            Who::Sender(sender) => Tab::enter(&node, sender, None)?,
            Who::Tab(tab) => tab,
        };
        if tab.sender().is_closed() {
            return Err(JoinError::Closed);
        }
        let slot = Slot::reserve(&tab, node.config.max_rooms_per_session)?;
        let room = node.pin(&key)?;
        if let Some(elsewhere) = node.elsewhere() {
            let attached = async {
                elsewhere.attach(&room.room).await?;
                if let Some(since) = since {
                    elsewhere.reach(&room.room, since).await?;
                }
                Ok(())
            };
            unless_closed(tab.sender(), attached).await?;
        }
        let (place, recovery) = if room.room.has_history {
            let Beginning { start, position, joined } =
                room.begin(tab.inner(), tab.sender(), &data, since, last.unwrap_or(0), greet.is_some())?;
            let outcome = match since {
                None => Outcome::New,
                Some(_) if start.is_gone => Outcome::Gone,
                Some(_) => Outcome::Whole,
            };
            let recovery = Recovery { outcome, messages: start.messages, position };
            node.counters.recovery(&recovery);
            if let Some(greeting) = greet.and_then(|greet| greet(&recovery)) {
                send(tab.sender(), greeting).await?;
            }
            let place = match joined {
                Some(place) => place,
                None => recover(&room, &tab, &data, position).await?,
            };
            (place, Some(recovery))
        } else if last.is_some() || since.is_some() {
            return Err(JoinError::NoHistory);
        } else {
            (room.insert(tab.inner(), tab.sender(), &data)?, None)
        };
        slot.keep();
        let member = Member::new(tab, Arc::clone(&room.room), place, recovery);
        if let Some(on_join) = &node.config.on_join {
            on_join(&node, &room.room);
        }
        Ok(member)
    }
}

/// Waits for the bus as long as the session is there.
async fn unless_closed(
    sender: &Sender,
    future: impl Future<Output = Result<(), JoinError>>,
) -> Result<(), JoinError> {
    let (mut future, mut closed) = (pin!(future), pin!(sender.closed()));
    poll_fn(|cx| match closed.as_mut().poll(cx) {
        Poll::Ready(_) => Poll::Ready(Err(JoinError::Closed)),
        Poll::Pending => future.as_mut().poll(cx),
    })
    .await
}

/// Sends what is behind a position, until the session has all and is a member.
async fn recover<K, U, D>(
    room: &joining::Pin<K, U, D>,
    tab: &Tab<K, U, D>,
    data: &Arc<D>,
    mut position: Position,
) -> Result<joining::Place, JoinError> {
    loop {
        match room.read(position, CHUNK, tab.inner(), tab.sender(), data)? {
            Read::Joined(place) => return Ok(place),
            Read::Entries(entries) => {
                for entry in entries {
                    let message = entry.wire(room.node.encode()).clone();
                    position = entry.position;
                    send(tab.sender(), message).await?;
                }
            }
        }
    }
}

/// Sends a message as soon as the session's queue has room for it.
async fn send(sender: &Sender, message: Message) -> Result<(), JoinError> {
    match sender.send_with(message, Overflow::Wait).await {
        // As with those that come later.
        Ok(()) | Err(SendError::BinaryUnsupported(_)) => Ok(()),
        Err(_) => Err(JoinError::Closed),
    }
}

/// One of the rooms that a session may be in.
struct Slot<U>(Option<Arc<tab::Tab<U>>>);

impl<U> Slot<U> {
    fn reserve<K, D>(tab: &Tab<K, U, D>, most: u32) -> Result<Self, JoinError> {
        if !tab.inner().reserve_room(most) {
            return Err(JoinError::TooManyRoomsOfSession);
        }
        Ok(Self(Some(Arc::clone(tab.inner()))))
    }

    /// It is the member's from now on.
    fn keep(mut self) {
        self.0 = None;
    }
}

impl<U> Drop for Slot<U> {
    fn drop(&mut self) {
        if let Some(tab) = &self.0 {
            tab.release_room();
        }
    }
}

impl<K: Key, U: Key, D: Data> IntoFuture for Join<K, U, D> {
    type Output = Result<Member<K, U, D>, JoinError>;
    type IntoFuture = Pin<Box<dyn Future<Output = Self::Output> + Send>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(self.run())
    }
}

impl<K: fmt::Debug, U, D> fmt::Debug for Join<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Join")
            .field("key", &self.key)
            .field("last", &self.last)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}
