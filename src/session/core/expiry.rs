//! When is a session forgotten if nothing happens?
//!
//! An open session with a receiver is *held*. Any other *lingers*: for the disconnect delay, in which the client may
//! come back; or, when it has ended and its receiver still has to take or to write something, for longer.

use std::time::{Duration, Instant};

/// How long the rest of a session that has ended may wait for its attached receiver to take more of it: a
/// slow client empties large buffers below before it is seen to read.
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
        /// `None` if that is beyond the clock.
        until: Option<Instant>,
    },
}

/// What a session that is not held waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Linger {
    /// A client that may come, or come back.
    DisconnectDelay,
    /// An attached receiver that has yet to take or to write the rest of a session that has ended.
    Draining,
}

impl Expiry {
    /// Of a session with a receiver.
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

    /// The session lingers from now on.
    pub(super) fn linger(&mut self, linger: Linger, now: Instant) {
        let time = match linger {
            Linger::DisconnectDelay => self.disconnect_delay,
            Linger::Draining => self.disconnect_delay.max(SLOW_READER),
        };
        self.state = State::Lingers { linger, until: now.checked_add(time) };
    }

    /// As the disconnect delay, which begins when what was last sent has had `time` to arrive: a client comes back
    /// when all of it is there.
    pub(super) fn linger_after(&mut self, time: Duration, now: Instant) {
        let until = self.after_delay(now).and_then(|at| at.checked_add(time));
        self.state = State::Lingers { linger: Linger::DisconnectDelay, until };
    }

    /// The disconnect delay begins again, and ends no earlier than it would have ended.
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
