//! When to connect again.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use crate::random;

/// The pauses between attempts to connect: each is a random part, at least half, of a time that doubles.
///
/// So the nodes of a server that has come back do not all connect at once, and one whose connection does not last does not
/// connect all the time: the time is the shortest one again only after a connection that was there for longer than the
/// longest one.
#[derive(Debug)]
pub struct Backoff {
    next: Duration,
    longest: Duration,
    connected: Option<Instant>,
}

const FIRST: Duration = Duration::from_millis(50);

impl Backoff {
    /// Pauses from 50 ms, or the longest one if that is shorter.
    #[must_use]
    pub fn new(longest: Duration) -> Self {
        Self { next: FIRST.min(longest), longest, connected: None }
    }

    /// There is a connection.
    pub fn connected(&mut self) {
        self.connected = Some(Instant::now());
    }

    /// Waits until it is time for the next attempt.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: the next pause is another one.
    pub async fn pause(&mut self) {
        sleep(self.next_pause()).await;
    }

    fn next_pause(&mut self) -> Duration {
        if self.connected.take().is_some_and(|since| since.elapsed() > self.longest) {
            self.next = FIRST.min(self.longest);
        }
        let pause = self.next;
        self.next = (pause * 2).min(self.longest);
        let part = f64::from(u32::from_be_bytes(random::bytes())) / f64::from(u32::MAX);
        pause.mul_f64(0.5 + part / 2.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assert_pauses(backoff: &mut Backoff, upper: &[u64]) {
        for &ms in upper {
            let pause = backoff.next_pause();
            let upper = Duration::from_millis(ms);
            assert!((upper / 2..=upper).contains(&pause), "{pause:?} of {upper:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_double_and_begin_anew_after_a_connection_that_lasted() {
        let mut backoff = Backoff::new(Duration::from_millis(300));
        assert_pauses(&mut backoff, &[50, 100, 200, 300, 300]);
        backoff.connected();
        sleep(Duration::from_millis(300)).await;
        assert_pauses(&mut backoff, &[300]);
        backoff.connected();
        sleep(Duration::from_millis(301)).await;
        assert_pauses(&mut backoff, &[50, 100]);
        assert_pauses(&mut Backoff::new(Duration::from_millis(10)), &[10, 10]);
    }

    #[test]
    fn nodes_have_pauses_of_their_own() {
        let pauses: std::collections::HashSet<_> =
            (0..100).map(|_| Backoff::new(FIRST).next_pause()).collect();
        assert!(pauses.len() > 90, "{pauses:?}");
    }
}
