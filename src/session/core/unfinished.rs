//! The time limit for the messages of a socket.
//!
//! Each message has a number of its own, and [`READ_TIME`] from its first part to its last. Only the time in which its
//! rest is read counts: while the queue to the application is full, the peer cannot continue.

use std::time::{Duration, Instant};

use super::settings::READ_TIME;

/// The last message that a socket has read in part.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Unfinished {
    message: u64,
    time: Time,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
enum Time {
    /// The rest is being read, and has to be complete by this time.
    Until(Instant),
    /// The message is complete, or the socket is not read. This much of its time is left.
    Left(Duration),
}

impl Unfinished {
    pub(super) fn new() -> Self {
        Self { message: 0, time: Time::Left(READ_TIME) }
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.time {
            Time::Until(end) => Some(end),
            Time::Left(_) => None,
        }
    }

    /// Records that the rest of this message is being read.
    pub(super) fn read(&mut self, message: u64, now: Instant) {
        let left = if message == self.message { self.left(now) } else { READ_TIME };
        self.message = message;
        self.time = now.checked_add(left).map_or(Time::Left(left), Time::Until);
    }

    /// Records that the socket is not read, or that the message is complete.
    pub(super) fn pause(&mut self, now: Instant) {
        self.time = Time::Left(self.left(now));
    }

    fn left(&self, now: Instant) -> Duration {
        match self.time {
            Time::Until(end) => end.saturating_duration_since(now),
            Time::Left(left) => left,
        }
    }
}

#[cfg(test)]
mod tests;
