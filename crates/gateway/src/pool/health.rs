//! Whether a backend is up or down, by what dials and checks have said of it.
//!
//! ```text
//!        `fall` dials in a row fail, or `fall` checks in a row
//!   up ──────────────────────────────────────────────────────▶ down
//!      ◀──────────────────────────────────────────────────────
//!        what checks took out: `rise` checks in a row pass
//!        what dials took out: a dial succeeds, or `rise` checks in a row that see a handshake
//!        where nobody checks: a dial succeeds
//! ```
//!
//! Dials and checks have a row each: that a port accepts connections does not mean that its handshakes succeed. The system
//! accepts them for a process that is frozen, too.

use std::time::{Duration, Instant};

use crate::config::backend::{Check, Health};

/// What takes a backend out, and what brings it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Rules {
    fall: u32,
    rise: u32,
    /// Where nobody checks: how long after its last failure a backend is tried by a session.
    trial_after: Option<Duration>,
}

impl From<&Health> for Rules {
    fn from(health: &Health) -> Self {
        Self {
            fall: health.fall,
            rise: health.rise,
            trial_after: (health.check == Check::Off).then_some(health.interval),
        }
    }
}

/// What a check that has passed has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Seen {
    /// A port that accepts connections, or an answer of HTTP.
    Port,
    /// An answer to the handshake of a WebSocket.
    Handshake,
}

/// What has taken a backend out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum By {
    Dials,
    Checks,
}

/// How a backend has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Change {
    Up,
    Down,
}

#[derive(Debug)]
pub(super) struct BackendHealth {
    since: Instant,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    Up {
        /// Those in a row that have failed.
        dials: u32,
        checks: u32,
    },
    Down {
        by: By,
        last_failure: Instant,
        /// The checks in a row that it has passed.
        passed: u32,
        /// The dial that tries whether it is back.
        trial: Option<u64>,
    },
}

const WELL: Phase = Phase::Up { dials: 0, checks: 0 };

impl BackendHealth {
    /// A backend that nothing is known of is up.
    pub(super) fn new(now: Instant) -> Self {
        Self { since: now, phase: WELL }
    }

    pub(super) fn is_up(&self) -> bool {
        matches!(self.phase, Phase::Up { .. })
    }

    /// Whether no check brings it back that sees less than a handshake.
    pub(super) fn needs_handshake(&self) -> bool {
        matches!(self.phase, Phase::Down { by: By::Dials, .. })
    }

    /// When it became what it is.
    pub(super) fn since(&self) -> Instant {
        self.since
    }

    /// Whether it is down, and a session may try it.
    pub(super) fn is_trial_due(&self, now: Instant, rules: Rules) -> bool {
        let Phase::Down { last_failure, trial: None, .. } = self.phase else { return false };
        rules.trial_after.is_some_and(|after| now.saturating_duration_since(last_failure) >= after)
    }

    pub(super) fn begin_trial(&mut self, dial: u64) {
        if let Phase::Down { trial, .. } = &mut self.phase {
            *trial = Some(dial);
        }
    }

    /// Another session may try it, if this dial was the trial.
    pub(super) fn end_trial(&mut self, dial: u64) {
        if let Phase::Down { trial, .. } = &mut self.phase {
            if *trial == Some(dial) {
                *trial = None;
            }
        }
    }

    pub(super) fn dial_succeeded(&mut self, now: Instant, rules: Rules) -> Option<Change> {
        match &mut self.phase {
            Phase::Up { dials, .. } => {
                *dials = 0;
                None
            }
            Phase::Down { by: By::Dials, .. } => Some(self.become_up(now)),
            Phase::Down { .. } if rules.trial_after.is_some() => Some(self.become_up(now)),
            // It answers sessions, and fails checks: what they look at decides.
            Phase::Down { .. } => None,
        }
    }

    pub(super) fn dial_failed(&mut self, now: Instant, rules: Rules) -> Option<Change> {
        let Phase::Up { dials, .. } = &mut self.phase else { return self.failed_while_down(now) };
        *dials += 1;
        (*dials >= rules.fall).then(|| self.become_down(By::Dials, now))
    }

    pub(super) fn check_passed(&mut self, now: Instant, rules: Rules, seen: Seen) -> Option<Change> {
        match &mut self.phase {
            Phase::Up { checks, .. } => {
                *checks = 0;
                None
            }
            Phase::Down { by: By::Dials, .. } if seen == Seen::Port => None,
            Phase::Down { passed, .. } => {
                *passed += 1;
                (*passed >= rules.rise).then(|| self.become_up(now))
            }
        }
    }

    pub(super) fn check_failed(&mut self, now: Instant, rules: Rules) -> Option<Change> {
        let Phase::Up { checks, .. } = &mut self.phase else { return self.failed_while_down(now) };
        *checks += 1;
        (*checks >= rules.fall).then(|| self.become_down(By::Checks, now))
    }

    fn failed_while_down(&mut self, now: Instant) -> Option<Change> {
        if let Phase::Down { last_failure, passed, .. } = &mut self.phase {
            (*last_failure, *passed) = (now, 0);
        }
        None
    }

