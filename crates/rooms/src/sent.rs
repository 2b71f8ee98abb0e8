//! What has become of a message to many.
//!
//! Imports: position.

use std::{error::Error, fmt, ops::AddAssign};

use sockjs_bus::PublishError;

use crate::position::Position;

/// What has become of a message to many sessions.
///
/// The numbers are of sessions. The message has been queued for those that are delivered: as with
/// [`Sender::send`](axum_sockjs::Sender::send), it is lost if the client is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Sent {
    /// The sessions whose queue has taken the message.
    pub delivered: usize,
    /// The sessions that miss it since their queue was full: with [`Overflow::Wait`](axum_sockjs::Overflow::Wait). With
    /// `Close` such sessions end, and count as gone.
    pub dropped: usize,
    /// The sessions that had ended, or have been ended by `Close`, and have not left yet.
    pub gone: usize,
    /// The sessions that carry no binary messages.
    pub unsupported: usize,
    /// The message's place in the room's history, if the room keeps one.
    pub position: Option<Position>,
    /// Whether another call, which is sending to the room right now, delivers this message too: the numbers above are
    /// then 0. Only a room with history does that, since its members get messages in the order of their positions. With a
    /// [bus](crate::Builder::bus) it is always so there, and neither the position nor whether the engine takes the message
    /// is known yet: [`BusStats::not_kept`](crate::BusStats::not_kept) counts those that it did not take.
    /// [`To::send_confirmed`](crate::To::send_confirmed) waits for it.
    pub handed_over: bool,
    /// Why the message was sent to nobody.
    pub refused: Option<Refused>,
    /// Why the message was not sent to the other nodes, with a [bus](crate::Builder::bus). The sessions of this node get it
    /// all the same, and the numbers above are theirs.
    pub bus: Option<PublishError>,
}

/// What has become of sessions that were to be closed: see [`Rooms::close_user`](crate::Rooms::close_user) and
/// [`To::close`](crate::To::close).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Closed {
    /// The sessions of this node that were open, and have been closed.
    pub sessions: usize,
    /// Why the other nodes have not been told, with a [bus](crate::Builder::bus): the sessions there stay open, unless
    /// a user's are reached by one of the repetitions.
    pub bus: Option<PublishError>,
}

/// Why a message was sent to nobody.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Refused {
    /// Other calls are sending to the room, which keeps a history, and 1,024 messages wait for them.
    Busy,
    /// The room does not exist, and would have to be created for its history, but there are as many as there may be.
    TooManyRooms,
    /// The room keeps a history, and the bus, which has it, does not take the message.
    Bus(PublishError),
}

/// Why a message has not been confirmed: see [`To::send_confirmed`](crate::To::send_confirmed).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ConfirmError {
    /// The message was not sent: the room keeps no history, or the message is [transient](crate::To::transient), or goes to a
    /// user or to all.
    NoHistory,
    /// The message was sent to nobody.
    Refused(Refused),
    /// The engine of the bus does not say whether it has the message: the connection was lost meanwhile, or the engine
    /// had an error. It may still come to all, or to none. Sent again, it may come twice.
    Unknown,
}

impl fmt::Display for ConfirmError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoHistory => f.write_str("nothing keeps the message"),
            Self::Refused(Refused::Busy) => f.write_str("too many messages wait for the room"),
            Self::Refused(Refused::TooManyRooms) => f.write_str("there are too many rooms"),
            Self::Refused(Refused::Bus(error)) => error.fmt(f),
            Self::Unknown => f.write_str("the bus does not say whether it has the message"),
        }
    }
}

impl Error for ConfirmError {}

impl Sent {
    pub(crate) fn refused(refused: Refused) -> Self {
        Self { refused: Some(refused), ..Self::default() }
    }
}

/// Adds the numbers of sessions.
impl AddAssign for Sent {
    fn add_assign(&mut self, other: Self) {
        self.delivered += other.delivered;
        self.dropped += other.dropped;
        self.gone += other.gone;
        self.unsupported += other.unsupported;
    }
}
