//! The settings of the rooms.
//!
//! Imports: announce, build_error, history, key, link, node, position, presence, rooms.

use std::{fmt, sync::Arc, time::Duration};

use axum_sockjs::{Message, Overflow};
use sockjs_bus::Bus;
use tokio::runtime::Handle;

use crate::{
    announce::{Announcements, announce},
    build_error::BuildError,
    history::History,
    key::{Data, Key},
    link::{connect::connect, link::Settings},
    node::node::{Config, Node},
    position::Position,
    presence::PresenceChanges,
    rooms::Rooms,
};

/// The settings of [`Rooms`]: made by [`Rooms::builder`].
///
/// | | default | beyond |
/// |---|---|---|
/// | [`max_rooms`](Self::max_rooms) | 100,000 | [`JoinError::TooManyRooms`](crate::JoinError::TooManyRooms), [`Refused::TooManyRooms`](crate::Refused::TooManyRooms) |
/// | [`max_rooms_per_session`](Self::max_rooms_per_session) | 100 | [`JoinError::TooManyRoomsOfSession`](crate::JoinError::TooManyRoomsOfSession) |
/// | [`max_members_per_room`](Self::max_members_per_room) | 100,000 | [`JoinError::RoomFull`](crate::JoinError::RoomFull) |
/// | [`max_history_bytes`](Self::max_history_bytes), of all rooms | 256 MiB | rooms without members are forgotten, a few with each message, then the room's oldest messages: clients that come back for them find their position [gone](crate::Outcome::Gone) |
/// | [`history`](Self::history), [`history_of`](Self::history_of) | none | the oldest messages go |
/// | messages that wait for other calls, in a room with history | 1,024 | [`Refused::Busy`](crate::Refused::Busy) |
///
/// ```
/// use axum_sockjs::Message;
/// use axum_sockjs_rooms::{History, Rooms};
///
/// let rooms: Rooms = Rooms::builder()
///     .history(History::last(100))
///     .encode(|position, message| {
///         Message::from(format!("{position} {}", message.as_str().unwrap_or_default()))
///     })
///     .max_rooms_per_session(3)
///     .build();
/// ```
#[must_use = "call `build`"]
pub struct Builder<K = String, U = String, D = ()> {
    config: Config<K, U, D>,
    bus: Option<OverBus<K, U, D>>,
    on_bus: Settings,
}

/// The bus, and what connects a node to it.
struct OverBus<K, U, D> {
    bus: Arc<dyn Bus>,
    connect: Connect<K, U, D>,
}

/// Made where the types are known to be fit for other nodes.
type Connect<K, U, D> = fn(&Arc<Node<K, U, D>>, Arc<dyn Bus>, Settings, &Handle) -> Result<(), BuildError>;

impl Rooms {
    /// Creates rooms with strings as keys and users, and default settings. For other types there is
    /// [`default`](Self::default):
    ///
    /// ```
    /// use axum_sockjs_rooms::Rooms;
    ///
    /// let games: Rooms<u32, u64> = Rooms::default();
    /// ```
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }
}

/// Default settings.
impl<K, U, D> Default for Rooms<K, U, D> {
    fn default() -> Self {
        Self::builder().build()
    }
}

impl<K, U, D> Rooms<K, U, D> {
    /// Returns the settings, to change them.
    pub fn builder() -> Builder<K, U, D> {
        let config = Config {
            overflow: None,
            history: None,
            encode: None,
            on_join: None,
            max_rooms: 100_000,
            max_rooms_per_session: 100,
            max_members_per_room: 100_000,
            max_history_bytes: 256 << 20,
        };
        Builder { config, bus: None, on_bus: Settings::default() }
    }
}

