//! The events that wake the tasks of a session.

use std::ops::BitOrAssign;

/// A set of events, each of which wakes the tasks that wait for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Events(u16);

impl Events {
    /// A frame is ready for the attached receiver.
    pub(crate) const FRAME: Self = Self(1);
    /// The application can receive a message or the end.
    pub(crate) const MESSAGE: Self = Self(2);
    /// The driver has to act: the session has opened or is gone, or its deadline is earlier than before. A shutdown may
    /// have less to wait for, too.
    pub(crate) const DRIVER: Self = Self(4);
    /// The queue to the client may have room again, or the session has ended.
    pub(crate) const WRITABLE: Self = Self(8);
    /// The queue to the application may have room again, or the rate may allow a batch, or the session has ended.
    pub(crate) const ROOM: Self = Self(16);
    /// No receiver is attached any more.
    pub(crate) const DETACHED: Self = Self(32);
    /// The session has ended.
    pub(crate) const ENDED: Self = Self(64);
    /// The application has been polled with the accepted batches, or the session has ended.
    pub(crate) const ATTENDED: Self = Self(128);
    /// Receivers have taken all messages, or the rest is lost.
    pub(crate) const FLUSHED: Self = Self(256);

    /// The events of the end: all but [`DETACHED`](Self::DETACHED).
    pub(super) const OF_THE_END: Self = Self(
        Self::FRAME.0
            | Self::MESSAGE.0
            | Self::DRIVER.0
            | Self::WRITABLE.0
            | Self::ROOM.0
            | Self::ENDED.0
            | Self::ATTENDED.0
            | Self::FLUSHED.0,
    );

    pub(crate) fn contains(self, event: Self) -> bool {
        self.0 & event.0 != 0
    }

    pub(crate) fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Whether the set has an event that any number of tasks may wait for.
    pub(crate) fn is_for_many(self) -> bool {
        self.0 & !(Self::FRAME.0 | Self::MESSAGE.0 | Self::DRIVER.0) != 0
    }
}

impl BitOrAssign for Events {
    fn bitor_assign(&mut self, other: Self) {
        self.0 |= other.0;
    }
}

/// The tasks that wait for room in one of the queues.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Line {
    /// The queue to the application.
    In,
    /// The queue to the client.
    Out,
}

impl Line {
    /// Returns the event that says that there may be room.
    pub(crate) fn event(self) -> Events {
        match self {
            Self::In => Events::ROOM,
            Self::Out => Events::WRITABLE,
        }
    }
}
