//! What a pool, its leases and its checks have in common: the one lock around the state.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{sync::Notify, task::AbortHandle, time::Instant};
use tracing::{error, info, warn};

use super::{
    health::Seen,
    snapshot::DialOutcome,
    state::{Event, Key, Pick, State, What},
    traffic::{EndedSessions, Traffic},
};
use crate::config::backend::Health;

/// An error is told by so many bytes at the most: it may quote the backend.
const MAX_ERROR_BYTES: usize = 300;

/// So far apart are lines that say the same, at the least.
const LOG_PAUSE: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(super) struct Shared<D> {
    pub(super) route: Arc<str>,
    inner: Mutex<Inner<D>>,
    pub(super) ended: EndedSessions,
}

#[derive(Debug)]
pub(super) struct Inner<D> {
    pub(super) state: State,
    /// One for each backend of the state.
    pub(super) entries: HashMap<Key, BackendEntry<D>>,
    pub(super) open_timeout: Duration,
    pub(super) connect_timeout: Duration,
    pub(super) health: Health,
    pub(super) out_of_files_told: Option<std::time::Instant>,
    /// Whether backends are checked.
    pub(super) started: bool,
}

/// What belongs to a backend beside its state.
#[derive(Debug)]
pub(super) struct BackendEntry<D> {
    pub(super) name: Arc<str>,
    /// None for one that is no longer configured.
    pub(super) connector: Option<Arc<D>>,
    pub(super) traffic: Arc<Traffic>,
    /// Asks for a check ahead of its time.
    pub(super) check_now: Arc<Notify>,
    pub(super) checks: Option<Checks>,
}

/// The task that checks a backend, which ends with this.
#[derive(Debug)]
pub(super) struct Checks(pub(super) AbortHandle);

impl Drop for Checks {
    fn drop(&mut self) {
        self.0.abort();
    }
}

impl<D> Shared<D> {
    pub(super) fn new(route: Arc<str>, inner: Inner<D>) -> Self {
        Self { route, inner: Mutex::new(inner), ended: EndedSessions::default() }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Inner<D>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn dialled(&self, pick: Pick, outcome: DialOutcome, took: Duration, error: Option<String>) {
        let (error, now) = (error.map(short), now());
        let (events, forgotten) = {
            let mut inner = self.lock();
            let events = inner.state.dialled(pick, now, outcome, took, error);
            let forgotten = inner.forget_the_removed(&events);
            (events, forgotten)
        };
        drop(forgotten);
        self.log(&events);
    }

    pub(super) fn session_ended(&self, key: Key) {
        let (events, forgotten) = {
            let mut inner = self.lock();
            let events = inner.state.ended(key);
            let forgotten = inner.forget_the_removed(&events);
            (events, forgotten)
        };
        drop(forgotten);
        self.log(&events);
    }

    /// Counts a connection that broke, and has the backend checked soon.
    pub(super) fn session_lost(&self, key: Key, error: String) {
        let (error, now) = (short(error), now());
        let check_now = {
            let mut inner = self.lock();
            inner.state.lost(key, now, error);
            inner.entries.get(&key).map(|entry| entry.check_now.clone())
        };
        if let Some(check_now) = check_now {
            check_now.notify_one();
        }
    }

    pub(super) fn needs_handshake(&self, key: Key) -> bool {
        self.lock().state.needs_handshake(key)
    }

    pub(super) fn checked(&self, key: Key, outcome: Result<Seen, String>) {
        let (outcome, now) = (outcome.map_err(short), now());
        let event = self.lock().state.checked(key, now, outcome);
        self.log(event.as_slice());
    }

    /// Tells of a dial or a check that the gateway had no file descriptor for: there may be thousands in a second.
    pub(super) fn out_of_files(&self, error: &dyn fmt::Display) {
        if is_due(&mut self.lock().out_of_files_told, now()) {
            let route = &*self.route;
            error!(route, %error, "no backend can be dialled: the gateway has no file descriptors left");
        }
    }

    pub(super) fn log(&self, events: &[Event]) {
        let route = &*self.route;
        for Event { name: backend, what } in events {
            match what {
                What::Up => info!(route, %backend, "the backend is up"),
                What::Down(error) => {
                    let error = error.as_deref().unwrap_or("none was told");
                    warn!(route, %backend, error, "the backend is down: it gets no sessions while another one is up");
                }
                What::Empty => info!(route, %backend, "the backend that drains has no sessions left"),
            }
        }
    }
}

impl<D> Inner<D> {
    /// Takes the entries out that no backend has any more: they are dropped without the lock.
    pub(super) fn forget_the_removed(&mut self, events: &[Event]) -> Vec<BackendEntry<D>> {
        if !events.iter().any(|event| event.what == What::Empty) {
            return Vec::new();
        }
        let gone: Vec<Key> = self.entries.keys().copied().filter(|&key| !self.state.knows(key)).collect();
        gone.into_iter().filter_map(|key| self.entries.remove(&key)).collect()
    }
}

/// The time for the state. It follows a clock that a test has paused.
pub(super) fn now() -> std::time::Instant {
    Instant::now().into_std()
}

/// Whether to tell again, and if so, from now on not for a second.
fn is_due(told: &mut Option<std::time::Instant>, now: std::time::Instant) -> bool {
    let is_due = told.is_none_or(|told| now.saturating_duration_since(told) >= LOG_PAUSE);
    if is_due {
        *told = Some(now);
    }
    is_due
}

fn short(mut error: String) -> Arc<str> {
    if error.len() > MAX_ERROR_BYTES {
        let end = (0..=MAX_ERROR_BYTES).rev().find(|&end| error.is_char_boundary(end)).unwrap_or_default();
        error.truncate(end);
        error.push('…');
    }
    error.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_happen_thousands_of_times_is_told_once_a_second() {
        let (start, mut told) = (now(), None);
        let at = |millis| start + Duration::from_millis(millis);
        let due = [0, 1, 999, 1000, 1500, 1999, 2000].map(|millis| is_due(&mut told, at(millis)));
        assert_eq!(due, [true, false, false, true, false, false, true]);
    }

    #[test]
    fn a_long_error_is_cut_between_characters() {
        assert_eq!(&*short("reset".to_owned()), "reset");
        let cut = short("é".repeat(1000) + "x");
        assert_eq!(&*cut, "é".repeat(MAX_ERROR_BYTES / 2) + "…");
        assert_eq!(&*short("x".to_owned() + &"é".repeat(1000)), "x".to_owned() + &"é".repeat(149) + "…");
    }
}
