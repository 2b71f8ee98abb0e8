//! How fast frames are taken.

use std::{num::NonZero, time::Duration};

use tokio::time::{Instant, sleep_until};

/// A bucket that holds a second's worth of frames.
#[derive(Debug)]
pub(super) struct Rate {
    interval: Duration,
    burst: Duration,
    /// When the bucket is full again.
    full_at: Instant,
}

impl Rate {
    pub(super) fn new(frames_per_second: NonZero<u32>) -> Self {
        let burst = Duration::from_secs(1);
        Self { interval: burst / frames_per_second.get(), burst, full_at: Instant::now() }
    }

    /// Waits until a frame may be taken.
    pub(super) async fn take(&mut self) {
        let now = Instant::now();
        self.full_at = self.full_at.max(now) + self.interval;
        let may_at = self.full_at - self.burst;
        if may_at > now {
            sleep_until(may_at).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_burst_passes_and_then_the_rate_holds() {
        let mut rate = Rate::new(NonZero::new(10).unwrap());
        let start = Instant::now();
        let mut passed = Vec::new();
        for _ in 0..13 {
            rate.take().await;
            passed.push(start.elapsed().as_millis());
        }
        assert_eq!(passed[..10], [0; 10]);
        // Timers are in milliseconds.
        assert!(
            passed[10..].iter().zip([100, 200, 300]).all(|(took, at)| took.abs_diff(at) <= 1),
            "{passed:?}"
        );
        tokio::time::advance(Duration::from_secs(10)).await;
        let start = Instant::now();
        for _ in 0..10 {
            rate.take().await;
        }
        assert_eq!(start.elapsed().as_millis(), 0);
    }
}
