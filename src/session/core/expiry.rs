//! The time at which a session is forgotten if nothing happens.
//!
//! An open session with a receiver is *held*: it has no such time. Any other session *lingers*: for the disconnect
//! delay, in which the client may come back, or for longer if the session has ended and its receiver still has to take
//! or to write something.

use std::time::{Duration, Instant};

/// The time for which an ended session waits for its attached receiver to take more of the rest: a slow client empties
/// large buffers below before the server sees it read.
pub(super) const SLOW_READER: Duration = Duration::from_secs(60);

#[cfg_attr(test, derive(Clone))]
#[derive(Debug)]
pub(super) struct Expiry {
    disconnect_delay: Duration,
    state: State,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Held,
    Lingers {
        linger: Linger,
        /// `None` if the clock cannot hold that time.
        until: Option<Instant>,
    },
}

/// The event that a session waits for while it is not held.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linger {
    /// A client that may come, or come back.
    DisconnectDelay,
    /// An attached receiver that still has to take or to write the rest of a session that has ended.
    Draining,
}

impl Expiry {
    /// Creates the expiry of a session with a receiver.
    pub(super) fn new(disconnect_delay: Duration) -> Self {
        Self { disconnect_delay, state: State::Held }
    }

    #[inline]
    pub(super) fn hold(&mut self) {
        self.state = State::Held;
    }

    #[inline]
    pub(super) fn is_held(&self) -> bool {
        self.state == State::Held
    }

    pub(super) fn is_draining(&self) -> bool {
        matches!(self.state, State::Lingers { linger: Linger::Draining, .. })
    }

    /// Lets the session linger from now on.
    pub(super) fn linger(&mut self, linger: Linger, now: Instant) {
        let time = match linger {
            Linger::DisconnectDelay => self.disconnect_delay,
            Linger::Draining => self.disconnect_delay.max(SLOW_READER),
        };
        self.state = State::Lingers { linger, until: now.checked_add(time) };
    }

    /// Lets the disconnect delay begin after `time`, which the last frames may need to arrive: the client comes back
    /// when it has all of them.
    pub(super) fn linger_after(&mut self, time: Duration, now: Instant) {
        let until = self.after_delay(now).and_then(|at| at.checked_add(time));
        self.state = State::Lingers { linger: Linger::DisconnectDelay, until };
    }

    /// Lets the disconnect delay begin again. It ends no earlier than it would have ended.
    pub(super) fn linger_longer(&mut self, now: Instant) {
        let before = self.deadline();
        let until = self.after_delay(now).map(|at| before.map_or(at, |before| before.max(at)));
        self.state = State::Lingers { linger: Linger::DisconnectDelay, until };
    }

    pub(super) fn after_delay(&self, since: Instant) -> Option<Instant> {
        since.checked_add(self.disconnect_delay)
    }

    #[inline]
    pub(super) fn deadline(&self) -> Option<Instant> {
        match self.state {
            State::Held => None,
            State::Lingers { until, .. } => until,
        }
    }
}

#[cfg(test)]
mod tests;
