//! The receiver of a session, and its progress with the frames for it.

use std::time::{Duration, Instant};

use sockjs_core::Frame;

use super::expiry::SLOW_READER;
/// The speed of the slowest link that is waited for after a response has been handed over completely, in bytes per
/// second.
const SLOW_LINK: usize = 16 << 10;

/// Identifies one receiver of a session: a late release of an old receiver must have no effect on the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct ReceiverId(u32);

/// The result of asking for the next frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Frame(Frame),
    /// No frame yet.
    Wait,
    /// No frame any more: the session is gone, or the receiver is not attached.
    End,
}

/// The receiver that is attached, or the last one that was.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Receiver {
    write_timeout: Option<Duration>,
    id: ReceiverId,
    is_attached: bool,
    /// The number of bytes of messages that it has taken.
    taken: usize,
    /// Whether it found no frame when it last asked. It then takes the next one at once.
    at_rest: bool,
    /// Whether it has taken more than its connection accepts: a socket waits for its peer to read.
    blocked: bool,
    /// The time of its last progress: it attached, took a frame, or wrote.
    progress: Instant,
}

impl Receiver {
    /// Creates the first receiver, attached.
    pub(super) fn new(write_timeout: Option<Duration>, now: Instant) -> Self {
        Self {
            write_timeout,
            id: ReceiverId(0),
            is_attached: true,
            taken: 0,
            at_rest: false,
            blocked: false,
            progress: now,
        }
    }

    pub(super) fn id(&self) -> ReceiverId {
        self.id
    }

    #[inline]
    pub(super) fn is_attached(&self) -> bool {
        self.is_attached
    }

    /// Whether this receiver is attached.
    #[inline]
    pub(super) fn is(&self, id: ReceiverId) -> bool {
        self.is_attached && self.id == id
    }

    /// Attaches the next receiver, after the last one was detached.
    pub(super) fn attach(&mut self, now: Instant) {
        let next = ReceiverId(self.id.0.wrapping_add(1));
        *self = Self { id: next, ..Self::new(self.write_timeout, now) };
    }

    /// Detaches the receiver `id`. Returns whether it was attached.
    pub(super) fn detach(&mut self, id: ReceiverId) -> bool {
        let was_attached = self.is(id);
        self.is_attached &= !was_attached;
        was_attached
    }

    /// Records that the receiver has asked for a frame, and there is none.
    #[inline]
    pub(super) fn found_nothing(&mut self) {
        self.at_rest = true;
    }

    /// Records that the receiver has taken a frame, with this many bytes of messages.
    #[inline]
    pub(super) fn took_frame(&mut self, bytes: usize, now: Instant) {
        self.taken += bytes;
        self.at_rest = false;
        // Handing a frame to a full write buffer is not progress: only bytes the connection accepts reset the write
        // timeout.
        if !self.blocked {
            self.progress = now;
        }
    }

    /// Records that the connection of the attached receiver has accepted bytes.
    pub(super) fn made_progress(&mut self, now: Instant) {
        self.progress = now;
    }

    /// Records whether the connection accepts no bytes. Returns whether that has changed.
    #[cfg(any(test, feature = "websocket"))]
    pub(super) fn set_blocked(&mut self, blocked: bool) -> bool {
        let is_news = self.blocked != blocked;
        self.blocked = blocked;
        is_news
    }

    #[inline]
    pub(super) fn is_blocked(&self) -> bool {
        self.blocked
    }

    /// Whether an attached receiver may still be busy with the frames that it has taken.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_attached && (!self.at_rest || self.blocked)
    }

    /// The time at which a receiver without progress is given up: it is blocked, or does not take the frame that waits
    /// for it.
    #[inline]
    pub(super) fn write_deadline(&self, has_frame: bool) -> Option<Instant> {
        let waits = self.blocked || (!self.at_rest && has_frame);
        let timeout = self.write_timeout.filter(|_| waits)?;
        self.progress.checked_add(timeout)
    }

    /// The time that a slow link may need for all that the receiver has taken.
    pub(super) fn time_on_the_way(&self) -> Duration {
        Duration::from_secs((self.taken / SLOW_LINK) as u64).min(SLOW_READER)
    }
}

#[cfg(test)]
mod tests;