impl<K, U, D> Builder<K, U, D> {
    /// Sets what happens to a session whose queue is full, unless a call says it by
    /// [`To::overflow`](crate::To::overflow).
    ///
    /// By default it misses the message ([`Overflow::Wait`]: no call waits here), which is counted. In a room with
    /// history it is closed instead ([`Overflow::Close`]): its client comes back, and gets what it has missed.
    pub fn overflow(mut self, overflow: Overflow) -> Self {
        self.config.overflow = Some(overflow);
        self
    }

    /// Has all rooms keep a history, for [`Join::last`](crate::Join::last) and [`Join::since`](crate::Join::since).
    pub fn history(self, history: History) -> Self {
        self.history_of(move |_| Some(history))
    }

    /// Has a function say which rooms keep a history: it gets the key of a room that is created.
    pub fn history_of(mut self, history: impl Fn(&K) -> Option<History> + Send + Sync + 'static) -> Self {
        self.config.history = Some(Box::new(history));
        self
    }

    /// Sets what is sent of a message that is kept, so that a client gets its position. Without, it is sent as it is.
    ///
    /// The function is called once for each message, not for each member. If it panics, so does the call that sends,
    /// and the message is left out. Over a bus no call is there to panic: [`Stats::panics`](crate::Stats::panics) counts it.
    pub fn encode(mut self, encode: impl Fn(Position, &Message) -> Message + Send + Sync + 'static) -> Self {
        self.config.encode = Some(Box::new(encode));
        self
    }

    /// Sets how many rooms there may be: those with members, and those that are kept for their history or watched.
    pub fn max_rooms(mut self, rooms: usize) -> Self {
        self.config.max_rooms = rooms;
        self
    }

    /// Sets how many rooms a session may be in.
    pub fn max_rooms_per_session(mut self, rooms: usize) -> Self {
        self.config.max_rooms_per_session = u32::try_from(rooms).unwrap_or(u32::MAX);
        self
    }

    /// Sets how many members a room may have.
    pub fn max_members_per_room(mut self, members: usize) -> Self {
        self.config.max_members_per_room = members;
        self
    }

    /// Sets how many bytes the histories of all rooms may have, counted as by [`History::max_bytes`].
    pub fn max_history_bytes(mut self, bytes: usize) -> Self {
        self.config.max_history_bytes = bytes;
        self
    }

    /// Creates the rooms.
    ///
    /// # Panics
    /// If [`try_build`](Self::try_build) fails, which it does only with a [`bus`](Self::bus).
    #[must_use]
    #[track_caller]
    pub fn build(self) -> Rooms<K, U, D> {
        match self.try_build() {
            Ok(rooms) => rooms,
            Err(error) => panic!("{error}"),
        }
    }

    /// Creates the rooms, if they can be over the bus.
    ///
    /// # Errors
    /// See [`BuildError`].
    pub fn try_build(self) -> Result<Rooms<K, U, D>, BuildError> {
        let Some(OverBus { bus, connect }) = self.bus else {
            return Ok(Rooms::from_node(Arc::new(Node::new(self.config))));
        };
        if self.config.history.is_some() && bus.streams().is_none() {
            return Err(BuildError::NoStreams);
        }
        let runtime = Handle::try_current().map_err(|_| BuildError::NoRuntime)?;
        let node = Arc::new(Node::new(self.config));
        connect(&node, bus, self.on_bus, &runtime)?;
        Ok(Rooms::from_node(node))
    }
}

/// # Several nodes
impl<K: Key, U: Key, D: Data> Builder<K, U, D> {
    /// Puts the rooms onto a bus, which all nodes share: messages to rooms, to users and to all reach every node, and so do
    /// log-outs; presence is that of all nodes. The module [`guide::nodes`](crate::guide::nodes) says what is guaranteed.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use axum_sockjs_rooms::Rooms;
    /// use sockjs_bus::InProcess;
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let bus = InProcess::new();
    /// let rooms: Rooms = Rooms::builder().bus(Arc::new(bus.connect())).build();
    /// # }
    /// ```
    ///
    /// Several `Rooms` on one bus are nodes of each other, unless each has its own [namespace](Self::bus_namespace).
    ///
    /// [History](Self::history) is kept by the streams of the bus; a bus without them [refuses](BuildError::NoStreams) it.
    /// The rooms are built within a tokio runtime, on which tasks then run.
    pub fn bus(mut self, bus: Arc<dyn Bus>) -> Self {
        self.bus = Some(OverBus { bus, connect });
        self
    }

