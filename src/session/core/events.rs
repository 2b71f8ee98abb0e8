//! The events that wake the tasks of a session.

bitflags::bitflags! {
    /// A set of events, each of which wakes the tasks that wait for it.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
    pub(crate) struct Events: u16 {
        /// A frame is ready for the attached receiver.
        const FRAME = 1;
        /// The application can receive a message or the end.
        const MESSAGE = 1 << 1;
        /// The driver has to act: the session has opened or is gone, or its deadline is earlier than before. A shutdown
        /// may have less to wait for, too.
        const DRIVER = 1 << 2;
        /// The queue to the client may have room again, or the session has ended.
        const WRITABLE = 1 << 3;
        /// The queue to the application may have room again, or the rate may allow a batch, or the session has ended.
        const ROOM = 1 << 4;
        /// No receiver is attached any more.
        const DETACHED = 1 << 5;
        /// The session has ended.
        const ENDED = 1 << 6;
        /// The application has been polled with the accepted batches, or the session has ended.
        const ATTENDED = 1 << 7;
        /// Receivers have taken all messages, or the rest is lost.
        const FLUSHED = 1 << 8;
    }
}

impl Events {
    /// The events of the end: all but [`DETACHED`](Self::DETACHED).
    pub(super) const OF_THE_END: Self = Self::all().difference(Self::DETACHED);

    /// Events that one task each waits for.
    const FOR_ONE: Self = Self::FRAME.union(Self::MESSAGE).union(Self::DRIVER);

    /// Whether the set has an event that any number of tasks may wait for.
    pub(crate) fn is_for_many(self) -> bool {
        !Self::FOR_ONE.contains(self)
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
