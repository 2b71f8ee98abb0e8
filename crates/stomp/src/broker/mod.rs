//! What serves destinations: topics and queues.
//!
//! [`Broker`] is what sessions and applications ask, and `MemoryBroker` answers within this
//! process, with others over a bus. Another one may pass everything on to a message broker.
//!
//! Imports: message, outbox, outcome, subscription.

pub(crate) mod bus_stats;
pub mod memory;

use std::{fmt, sync::Arc};

use axum::BoxError;
use bytestring::ByteString;
use sockjs_bus::PublishError;

pub use self::bus_stats::BusStats;
use crate::{
    message::Message,
    outbox::{SessionId, Subscriber},
    outcome::Outcome,
    subscription::{MessageId, Subscription},
};

/// What serves destinations.
///
/// It is asked for destinations that it [has](Self::has) only.
pub trait Broker: Send + Sync + 'static {
    /// Whether a destination, or a pattern of a `SUBSCRIBE`, is one of this broker's.
    fn has(&self, destination: &str) -> bool;

    /// Connects a client. The broker knows its user from then on, and forgets it when the [`Connection`] is dropped.
    fn connect(&self, client: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>>;

    /// Publishes a message of the application's.
    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>>;

    /// The numbers that concern other nodes, if there are such.
    fn bus_stats(&self) -> Option<BusStats> {
        None
    }
}

/// A client's connection to a [`Broker`].
///
/// Dropping it ends all of the client's subscriptions. Messages that it has not acknowledged are given back, and so are
/// those of `auto` mode that have not been [written](Self::written): it is to be dropped when nothing is written any
/// more.
///
/// Each call has an effect at once, in the order of the calls, whether its outcome is awaited or not: the outcome is
/// there when the effect is certain, and then the client may have its receipt.
pub trait Connection: Send + Sync {
    /// Publishes a message of the client's.
    fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>>;

    /// Begins a subscription: what is published to `source` from now on is delivered to the [`Subscriber`].
    fn subscribe(&self, source: Source, subscription: Arc<Subscription>) -> Outcome<Result<(), BrokerError>>;

    /// Ends a subscription: nothing is delivered to it any more. What waits to be written still is, and
    /// [`written`](Self::written) may be called for it.
    fn unsubscribe(&self, serial: u32) -> Outcome<Result<(), BrokerError>>;

    /// Says what has become of a message that was delivered and has to be acknowledged.
    ///
    /// One that has been settled before is left as it is.
    fn settle(&self, id: MessageId, settlement: Settlement) -> Outcome<Result<(), BrokerError>>;

    /// Says that a message that [waited](crate::outbox::Delivered::Queued) has been written to the client.
    fn written(&self, id: MessageId);

    /// Says that the client, which [was too slow](crate::outbox::Delivered::Full), has caught up.
    fn has_room(&self);
}

/// Where a message goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// To a destination of the broker.
    Destination(ByteString),
    /// To a destination of a user's, in all of his sessions.
    User {
        /// The name of the user, or of a session without a user its id.
        name: ByteString,
        /// The destination without the user prefix, such as `/queue/errors`.
        destination: ByteString,
    },
    /// To a destination of a user's, in one session.
    Session {
        /// The session.
        id: SessionId,
        /// The destination without the user prefix, such as `/queue/errors`.
        destination: ByteString,
    },
    /// To a temporary queue.
    Temporary(ByteString),
}

/// The beginning of the names that temporary queues have for those who reply. What follows cannot be guessed.
pub(crate) const REPLY_PREFIX: &str = "/reply-queue/";

/// Whether a temporary queue may be one that some node has given out: what follows the prefix is a UUID without dashes.
pub(crate) fn is_reply_queue(name: &str) -> bool {
    let is_digit = |byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    name.strip_prefix(REPLY_PREFIX).is_some_and(|id| id.len() == 32 && id.bytes().all(is_digit))
}

impl Target {
    /// A destination of the broker, or a temporary queue if its name is that of one.
    #[must_use]
    pub fn of_destination(destination: ByteString) -> Self {
        if destination.starts_with(REPLY_PREFIX) {
            Self::Temporary(destination)
        } else {
            Self::Destination(destination)
        }
    }
}

/// Where the messages of a subscription come from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// From a destination of the broker, or from all that a pattern matches.
    Destination(ByteString),
    /// From a destination of the session's own user, or of the session itself, or from all of these that a pattern
    /// matches: without the user prefix, such as `/queue/errors`.
    User(ByteString),
    /// From a temporary queue: a name that cannot be guessed. One subscription has it.
    Temporary(ByteString),
}

/// What has become of a message that was published. The numbers are of this node.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Published {
    /// How many subscriptions it was delivered to, or is on its way to.
    pub delivered: usize,
    /// How many did not get it, since their clients read too slowly.
    pub dropped: usize,
    /// Whether it waits in a queue.
    pub is_stored: bool,
    /// Why the message was not sent to the other nodes, or not to all of their subscribers, with a
    /// [bus](memory::MemoryBrokerBuilder::bus): a message to a topic is published for exact subscriptions and then for
    /// patterns, and the bus may be full in between. So whoever sends it again may send it twice. The subscribers of this
    /// node get it all the same.
    pub bus: Option<PublishError>,
}

/// What has become of a message that a client had to acknowledge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Settlement {
    /// It has been processed (`ACK`).
    Accepted,
    /// It has not been processed (`NACK`).
    Rejected {
        /// Whether it is to be delivered again.
        requeue: bool,
    },
}

/// Why a broker has not done what it was asked for.
#[derive(Debug)]
#[non_exhaustive]
pub enum BrokerError {
    /// A limit is reached, such as the depth of a queue: its name.
    LimitExceeded(&'static str),
    /// The destination or pattern cannot be served: the reason, which may be sent to the client.
    InvalidDestination(&'static str),
    /// The broker cannot be reached.
    Unavailable(BoxError),
    /// Another node has the queue, with a [bus](memory::MemoryBrokerBuilder::bus): a client is to connect to that one.
    QueueElsewhere,
}

impl fmt::Display for BrokerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::LimitExceeded(limit) => write!(f, "{limit} is reached"),
            Self::InvalidDestination(reason) => f.write_str(reason),
            Self::Unavailable(_) => f.write_str("the broker cannot be reached"),
            Self::QueueElsewhere => f.write_str("another node has the queue"),
        }
    }
}

impl std::error::Error for BrokerError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Unavailable(error) => Some(&**error),
            _ => None,
        }
    }
}
