//! Why a session does not become known to the rooms, or does not join one.
//!
//! Imports: nothing.

use std::{error::Error, fmt, sync::LazyLock};

use axum_sockjs::{CloseFrame, HandlerError, Message, SendError};

/// The error of entering, of joining a room, and of watching one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum JoinError {
    /// The session is a member already.
    AlreadyJoined,
    /// The session has entered as another user.
    OtherUser,
    /// The session has ended.
    Closed,
    /// The session is in as many rooms as it may be: [`Builder::max_rooms_per_session`].
    ///
    /// [`Builder::max_rooms_per_session`]: crate::Builder::max_rooms_per_session
    TooManyRoomsOfSession,
    /// The room has as many members as it may have:
    /// [`Builder::max_members_per_room`](crate::Builder::max_members_per_room).
    RoomFull,
    /// There are as many rooms as there may be: [`Builder::max_rooms`](crate::Builder::max_rooms).
    TooManyRooms,
    /// History was asked for, and the room keeps none: [`Builder::history`](crate::Builder::history).
    NoHistory,
    /// The bus refuses what the room needs, or does not have its history while it is disconnected; or the client has come
    /// back with a position that the node does not know, and the bus does not say within two seconds what is behind it. Close
    /// the session: the client comes back with its position, and may find all there.
    Unavailable,
    /// The client reads so slowly that the room has forgotten messages that it had not been sent yet. Close the session:
    /// a client that comes back with its position is told what is left.
    Lagged,
}

impl fmt::Display for JoinError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::AlreadyJoined => "the session is a member of the room already",
            Self::OtherUser => "the session has entered as another user",
            Self::Closed => "the session has ended",
            Self::TooManyRoomsOfSession => "the session is in too many rooms",
            Self::RoomFull => "the room is full",
            Self::TooManyRooms => "there are too many rooms",
            Self::NoHistory => "the room keeps no history",
            Self::Unavailable => "the bus does not give what the room needs",
            Self::Lagged => "the client is too slow for the room's history",
        })
    }
}

/// What the server knows as the end of a session. A handler's log does not take it for a fault.
static CLOSED: LazyLock<SendError> = LazyLock::new(|| SendError::Closed(Message::from("")));

impl Error for JoinError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Closed => Some(&*CLOSED),
            _ => None,
        }
    }
}

/// A handler may return it:
///
/// | error | close frame |
/// |---|---|
/// | [`Closed`](JoinError::Closed) | 1000 "Normal closure", without effect: the session has ended before |
/// | [`Lagged`](JoinError::Lagged) | 1008 "Client too slow" |
/// | [`TooManyRoomsOfSession`](JoinError::TooManyRoomsOfSession) | 1008 "Too many rooms" |
/// | [`RoomFull`](JoinError::RoomFull), [`TooManyRooms`](JoinError::TooManyRooms), [`Unavailable`](JoinError::Unavailable) | 1013 "Try again later" |
/// | the others, which are faults of the application | 1011 "Internal error" |
impl HandlerError for JoinError {
    fn close_frame(&self) -> CloseFrame {
        match self {
            Self::Closed => CloseFrame::new(1000, "Normal closure"),
            Self::Lagged => CloseFrame::new(1008, "Client too slow"),
            Self::TooManyRoomsOfSession => CloseFrame::new(1008, "Too many rooms"),
            Self::RoomFull | Self::TooManyRooms | Self::Unavailable => {
                CloseFrame::new(1013, "Try again later")
            }
            Self::AlreadyJoined | Self::OtherUser | Self::NoHistory => {
                CloseFrame::new(1011, "Internal error")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_of_a_session_is_no_fault() {
        let is_closed = |error: &JoinError| {
            error
                .source()
                .and_then(|source| source.downcast_ref())
                .is_some_and(|source| matches!(source, SendError::Closed(_)))
        };
        assert!(is_closed(&JoinError::Closed) && !JoinError::Closed.is_fault());
        assert!(!is_closed(&JoinError::Lagged) && !JoinError::Lagged.is_fault());
        assert!(JoinError::NoHistory.is_fault() && JoinError::TooManyRooms.is_fault());
    }
}
