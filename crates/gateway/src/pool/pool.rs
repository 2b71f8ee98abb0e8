//! The backends of a route, as many tasks use them.

use std::{collections::HashMap, error::Error, fmt, sync::Arc, time::Duration};

use axum::response::{IntoResponse, Response};
use http::StatusCode;
use tokio::time::{Instant, timeout_at};

use super::{
    checks::{self, Settings},
    dial::{Dial, DialFailure, Probe},
    lease::{Dialling, Lease},
    members::Members,
    shared::{BackendEntry, Checks, Inner, Shared, now},
    snapshot::{BackendSnapshot, DialOutcome},
    state::{Key, State},
    traffic::Traffic,
};
use crate::{
    backend::{connector::Connector, dial_error::DialError},
    config::backend::Check,
};

/// Why a session has no backend.
#[derive(Debug)]
pub(crate) enum OpenError<E> {
    /// Each backend drains.
    NoBackend,
    /// The gateway has no file descriptors left.
    OutOfFiles,
    /// `open_timeout` has passed.
    TimedOut(Duration),
    /// The backend has refused the client, or the last one that was tried has failed.
    Dial(E),
}

impl<E: fmt::Display> fmt::Display for OpenError<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoBackend => f.write_str("no backend takes sessions: all of them drain"),
            Self::OutOfFiles => f.write_str("the gateway has no file descriptors left"),
            Self::TimedOut(timeout) => write!(f, "no backend could be reached within {timeout:?}"),
            Self::Dial(error) => error.fmt(f),
        }
    }
}

impl<E: Error> Error for OpenError<E> {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::NoBackend | Self::OutOfFiles | Self::TimedOut(_) => None,
            Self::Dial(error) => error.source(),
        }
    }
}

impl IntoResponse for OpenError<DialError> {
    fn into_response(self) -> Response {
        match self {
            Self::NoBackend => (StatusCode::BAD_GATEWAY, "No backend takes sessions\n").into_response(),
            Self::OutOfFiles => {
                (StatusCode::SERVICE_UNAVAILABLE, "The gateway has no room for the session\n").into_response()
            }
            Self::TimedOut(_) => DialError::TimedOut.into_response(),
            Self::Dial(error) => error.into_response(),
        }
    }
}

/// The backends of a route. Dropping it ends the checks; sessions go on.
#[derive(Debug)]
pub(crate) struct Pool<D = Connector> {
    shared: Arc<Shared<D>>,
}

impl<D: Probe> Pool<D> {
    /// A pool that checks nothing before it has been [started](Self::start).
    pub(crate) fn new(route: &str, members: Members<D>) -> Self {
        let inner = Inner {
            state: State::new(members.balance, members.rules),
            entries: HashMap::new(),
            open_timeout: members.open_timeout,
            connect_timeout: members.connect_timeout,
            health: members.health.clone(),
            out_of_files_told: None,
            started: false,
        };
        let pool = Self { shared: Arc::new(Shared::new(route.into(), inner)) };
        pool.replace(members);
        pool
    }

    /// Begins to check the backends, if the configuration says so. It needs a runtime.
    pub(crate) fn start(&self) {
        self.shared.lock().started = true;
        self.check_all();
    }

    /// Goes on with the backends of a new configuration: one call at a time. A backend whose URL stays is what it was: up
    /// or down, with its sessions. Those of one that is gone go on. Dials under way end as they began.
    pub(crate) fn replace(&self, members: Members<D>) {
        let Members { members, balance, rules, health, open_timeout, connect_timeout } = members;
        let (members, connectors): (Vec<_>, Vec<_>) = members.into_iter().unzip();
        let now = now();
        let (events, old) = {
            let mut inner = self.shared.lock();
            let (keys, events) = inner.state.replace(now, balance, rules, &members);
            (inner.open_timeout, inner.connect_timeout, inner.health) =
                (open_timeout, connect_timeout, health);
            // They are dropped without the lock.
            let mut old: (Vec<Option<Arc<D>>>, Vec<Option<Checks>>) =
                inner.entries.values_mut().map(|entry| (entry.connector.take(), entry.checks.take())).unzip();
            for ((key, member), connector) in keys.into_iter().zip(members).zip(connectors) {
                let entry = inner.entries.entry(key).or_insert_with(|| BackendEntry {
                    name: member.name.clone(),
                    connector: None,
                    traffic: Arc::default(),
                    check_now: Arc::default(),
                    checks: None,
                });
                entry.name = member.name;
                entry.connector = Some(connector);
            }
            let gone = inner.forget_the_removed(&events);
            old.0.extend(gone.into_iter().map(|entry| entry.connector));
            (events, old)
        };
        drop(old);
        self.shared.log(&events);
        self.check_all();
    }

