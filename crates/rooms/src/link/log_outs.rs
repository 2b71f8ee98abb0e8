//! Log-outs that may not have reached all nodes: what is seen of the user's sessions there later is closed again.

use std::collections::HashSet;

use tokio::time::Instant;

use crate::{node::end::End, nodes::protocol::TabId};

/// How often a log-out is repeated, a quarter of `dead_after` apart.
const TIMES: u8 = 3;
/// Log-outs of more sessions together are not repeated.
const MAX_TABS: usize = 10_000;

/// A log-out, and the sessions of the user that were known on other nodes: one that comes later has logged in again.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LogOut<U> {
    pub(super) user: U,
    pub(super) tabs: HashSet<TabId>,
    pub(super) end: End,
}

#[derive(Debug)]
pub(super) struct LogOuts<U> {
    waiting: Vec<Waiting<U>>,
    tabs: usize,
}

#[derive(Debug)]
pub(super) struct Waiting<U> {
    pub(super) log_out: LogOut<U>,
    due: Instant,
    left: u8,
}

impl<U> Default for LogOuts<U> {
    fn default() -> Self {
        Self { waiting: Vec::new(), tabs: 0 }
    }
}

impl<U> LogOuts<U> {
    /// Returns what is not repeated, to be dropped outside of the lock.
    pub(super) fn add(&mut self, log_out: LogOut<U>, due: Instant) -> Option<LogOut<U>> {
        self.push(Waiting { log_out, due, left: TIMES })
    }

    fn push(&mut self, waiting: Waiting<U>) -> Option<LogOut<U>> {
        let tabs = self.tabs + waiting.log_out.tabs.len();
        if waiting.log_out.tabs.is_empty() || tabs > MAX_TABS {
            return Some(waiting.log_out);
        }
        self.tabs = tabs;
        self.waiting.push(waiting);
        None
    }

    /// Puts back what is to be repeated once more then. Returns what is not.
    pub(super) fn again(&mut self, waiting: Waiting<U>, due: Instant) -> Option<LogOut<U>> {
        let left = waiting.left - 1;
        if left == 0 { Some(waiting.log_out) } else { self.push(Waiting { due, left, ..waiting }) }
    }

    pub(super) fn take_due(&mut self, now: Instant) -> Vec<Waiting<U>> {
        let (due, waiting): (Vec<_>, _) =
            std::mem::take(&mut self.waiting).into_iter().partition(|waiting| waiting.due <= now);
        self.waiting = waiting;
        self.tabs -= due.iter().map(|waiting| waiting.log_out.tabs.len()).sum::<usize>();
        due
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.waiting.iter().map(|waiting| waiting.due).min()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn log_out(tabs: std::ops::Range<u128>) -> LogOut<u8> {
        LogOut { user: 1, tabs: tabs.collect(), end: End { code: 4001, reason: "".into(), except: None } }
    }

    #[test]
    fn what_is_to_be_repeated_is_bounded() {
        let now = Instant::now();
        let second = Duration::from_secs(1);
        let mut all = LogOuts::default();
        assert_eq!(all.add(log_out(0..0), now), Some(log_out(0..0)));
        assert_eq!(all.next_due(), None, "nothing is there to be closed");
        assert_eq!(all.add(log_out(0..6_000), now + second), None);
        assert_eq!(all.add(log_out(0..6_000), now), Some(log_out(0..6_000)));
        assert_eq!((all.next_due(), all.tabs), (Some(now + second), 6_000));
        assert_eq!(all.add(log_out(0..4_000), now + 2 * second), None);
        assert_eq!(all.take_due(now + second).len(), 1);
        assert_eq!((all.next_due(), all.tabs), (Some(now + 2 * second), 4_000));
        assert_eq!(all.add(log_out(0..6_000), now), None);
        assert_eq!((all.take_due(now + 2 * second).len(), all.tabs), (2, 0));
    }
}
