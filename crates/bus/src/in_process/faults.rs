//! What goes wrong on purpose.

#![cfg_attr(
    not(any(test, feature = "test")),
    allow(dead_code, unreachable_pub, reason = "without the feature nothing goes wrong")
)]

use std::{ops::Range, time::Duration};

/// What happens to messages between nodes, at random: which ones is decided by a seed, so that a test can be repeated.
///
/// Streams have no such faults, as their engines have none: an outage delays them, and
/// [`InProcess::lose_streams`](super::hub::InProcess::lose_streams) loses them.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Faults {
    pub(super) drop_percent: u8,
    pub(super) repeat_percent: u8,
    pub(super) delay: Range<Duration>,
}

impl Faults {
    /// No faults: messages arrive at once.
    #[must_use]
    pub fn none() -> Self {
        Self::default()
    }

    /// Messages to be lost, in percent; each receiving node for itself.
    #[must_use]
    pub fn drop_percent(mut self, percent: u8) -> Self {
        self.drop_percent = percent;
        self
    }

    /// Messages to arrive twice, in percent, which no driver does.
    #[must_use]
    pub fn repeat_percent(mut self, percent: u8) -> Self {
        self.repeat_percent = percent;
        self
    }

    /// How long each message is on its way. Those of one node with one subject do not overtake each other.
    #[must_use]
    pub fn delay(mut self, delay: Range<Duration>) -> Self {
        self.delay = delay;
        self
    }
}

/// A small generator of numbers that look random (SplitMix64).
#[derive(Debug)]
pub(super) struct Dice(u64);

impl Dice {
    pub(super) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// Whether something happens that does in so many of a hundred cases.
    pub(super) fn percent(&mut self, percent: u8) -> bool {
        percent > 0 && self.next() % 100 < u64::from(percent)
    }

    /// A time in a range, or its start if it is empty.
    pub(super) fn within(&mut self, range: &Range<Duration>) -> Duration {
        let span = range.end.saturating_sub(range.start).as_micros() as u64;
        if span == 0 { range.start } else { range.start + Duration::from_micros(self.next() % span) }
    }
}
