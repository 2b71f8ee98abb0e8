//! What is shown of a route's backends.

use std::{sync::Arc, time::Duration};

/// How a dial has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) enum DialOutcome {
    Opened,
    /// The backend has answered, and does not want this client: it is well, and no other one is asked.
    Refused,
    /// The backend has answered that it has no WebSocket now: it lives, and another one is asked.
    Unavailable,
    Failed,
    TimedOut,
    /// The client went away meanwhile.
    Abandoned,
    /// The gateway had no file descriptor left, which says nothing of the backend.
    OutOfFiles,
}

impl DialOutcome {
    pub(crate) const ALL: [Self; 7] = [
        Self::Opened,
        Self::Refused,
        Self::Unavailable,
        Self::Failed,
        Self::TimedOut,
        Self::Abandoned,
        Self::OutOfFiles,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Opened => "opened",
            Self::Refused => "refused",
            Self::Unavailable => "unavailable",
            Self::Failed => "failed",
            Self::TimedOut => "timed-out",
            Self::Abandoned => "abandoned",
            Self::OutOfFiles => "out-of-files",
        }
    }

    /// Whether how long it took is the backend's time.
    fn is_timed(self) -> bool {
        !matches!(self, Self::Abandoned | Self::OutOfFiles)
    }
}

/// The dials of a backend: how they ended, and how long those took in which the backend had its time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Dials {
    outcomes: [u64; DialOutcome::ALL.len()],
    /// Each counts those that no bound below has counted.
    buckets: [u64; Self::BOUNDS.len()],
    total: Duration,
}

impl Dials {
    /// In seconds: from one in a data centre to one that waits for a second SYN, or for `connect_timeout`.
    pub(crate) const BOUNDS: [f64; 12] =
        [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0];

    pub(crate) fn count(&mut self, outcome: DialOutcome, took: Duration) {
        self.outcomes[outcome as usize] += 1;
        if !outcome.is_timed() {
            return;
        }
        self.total = self.total.saturating_add(took);
        let seconds = took.as_secs_f64();
        if let Some(place) = Self::BOUNDS.iter().position(|&bound| seconds <= bound) {
            self.buckets[place] += 1;
        }
    }

    pub(crate) fn add(&mut self, other: &Self) {
        for (mine, theirs) in self.outcomes.iter_mut().zip(other.outcomes) {
            *mine += theirs;
        }
        for (mine, theirs) in self.buckets.iter_mut().zip(other.buckets) {
            *mine += theirs;
        }
        self.total = self.total.saturating_add(other.total);
    }

    pub(crate) fn of(&self, outcome: DialOutcome) -> u64 {
        self.outcomes[outcome as usize]
    }

    /// How many took as long as each bound, or less.
    pub(crate) fn cumulative(&self) -> impl Iterator<Item = (f64, u64)> {
        let mut sum = 0;
        Self::BOUNDS.into_iter().zip(self.buckets).map(move |(bound, count)| {
            sum += count;
            (bound, sum)
        })
    }

    /// How many are among those.
    pub(crate) fn timed(&self) -> u64 {
        DialOutcome::ALL
            .into_iter()
            .filter(|outcome| outcome.is_timed())
            .map(|outcome| self.of(outcome))
            .sum()
    }

    pub(crate) fn total(&self) -> Duration {
        self.total
    }
}

/// Whether a backend gets new sessions, if it is up; and if not, since how long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Admission {
    Open,
    Draining(Duration),
    /// It is no longer configured, and has sessions still.
    Removed(Duration),
}

/// A backend of now. Times are how long ago something was.
#[derive(Debug, Clone)]
pub(crate) struct BackendSnapshot {
    /// Its URL, without what may be secret.
    pub(crate) name: Arc<str>,
    pub(crate) up: bool,
    /// How long it has been up, or down.
    pub(crate) since: Duration,
    pub(crate) admission: Admission,
    pub(crate) sessions: usize,
    /// Dials under way.
    pub(crate) dialling: usize,
    pub(crate) dials: Dials,
    /// Sessions whose connection to the backend broke.
    pub(crate) lost: u64,
    pub(crate) last_error: Option<(Arc<str>, Duration)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dials_are_counted_by_outcome_and_by_how_long_they_took() {
        let mut dials = Dials::default();
        dials.count(DialOutcome::Opened, Duration::from_millis(1));
        dials.count(DialOutcome::Refused, Duration::from_millis(2));
        dials.count(DialOutcome::TimedOut, Duration::from_secs(10));
        dials.count(DialOutcome::Abandoned, Duration::from_millis(1));
        dials.count(DialOutcome::OutOfFiles, Duration::from_millis(1));
        assert_eq!(DialOutcome::ALL.map(|outcome| dials.of(outcome)), [1, 1, 0, 0, 1, 1, 1]);
        let cumulative: Vec<_> = dials.cumulative().collect();
        assert_eq!(cumulative[..2], [(0.001, 1), (0.0025, 2)]);
        assert_eq!(cumulative.last(), Some(&(5.0, 2)));
        assert_eq!((dials.timed(), dials.total()), (3, Duration::from_millis(10_003)));
        let twice = &mut dials.clone();
        twice.add(&dials);
        assert_eq!((twice.timed(), twice.total()), (6, Duration::from_millis(20_006)));
        assert_eq!(twice.cumulative().last(), Some((5.0, 4)));
    }
}
