//! Whether a backend is still there: when it is asked, and when it counts as lost. No clock: the time is given.

use std::time::Duration;

use tokio::time::Instant;

/// When a silent backend is asked for a sign of life, and how long it may take for one.
#[derive(Debug)]
pub(super) struct Liveness {
    /// Without it, nothing is ever due.
    interval: Option<Duration>,
    timeout: Duration,
    heard: Instant,
    asked: Option<Instant>,
}

/// What is to be done now.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    Nothing,
    Ask,
    Lost,
}

impl Liveness {
    pub(super) fn new(interval: Option<Duration>, timeout: Duration, now: Instant) -> Self {
        Self { interval, timeout, heard: now, asked: None }
    }

    /// Any byte is a sign of life.
    pub(super) fn heard(&mut self, now: Instant) {
        (self.heard, self.asked) = (now, None);
    }

    /// When to call [`due`](Self::due): it may be later by then, never earlier.
    pub(super) fn next(&self) -> Option<Instant> {
        let interval = self.interval?;
        Some(self.asked.map_or(self.heard + interval, |asked| asked + self.timeout))
    }

    /// What is due. Whoever is told to ask has asked.
    pub(super) fn due(&mut self, now: Instant) -> Due {
        if self.next().is_none_or(|next| now < next) {
            Due::Nothing
        } else if self.asked.is_some() {
            Due::Lost
        } else {
            self.asked = Some(now);
            Due::Ask
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    #[test]
    fn silence_is_asked_and_then_lost() {
        let start = Instant::now();
        let mut liveness = Liveness::new(Some(25 * SECOND), 10 * SECOND, start);
        assert_eq!(liveness.next(), Some(start + 25 * SECOND));
        assert_eq!(liveness.due(start + 24 * SECOND), Due::Nothing);
        liveness.heard(start + 5 * SECOND);
        assert_eq!(liveness.due(start + 25 * SECOND), Due::Nothing);
        assert_eq!(liveness.due(start + 30 * SECOND), Due::Ask);
        assert_eq!(liveness.due(start + 31 * SECOND), Due::Nothing, "it is asked once");
        liveness.heard(start + 39 * SECOND);
        assert_eq!(liveness.due(start + 64 * SECOND), Due::Ask);
        assert_eq!(liveness.due(start + 74 * SECOND), Due::Lost);
    }

    #[test]
    fn without_an_interval_nothing_is_due() {
        let start = Instant::now();
        let mut liveness = Liveness::new(None, SECOND, start);
        assert_eq!(liveness.next(), None);
        assert_eq!(liveness.due(start + 1_000 * SECOND), Due::Nothing);
    }
}