    fn become_up(&mut self, now: Instant) -> Change {
        *self = Self::new(now);
        Change::Up
    }

    fn become_down(&mut self, by: By, now: Instant) -> Change {
        *self = Self { since: now, phase: Phase::Down { by, last_failure: now, passed: 0, trial: None } };
        Change::Down
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const CHECKED: Rules = Rules { fall: 3, rise: 2, trial_after: None };
    const UNCHECKED: Rules = Rules { fall: 2, rise: 2, trial_after: Some(Duration::from_secs(5)) };

    fn down(rules: Rules, now: Instant) -> BackendHealth {
        let mut health = BackendHealth::new(now);
        for _ in 1..rules.fall {
            assert_eq!(health.dial_failed(now, rules), None);
        }
        assert_eq!(health.dial_failed(now, rules), Some(Change::Down));
        assert!(health.needs_handshake());
        health
    }

    fn down_by_checks(now: Instant) -> BackendHealth {
        let mut health = BackendHealth::new(now);
        for _ in 1..CHECKED.fall {
            assert_eq!(health.check_failed(now, CHECKED), None);
        }
        assert_eq!(health.check_failed(now, CHECKED), Some(Change::Down));
        assert!(!health.needs_handshake());
        health
    }

    #[test]
    fn only_failures_in_a_row_take_it_out() {
        let now = Instant::now();
        let mut health = BackendHealth::new(now);
        for _ in 0..3 {
            assert_eq!(health.dial_failed(now, CHECKED), None);
            assert_eq!(health.dial_failed(now, CHECKED), None);
            assert_eq!(health.dial_succeeded(now, CHECKED), None);
            assert_eq!(health.check_failed(now, CHECKED), None);
            assert_eq!(health.check_failed(now, CHECKED), None);
            assert_eq!(health.check_passed(now, CHECKED, Seen::Port), None);
        }
        assert!(health.is_up());
        assert!(!down(CHECKED, now).is_up());
    }

    #[test]
    fn a_port_that_accepts_does_not_hide_handshakes_that_fail() {
        let now = Instant::now();
        let mut health = BackendHealth::new(now);
        for _ in 0..2 {
            assert_eq!(health.dial_failed(now, CHECKED), None);
            assert_eq!(health.check_passed(now, CHECKED, Seen::Port), None);
        }
        assert_eq!(health.dial_failed(now, CHECKED), Some(Change::Down));
        for _ in 0..100 {
            assert_eq!(health.check_passed(now, CHECKED, Seen::Port), None, "nor does it bring it back");
        }
        assert_eq!(health.check_passed(now, CHECKED, Seen::Handshake), None);
        assert_eq!(health.dial_failed(now, CHECKED), None, "which breaks the row");
        assert_eq!(health.check_passed(now, CHECKED, Seen::Handshake), None);
        assert_eq!(health.check_passed(now, CHECKED, Seen::Handshake), Some(Change::Up));
        assert_eq!(down(CHECKED, now).dial_succeeded(now, CHECKED), Some(Change::Up));
    }

    #[test]
    fn checks_in_a_row_bring_it_back() {
        let start = Instant::now();
        let later = start + Duration::from_secs(1);
        let mut health = down_by_checks(start);
        assert_eq!(health.check_passed(later, CHECKED, Seen::Port), None);
        assert_eq!(health.check_failed(later, CHECKED), None);
        assert_eq!(health.check_passed(later, CHECKED, Seen::Port), None);
        assert_eq!(health.dial_failed(later, CHECKED), None, "which breaks the row as well");
        assert_eq!(health.check_passed(later, CHECKED, Seen::Port), None);
        assert_eq!(health.dial_succeeded(later, CHECKED), None, "checks decide");
        assert_eq!(health.since(), start);
        assert_eq!(health.check_passed(later, CHECKED, Seen::Port), Some(Change::Up));
        assert_eq!(health.since(), later);
    }

    #[test]
    fn without_checks_one_session_after_the_other_tries_it() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut health = down(UNCHECKED, start);
        assert!(!health.is_trial_due(at(4), UNCHECKED));
        assert!(health.is_trial_due(at(5), UNCHECKED));
        health.begin_trial(1);
        assert!(!health.is_trial_due(at(9), UNCHECKED), "one is under way");
        health.end_trial(2);
        assert!(!health.is_trial_due(at(9), UNCHECKED), "that was another dial");
        assert_eq!(health.dial_failed(at(9), UNCHECKED), None);
        health.end_trial(1);
        assert!(!health.is_trial_due(at(13), UNCHECKED), "it failed");
        assert!(health.is_trial_due(at(14), UNCHECKED));
        health.begin_trial(3);
        assert_eq!(health.dial_succeeded(at(14), UNCHECKED), Some(Change::Up));
        assert_eq!(health.dial_failed(at(14), UNCHECKED), None, "a new row");
    }

    #[test]
    fn where_it_is_checked_no_session_tries_it() {
        let start = Instant::now();
        assert!(!down(CHECKED, start).is_trial_due(start + Duration::from_secs(3600), CHECKED));
    }
}