    fn check_all(&self) {
        let (settings, entries) = {
            let inner = self.shared.lock();
            if !inner.started || inner.health.check == Check::Off {
                return;
            }
            let configured = |(&key, entry): (&Key, &BackendEntry<D>)| {
                Some((key, entry.connector.clone()?, entry.check_now.clone()))
            };
            (
                Settings { health: inner.health.clone(), connect_timeout: inner.connect_timeout },
                inner.entries.iter().filter_map(configured).collect::<Vec<_>>(),
            )
        };
        // A task is begun without the lock, since that wakes a thread.
        for (key, connector, check_now) in entries {
            let task =
                checks::check(Arc::downgrade(&self.shared), key, connector, settings.clone(), check_now);
            let checks = Checks(tokio::spawn(task).abort_handle());
            let before = match self.shared.lock().entries.get_mut(&key) {
                Some(entry) => entry.checks.replace(checks),
                None => Some(checks),
            };
            drop(before);
        }
    }

    /// Dials one backend after the other until one takes the session, or refuses it.
    ///
    /// # Errors
    /// The backend has [refused](DialOutcome::Refused) the client; or all have failed, of which the last one is told;
    /// or `open_timeout` has passed; or the gateway has no file descriptors left, for any of them.
    ///
    /// # Cancel safety
    /// Dropping it closes the connection, and gives the place at the backend back.
    pub(crate) async fn open<O>(&self, opening: &O) -> Result<(D::Socket, Lease<D>), OpenError<D::Error>>
    where
        D: Dial<O>,
    {
        let open_timeout = self.shared.lock().open_timeout;
        let deadline = Instant::now() + open_timeout;
        let mut tried: Vec<Key> = Vec::new();
        let mut last = None;
        while let Some(Picked { dialling, connector, name, traffic }) = self.pick(&tried) {
            let key = dialling.key();
            match timeout_at(deadline, connector.dial(opening)).await {
                Ok(Ok(socket)) => return Ok((socket, dialling.opened(name, traffic))),
                Ok(Err(error)) => {
                    let outcome = error.outcome();
                    if outcome == DialOutcome::OutOfFiles {
                        dialling.out_of_files();
                        self.shared.out_of_files(&error);
                        return Err(OpenError::OutOfFiles);
                    }
                    dialling.failed(outcome, error.to_string());
                    if outcome == DialOutcome::Refused {
                        return Err(OpenError::Dial(error));
                    }
                    last = Some(error);
                }
                Err(_) => {
                    // It had all the time that there was; another one had what was left, and may be well.
                    if tried.is_empty() {
                        let error = format!("no connection within {open_timeout:?}");
                        dialling.failed(DialOutcome::TimedOut, error);
                    }
                    return Err(OpenError::TimedOut(open_timeout));
                }
            }
            tried.push(key);
        }
        Err(last.map_or(OpenError::NoBackend, OpenError::Dial))
    }

    fn pick(&self, tried: &[Key]) -> Option<Picked<D>> {
        let now = now();
        let (pick, entry) = {
            let mut inner = self.shared.lock();
            let pick = inner.state.pick(now, tried)?;
            let entry = inner
                .entries
                .get(&pick.key)
                .map(|entry| (entry.connector.clone(), entry.name.clone(), entry.traffic.clone()));
            (pick, entry)
        };
        let dialling = Dialling::new(self.shared.clone(), pick);
        // What may be picked has an entry, with a connector.
        let (connector, name, traffic) = entry?;
        Some(Picked { dialling, connector: connector?, name, traffic })
    }

    pub(crate) fn snapshot(&self) -> PoolSnapshot {
        let now = now();
        let inner = self.shared.lock();
        let (ready, is_configured) = (inner.state.is_ready(now), inner.state.is_configured());
        let backends = inner.state.snapshot(now);
        let backends = backends
            .into_iter()
            .map(|(key, backend)| {
                let traffic = inner.entries.get(&key).map(|entry| entry.traffic.clone());
                (backend, traffic.unwrap_or_default())
            })
            .collect();
        drop(inner);
        PoolSnapshot {
            route: self.shared.route.clone(),
            ready,
            is_configured,
            backends,
            ended: self.shared.ended.all(),
        }
    }
}

impl<D> Drop for Pool<D> {
    fn drop(&mut self) {
        let checks: Vec<_> =
            self.shared.lock().entries.values_mut().map(|entry| entry.checks.take()).collect();
        drop(checks);
    }
}

/// What is shown of a pool.
#[derive(Debug, Clone)]
pub(crate) struct PoolSnapshot {
    pub(crate) route: Arc<str>,
    /// Whether a backend is up, or down and due to be tried by the next session.
    pub(crate) ready: bool,
    /// Whether there is a backend in the configuration: a route that was removed has none.
    pub(crate) is_configured: bool,
    pub(crate) backends: Vec<(BackendSnapshot, Arc<Traffic>)>,
    /// The sessions that have ended: by whom, with which class of close codes, and how many.
    pub(crate) ended: Vec<(&'static str, &'static str, u64)>,
}

/// A dial that is about to begin.
struct Picked<D> {
    dialling: Dialling<D>,
    connector: Arc<D>,
    name: Arc<str>,
    traffic: Arc<Traffic>,
}

#[cfg(test)]
mod tests;
