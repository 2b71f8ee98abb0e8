//! The backends of a route as a state machine: no IO, no clock, no runtime.
//!
//! A dial holds a place at its backend from [`State::pick`] until its outcome is told, and a session from then until it
//! ends: that is what "least sessions" counts, so that sessions that open at once spread as well.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use super::{
    health::{BackendHealth, Change, Rules, Seen},
    snapshot::{Admission, BackendSnapshot, DialOutcome, Dials},
};
use crate::config::backend::Balance;

/// Names a backend for as long as its URL stays in the configuration, and its sessions last.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub(crate) struct Key(u64);

/// A dial that has a place at a backend. Its outcome is told once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pick {
    pub(super) key: Key,
    dial: u64,
}

/// What the configuration says of a backend.
#[derive(Debug, Clone)]
pub(super) struct Member {
    /// A backend of the same URL is the same one.
    pub(super) url: Arc<str>,
    /// How it is shown: without what may be secret.
    pub(super) name: Arc<str>,
    pub(super) drain: bool,
}

/// What is worth a line in the log.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Event {
    pub(super) name: Arc<str>,
    pub(super) what: What,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum What {
    Up,
    Down(Option<Arc<str>>),
    /// The last session of one that drains, or is no longer configured, has gone.
    Empty,
}

#[derive(Debug)]
pub(super) struct State {
    balance: Balance,
    rules: Rules,
    /// In the order of the configuration, then those that are no longer in it and still have sessions.
    backends: Vec<Backend>,
    /// The one that was picked last.
    last: Option<Key>,
    next_number: u64,
}

#[derive(Debug)]
struct Backend {
    key: Key,
    member: Member,
    health: BackendHealth,
    leaving: Option<Leaving>,
    dialling: usize,
    sessions: usize,
    dials: Dials,
    lost: u64,
    last_error: Option<(Arc<str>, Instant)>,
}

/// It gets no more sessions.
#[derive(Debug, Clone, Copy)]
struct Leaving {
    since: Instant,
    /// Whether it is no longer in the configuration.
    removed: bool,
    /// Whether it was told that its last session has gone.
    told: bool,
}

/// Why a backend may be picked, the best reason first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Reason {
    Well,
    Trial,
    LastResort,
}

impl State {
    pub(super) fn new(balance: Balance, rules: Rules) -> Self {
        Self { balance, rules, backends: Vec::new(), last: None, next_number: 0 }
    }

    /// Takes the settings of a new configuration, and returns the keys of its backends in its order. What is known of a
    /// backend whose URL stays is kept.
    pub(super) fn replace(
        &mut self,
        now: Instant,
        balance: Balance,
        rules: Rules,
        members: &[Member],
    ) -> (Vec<Key>, Vec<Event>) {
        (self.balance, self.rules) = (balance, rules);
        let mut old = std::mem::take(&mut self.backends);
        for member in members {
            let place = old.iter().position(|backend| backend.member.url == member.url);
            let mut backend = match place {
                Some(place) => old.remove(place),
                None => Backend::new(Key(self.number()), member.clone(), now),
            };
            backend.member = member.clone();
            let draining = backend.leaving.filter(|leaving| !leaving.removed);
            let draining = draining.unwrap_or(Leaving { since: now, removed: false, told: false });
            backend.leaving = member.drain.then_some(draining);
            self.backends.push(backend);
        }
        let keys = self.backends.iter().map(|backend| backend.key).collect();
        for mut backend in old {
            let leaving = Leaving { since: now, removed: true, told: false };
            backend.leaving = Some(backend.leaving.filter(|leaving| leaving.removed).unwrap_or(leaving));
            self.backends.push(backend);
        }
        let all: Vec<Key> = self.backends.iter().map(|backend| backend.key).collect();
        let events = all.into_iter().flat_map(|key| self.emptied(key)).collect();
        (keys, events)
    }

    /// Returns the backend for a session that opens and has `tried` these, and a place at it.
    ///
    /// Those that are up share the sessions by the balance, and so does one that is down and due to be tried. Where none
    /// is left, those that are down are a last resort: a try is better than a certain refusal. One that drains gets
    /// nothing.
    pub(super) fn pick(&mut self, now: Instant, tried: &[Key]) -> Option<Pick> {
        let start = self
            .backends
            .iter()
            .position(|backend| Some(backend.key) == self.last)
            .map_or(0, |last| last + 1);
        let count = self.backends.len();
        let in_turn = (0..count).map(|offset| (start + offset) % count);
        let candidates = in_turn.filter_map(|place| {
            let backend = &self.backends[place];
            let open = backend.leaving.is_none() && !tried.contains(&backend.key);
            open.then(|| (place, backend.reason(now, self.rules)))
        });
        let load = |place: usize| match self.balance {
            Balance::RoundRobin => 0,
            Balance::LeastSessions => self.backends[place].load(),
        };
        // Among equals the first one in turn.
        let (place, reason) =
            candidates.min_by_key(|&(place, reason)| (reason == Reason::LastResort, load(place)))?;
        let dial = self.number();
        let backend = &mut self.backends[place];
        backend.dialling += 1;
        if reason == Reason::Trial {
            backend.health.begin_trial(dial);
        }
        self.last = Some(backend.key);
        Some(Pick { key: backend.key, dial })
    }

