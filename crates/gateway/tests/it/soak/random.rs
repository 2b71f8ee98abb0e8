//! Numbers that look random and are the same for a seed.

/// Numbers that look random and are the same for a seed (xorshift).
#[derive(Debug)]
pub(super) struct Random(u64);

impl Random {
    pub(super) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1)
    }

    pub(super) fn below(&mut self, limit: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % limit as u64) as usize
    }

    pub(super) fn one_in(&mut self, count: usize) -> bool {
        self.below(count) == 0
    }

    /// The length of a message: mostly short.
    pub(super) fn length(&mut self) -> usize {
        let most = if self.one_in(10) { 20_000 } else { 100 };
        self.below(most)
    }
}
