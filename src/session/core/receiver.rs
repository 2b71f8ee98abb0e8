//! Who receives, and does it get on with what there is for it?

use std::time::{Duration, Instant};

use super::expiry::SLOW_READER;
use crate::protocol::frame::Frame;

/// The slowest link that is waited for when a response has been handed over whole, in bytes per second.
const SLOW_LINK: usize = 16 << 10;

/// Names one receiver of one session: a late release of an old receiver must not concern the new one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(test, derive(Default))]
pub(crate) struct ReceiverId(u32);

/// What a receiver gets when it asks for its next frame.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Next {
    Frame(Frame),
    /// Nothing yet.
    Wait,
    /// Never again: the session has gone, or the receiver is not attached any more.
    End,
}

/// The receiver that is attached, or the last one that was.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Receiver {
    write_timeout: Option<Duration>,
    id: ReceiverId,
    is_attached: bool,
    /// How much of the messages it has taken, in bytes.
    taken: usize,
    /// Whether it found no frame when it last asked: it will take the next one at once.
    at_rest: bool,
    /// Whether it has taken more than its connection accepts: a socket waits for its peer to read.
    blocked: bool,
    /// When it was last seen to get on: it came, took a frame, or wrote.
    progress: Instant,
}

impl Receiver {
    /// The first receiver, attached.
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

    /// Whether this one is attached.
    #[inline]
    pub(super) fn is(&self, id: ReceiverId) -> bool {
        self.is_attached && self.id == id
    }

    /// Attaches the next one, in the place of one that has been detached.
    pub(super) fn attach(&mut self, now: Instant) {
        let next = ReceiverId(self.id.0.wrapping_add(1));
        *self = Self { id: next, ..Self::new(self.write_timeout, now) };
    }

    /// Detaches the receiver `id`, and says whether it was attached.
    pub(super) fn detach(&mut self, id: ReceiverId) -> bool {
        let was_attached = self.is(id);
        self.is_attached &= !was_attached;
        was_attached
    }

    /// The receiver has asked for a frame, and there is none.
    #[inline]
    pub(super) fn found_nothing(&mut self) {
        self.at_rest = true;
    }

    /// The receiver has taken a frame, with so many bytes of messages.
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

    /// The connection of the attached receiver has accepted bytes.
    pub(super) fn made_progress(&mut self, now: Instant) {
        self.progress = now;
    }

    /// Whether the connection accepts no bytes, and whether that is new.
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

    /// Whether an attached receiver may still be at work on what it has taken.
    pub(super) fn is_at_work(&self) -> bool {
        self.is_attached && (!self.at_rest || self.blocked)
    }

    /// When an attached receiver that does not get on is given up: there is a frame for it or it is blocked, and it
    /// neither takes the one nor writes what it has.
    #[inline]
    pub(super) fn write_deadline(&self, has_frame: bool) -> Option<Instant> {
        let waits = self.blocked || (!self.at_rest && has_frame);
        let timeout = self.write_timeout.filter(|_| waits)?;
        self.progress.checked_add(timeout)
    }

    /// How long a slow link may need for all that the receiver has taken.
    pub(super) fn time_on_the_way(&self) -> Duration {
        Duration::from_secs((self.taken / SLOW_LINK) as u64).min(SLOW_READER)
    }
}

#[cfg(test)]
mod tests;
