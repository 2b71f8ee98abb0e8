//! Has a socket's message come too slowly?
//!
//! Each message has [`READ_TIME`] from its first part to its last, and a number of its own. Only the time in which its
//! rest is read counts: where the queue to the application is full, the peer cannot go on.

use std::time::{Duration, Instant};

use super::settings::READ_TIME;

/// The last message that a socket has had in part.
#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Unfinished {
    message: u64,
    time: Time,
}

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
enum Time {
    /// The rest is being read, and has to be there by then.
    Until(Instant),
    /// The message is whole, or the socket is not read; so much of its time is left.
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

    /// The rest of this message is read.
    pub(super) fn read(&mut self, message: u64, now: Instant) {
        let left = if message == self.message { self.left(now) } else { READ_TIME };
        self.message = message;
        self.time = now.checked_add(left).map_or(Time::Left(left), Time::Until);
    }

    /// Nothing is read, or the message is whole.
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
