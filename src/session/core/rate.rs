//! The rates at which a client may send, and the effect of more.

use std::{fmt, time::Duration};

/// A rate at which a client may send: messages with [`Options::message_rate`](crate::Options::message_rate), bytes with
/// [`Options::byte_rate`](crate::Options::byte_rate).
///
/// The rate holds in the long run. After a pause, a [burst](Self::burst) may come at once.
///
/// ```
/// use std::time::Duration;
/// use axum_sockjs::{Options, Rate};
///
/// let options = Options::new()
///     .message_rate(Rate::per_second(100).burst(500))
///     .byte_rate(Rate::new(10 << 20, Duration::from_secs(60)));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Rate {
    count: u64,
    per: Duration,
    burst: u64,
}

impl Rate {
    /// Creates a rate of `count` in the time `per`, with a burst of `count`.
    ///
    /// # Panics
    /// If `count` or `per` is zero.
    #[track_caller]
    pub fn new(count: u64, per: Duration) -> Self {
        assert!(count > 0, "a rate cannot be zero: nothing would ever come");
        assert!(!per.is_zero(), "the time of a rate cannot be zero");
        Self { count, per, burst: count }
    }

    /// Creates a rate of `count` in a second, with a burst of `count`.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn per_second(count: u64) -> Self {
        Self::new(count, Duration::from_secs(1))
    }

    /// Sets the burst: how much may come at once after a pause. By default it is the `count` of the rate.
    ///
    /// A timer has steps of a millisecond, and at least one step passes between two bursts. So a burst that is smaller
    /// than what the rate allows in a millisecond makes the rate lower.
    ///
    /// # Panics
    /// If it is zero.
    #[track_caller]
    pub fn burst(mut self, burst: u64) -> Self {
        assert!(burst > 0, "a burst cannot be zero: nothing would ever come");
        self.burst = burst;
        self
    }

    /// Returns the time that the rate needs for this count, rounded up; a century at most.
    pub(super) fn time_of(self, count: u64) -> Duration {
        self.within_a_century(|nanos, per| nanos.div_ceil(per), count)
    }

    /// Returns the time that the rate needs for all but one of a burst, rounded down; a century at most.
    pub(super) fn slack(self) -> Duration {
        self.within_a_century(|nanos, per| nanos / per, self.burst - 1)
    }

    /// The limit of a century keeps products, and sums with a clock, from overflowing.
    fn within_a_century(self, divide: fn(u128, u128) -> u128, count: u64) -> Duration {
        const CENTURY: Duration = Duration::from_secs(100 * 366 * 24 * 60 * 60);
        let per = self.per.min(CENTURY).as_nanos();
        let nanos = divide(u128::from(count) * per, self.count.into());
        u64::try_from(nanos).map_or(CENTURY, |nanos| Duration::from_nanos(nanos).min(CENTURY))
    }
}

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { count, per, burst } = self;
        write!(f, "{count} per {per:?}, {burst} at once")
    }
}

/// The effect of a message over a session's [`Rate`]: see [`Options::rate_overflow`](crate::Options::rate_overflow).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum RateOverflow {
    /// The client waits: its WebSocket is not read, and its sending request gets no response, until the rate allows
    /// the message. Nothing is lost.
    #[default]
    Wait,
    /// The session ends with [`CloseReason::RateExceeded`](crate::CloseReason::RateExceeded), and the client gets 1008
    /// "Client too fast". The message is discarded, and so are the messages that wait for the client.
    Close,
}

/// The rates of a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Rates {
    pub(crate) messages: Option<Rate>,
    pub(crate) bytes: Option<Rate>,
    pub(crate) overflow: RateOverflow,
}

impl Rates {
    pub(crate) const NONE: Self = Self { messages: None, bytes: None, overflow: RateOverflow::Wait };
}

#[cfg(test)]
mod tests;