    /// Sets the namespace on the bus, `rooms` by default: tokens of letters, digits, `-` and `_`, with dots between them.
    /// Applications that share an engine have different ones, and all nodes of one the same. So have several `Rooms` of one
    /// process, such as those of games beside those of a chat: in one namespace they would be nodes of each other, and share
    /// rooms of the same key, users and log-outs. Two over the same [bus](Self::bus) are [refused](BuildError::NamespaceInUse).
    ///
    /// This and the following may be set before the bus or after it. Without one they do nothing.
    pub fn bus_namespace(mut self, namespace: impl Into<String>) -> Self {
        self.on_bus.namespace = namespace.into();
        self
    }

    /// Names this node by something that it has again when it is started again, such as its address. If it then starts
    /// after a crash, the others need not wait until the one before counts as dead.
    ///
    /// The one before must have ended: of two nodes with one name that live, the others take each for the end of the other
    /// one as it starts, and its members are gone there for a moment. A node that hears another one of its name logs a warning.
    pub fn node_name(mut self, name: impl Into<String>) -> Self {
        self.on_bus.address = Some(name.into());
        self
    }

    /// Sets after how much silence of a node its members count as gone, 10 s by default. A node says something four times
    /// in this time. It should be the same on all nodes; less than a second counts as a second.
    pub fn dead_after(mut self, time: Duration) -> Self {
        self.on_bus.dead_after = time.max(Duration::from_secs(1));
        self
    }

    /// Sets how many sessions and memberships of other nodes are known here, 1,000,000 by default, and so that
    /// their users, keys and data have 512 bytes each on average, and 1 MiB together in any case. Further ones are not
    /// seen, which is [counted](crate::BusStats::unknown_members), until there is room; messages reach them all the same.
    pub fn max_remote_members(mut self, members: usize) -> Self {
        self.on_bus.max_remote = members;
        self
    }
}

impl<K: Key, U: Key, D: Data> Builder<K, U, D> {
    /// Tells the members of each room who comes and leaves: together, and at most once in each interval.
    ///
    /// The function gets the room's key and the changes, and makes the message, which is not kept in the room's history;
    /// `None` tells nothing. What has changed is told to all, and so once for each room and interval: a member that
    /// wants to know who is there already looks after joining ([`Member::presence`](crate::Member::presence)). The
    /// changes say who is there with which tabs, and who is not, so that a client may hear of a user twice.
    ///
    /// A task does that while a room has members. It is spawned by a join within a tokio runtime.
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum_sockjs::Message;
    /// use axum_sockjs_rooms::Rooms;
    ///
    /// let rooms: Rooms = Rooms::builder()
    ///     .announce(Duration::from_secs(1), |_room, changes| Message::json(changes).ok())
    ///     .build();
    /// ```
    pub fn announce(
        mut self,
        interval: Duration,
        tell: impl Fn(&K, &PresenceChanges<U, D>) -> Option<Message> + Send + Sync + 'static,
    ) -> Self {
        let announcements = Arc::new(Announcements { interval, tell: Box::new(tell) });
        self.config.on_join = Some(Box::new(move |node, room| announce(node, room, &announcements)));
        self
    }
}

impl<K, U, D> fmt::Debug for Builder<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Builder")
            .field("overflow", &self.config.overflow)
            .field("max_rooms", &self.config.max_rooms)
            .field("max_rooms_per_session", &self.config.max_rooms_per_session)
            .field("max_members_per_room", &self.config.max_members_per_room)
            .field("max_history_bytes", &self.config.max_history_bytes)
            .finish_non_exhaustive()
    }
}
