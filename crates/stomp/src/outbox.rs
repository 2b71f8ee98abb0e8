//! What waits to be written to a client.
//!
//! A message goes straight to the connection while that has room, from the thread of whoever publishes it. What finds no
//! room waits here, within bounds, and the session's own task writes it in order.
//!
//! Imports: `link`, `message`, `subscription`.

use std::{
    collections::{HashMap, VecDeque},
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use axum_sockjs::Message as Piece;
use bytestring::ByteString;
use stomp_codec::Version;
use tokio::{sync::Notify, time::Instant};
use uuid::Uuid;

use crate::{
    link::{Link, LinkError},
    message::{Carriage, Message},
    subscription::{MessageId, Subscription},
};

/// Names a session: the `session` header of its `CONNECTED` frame. It cannot be guessed.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct SessionId(Uuid);

impl SessionId {
    pub(crate) fn random() -> Self {
        Self(Uuid::new_v4())
    }
}

impl fmt::Display for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.simple().fmt(f)
    }
}

impl fmt::Debug for SessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SessionId({self})")
    }
}

/// What happens to a message of a topic for which a slow client has no room.
///
/// Messages of queues, receipts and errors are never dropped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum Overflow {
    /// The session is closed.
    #[default]
    Close,
    /// The oldest message that waits is dropped.
    DropOldest,
    /// The new message is dropped.
    DropNewest,
    /// Of the messages that wait for a subscription, only the newest of each destination is kept, full or not. The
    /// oldest one is dropped if that is not enough.
    KeepNewest,
}

/// What may wait for a client.
#[derive(Debug, Clone, Copy)]
pub(crate) struct OutboxLimits {
    pub(crate) bytes: usize,
    pub(crate) overflow: Overflow,
    /// How long nothing may be written while something waits.
    pub(crate) send_timeout: Option<Duration>,
}

/// The way to a client, for a broker.
///
/// Clones are the same client. None of the calls waits.
#[derive(Debug, Clone)]
pub struct Subscriber(Arc<Outbox>);

/// What has become of a message for a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Delivered {
    /// It has been handed to the connection.
    Sent(MessageId),
    /// It waits. For a message of [`try_deliver`](Subscriber::try_deliver),
    /// [`Connection::written`](crate::broker::Connection::written) says when it has been handed to the connection.
    Queued(MessageId),
    /// The client is too slow: it is dropped, or nothing has been done with it.
    Full,
    /// The session has ended.
    Gone,
}

impl Subscriber {
    pub(crate) fn new(outbox: Arc<Outbox>) -> Self {
        Self(outbox)
    }

    /// The session.
    #[must_use]
    pub fn session(&self) -> SessionId {
        self.0.id
    }

    /// The name of the user, if the session has one.
    #[must_use]
    pub fn user(&self) -> Option<&ByteString> {
        self.0.user.as_ref()
    }

    /// Delivers a message of a topic: if the client is too slow, what [`Overflow`] says happens.
    pub fn deliver(&self, subscription: &Subscription, message: &Message) -> Delivered {
        self.0.deliver(subscription, message, Kind::Topic { destination: message.destination_shared() }, false)
    }

    /// Delivers a message of a queue, if the client has room for it.
    pub fn try_deliver(&self, subscription: &Subscription, message: &Message, is_redelivered: bool) -> Delivered {
        self.0.deliver(subscription, message, Kind::Queue, is_redelivered)
    }
}

/// What waits to be written to a client.
#[derive(Debug)]
pub(crate) struct Outbox {
    id: SessionId,
    user: Option<ByteString>,
    version: Version,
    carriage: Carriage,
    limits: OutboxLimits,
    link: Link,
    state: Mutex<State>,
    /// Something waits that did not, or the session is to end.
    changed: Notify,
    /// Something has been written, or the session is to end.
    progress: Notify,
}

#[derive(Debug)]
struct State {
    entries: VecDeque<Entry>,
    /// How many entries have left from the front: the position of the first one.
    first: u64,
    bytes: usize,
    /// Whether the session's task is writing an entry that it has taken.
    is_writing: bool,
    /// When something was written, or began to wait.
    progress: Instant,
    /// Of the entries that are for the newest of their destination: their positions.
    newest: HashMap<(u32, ByteString), u64>,
    /// A queue's message was refused.
    was_full: bool,
    dropped: u64,
    end: Option<End>,
}

#[derive(Debug)]
struct Entry {
    piece: Piece,
    kind: Kind,
    id: Option<MessageId>,
}

#[derive(Debug, Clone)]
enum Kind {
    /// `CONNECTED`, `RECEIPT`, `ERROR`.
    Control,
    Topic { destination: ByteString },
    Queue,
}

/// Why nothing more is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    /// What waits is still written, and nothing is added.
    Closing,
    /// A topic's message found no room.
    Overflow,
    /// The connection is gone.
    Lost,
}