    /// A dial has ended with this outcome. The place of one that has [opened](DialOutcome::Opened) becomes that of a session.
    pub(super) fn dialled(
        &mut self,
        pick: Pick,
        now: Instant,
        outcome: DialOutcome,
        took: Duration,
        error: Option<Arc<str>>,
    ) -> Vec<Event> {
        let rules = self.rules;
        let Some(backend) = self.backend(pick.key) else { return Vec::new() };
        backend.dialling -= 1;
        backend.dials.count(outcome, took);
        if let Some(error) = error {
            backend.last_error = Some((error, now));
        }
        let change = match outcome {
            DialOutcome::Opened => {
                backend.sessions += 1;
                backend.health.dial_succeeded(now, rules)
            }
            // It answers, though not with a WebSocket. If that counted, one client that knows what makes a backend
            // fail could take out all of them.
            DialOutcome::Refused | DialOutcome::Unavailable => backend.health.dial_succeeded(now, rules),
            DialOutcome::Failed | DialOutcome::TimedOut => backend.health.dial_failed(now, rules),
            DialOutcome::Abandoned | DialOutcome::OutOfFiles => None,
        };
        backend.health.end_trial(pick.dial);
        let mut events: Vec<Event> = change.map(|change| backend.event(change)).into_iter().collect();
        events.extend(self.emptied(pick.key));
        events
    }

    /// A session has ended.
    pub(super) fn ended(&mut self, key: Key) -> Vec<Event> {
        let Some(backend) = self.backend(key) else { return Vec::new() };
        backend.sessions -= 1;
        self.emptied(key).into_iter().collect()
    }

    /// A session has lost its connection to the backend. That is counted, and no failure of the backend's: each of its
    /// sessions tells the same event, and the next dial or check tells whether the backend is well.
    pub(super) fn lost(&mut self, key: Key, now: Instant, error: Arc<str>) {
        if let Some(backend) = self.backend(key) {
            backend.lost += 1;
            backend.last_error = Some((error, now));
        }
    }

    /// A check has ended, with what is wrong if it failed.
    pub(super) fn checked(
        &mut self,
        key: Key,
        now: Instant,
        outcome: Result<Seen, Arc<str>>,
    ) -> Option<Event> {
        let rules = self.rules;
        let backend = self.backend(key)?;
        let change = match outcome {
            Ok(seen) => backend.health.check_passed(now, rules, seen),
            Err(error) => {
                backend.last_error = Some((error, now));
                backend.health.check_failed(now, rules)
            }
        };
        change.map(|change| backend.event(change))
    }

    /// Whether the next session has a good chance: a backend is up, or down and due to be tried.
    pub(super) fn is_ready(&self, now: Instant) -> bool {
        let is_good = |backend: &Backend| {
            backend.leaving.is_none() && backend.reason(now, self.rules) != Reason::LastResort
        };
        self.backends.iter().any(is_good)
    }

    /// Whether one is in the configuration.
    pub(super) fn is_configured(&self) -> bool {
        self.backends.iter().any(|backend| backend.leaving.is_none_or(|leaving| !leaving.removed))
    }

    /// Whether a check has to see a handshake to bring this backend back.
    pub(super) fn needs_handshake(&self, key: Key) -> bool {
        self.backends.iter().any(|backend| backend.key == key && backend.health.needs_handshake())
    }

    pub(super) fn knows(&self, key: Key) -> bool {
        self.backends.iter().any(|backend| backend.key == key)
    }

    pub(super) fn snapshot(&self, now: Instant) -> Vec<(Key, BackendSnapshot)> {
        let ago = |then: Instant| now.saturating_duration_since(then);
        let show = |backend: &Backend| {
            let snapshot = BackendSnapshot {
                name: backend.member.name.clone(),
                up: backend.health.is_up(),
                since: ago(backend.health.since()),
                admission: match backend.leaving {
                    None => Admission::Open,
                    Some(Leaving { since, removed: false, .. }) => Admission::Draining(ago(since)),
                    Some(Leaving { since, removed: true, .. }) => Admission::Removed(ago(since)),
                },
                sessions: backend.sessions,
                dialling: backend.dialling,
                dials: backend.dials,
                lost: backend.lost,
                last_error: backend.last_error.clone().map(|(error, at)| (error, ago(at))),
            };
            (backend.key, snapshot)
        };
        self.backends.iter().map(show).collect()
    }

    fn number(&mut self) -> u64 {
        self.next_number += 1;
        self.next_number
    }

    fn backend(&mut self, key: Key) -> Option<&mut Backend> {
        self.backends.iter_mut().find(|backend| backend.key == key)
    }

    /// Tells once that a backend that gets no more sessions has none left, and forgets one that is not configured.
    fn emptied(&mut self, key: Key) -> Option<Event> {
        let place = self.backends.iter().position(|backend| backend.key == key)?;
        let backend = &mut self.backends[place];
        let leaving = backend.leaving.as_mut().filter(|_| backend.sessions + backend.dialling == 0)?;
        let (removed, told) = (leaving.removed, std::mem::replace(&mut leaving.told, true));
        let name = backend.member.name.clone();
        if removed {
            self.backends.remove(place);
        }
        (!told).then_some(Event { name, what: What::Empty })
    }
}

impl Backend {
    fn new(key: Key, member: Member, now: Instant) -> Self {
        Self {
            key,
            member,
            health: BackendHealth::new(now),
            leaving: None,
            dialling: 0,
            sessions: 0,
            dials: Dials::default(),
            lost: 0,
            last_error: None,
        }
    }

    fn load(&self) -> usize {
        self.dialling + self.sessions
    }

    fn reason(&self, now: Instant, rules: Rules) -> Reason {
        if self.health.is_up() {
            Reason::Well
        } else if self.health.is_trial_due(now, rules) {
            Reason::Trial
        } else {
            Reason::LastResort
        }
    }

    fn event(&self, change: Change) -> Event {
        let what = match change {
            Change::Up => What::Up,
            Change::Down => What::Down(self.last_error.as_ref().map(|(error, _)| error.clone())),
        };
        Event { name: self.member.name.clone(), what }
    }
}

#[cfg(test)]
mod tests;
