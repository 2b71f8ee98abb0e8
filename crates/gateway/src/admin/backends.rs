//! `/backends`: the backends of each route, for people and scripts.

use std::{collections::BTreeMap, time::Duration};

use serde::Serialize;

use super::shown::Shown;
use crate::pool::{
    pool::PoolSnapshot,
    snapshot::{Admission, BackendSnapshot, DialOutcome},
    traffic::{Flow, Traffic},
};

#[derive(Debug, Serialize)]
pub(super) struct Backends<'a> {
    routes: Vec<Route<'a>>,
}

#[derive(Debug, Serialize)]
struct Route<'a> {
    path: &'a str,
    ready: bool,
    backends: Vec<Backend<'a>>,
}

#[derive(Debug, Serialize)]
struct Backend<'a> {
    url: &'a str,
    up: bool,
    /// How long it has been up, or down.
    up_or_down_seconds: u64,
    admission: &'static str,
    /// How long it gets no new sessions.
    #[serde(skip_serializing_if = "Option::is_none")]
    admission_seconds: Option<u64>,
    sessions: usize,
    dialling: usize,
    dials: BTreeMap<&'static str, u64>,
    lost: u64,
    to_backend: Passed,
    from_backend: Passed,
    last_error: Option<LastError<'a>>,
}

#[derive(Debug, Serialize)]
struct Passed {
    messages: u64,
    bytes: u64,
}

#[derive(Debug, Serialize)]
struct LastError<'a> {
    text: &'a str,
    seconds_ago: u64,
}

impl<'a> From<&'a Shown> for Backends<'a> {
    fn from(shown: &'a Shown) -> Self {
        Self { routes: shown.pools.iter().map(Route::from).collect() }
    }
}

impl<'a> From<&'a PoolSnapshot> for Route<'a> {
    fn from(pool: &'a PoolSnapshot) -> Self {
        let backends = pool.backends.iter().map(|(backend, traffic)| Backend::new(backend, traffic));
        Self { path: &pool.route, ready: pool.ready, backends: backends.collect() }
    }
}

impl<'a> Backend<'a> {
    fn new(backend: &'a BackendSnapshot, traffic: &Traffic) -> Self {
        let (admission, since) = match backend.admission {
            Admission::Open => ("open", None),
            Admission::Draining(since) => ("draining", Some(since)),
            Admission::Removed(since) => ("removed", Some(since)),
        };
        let dials = DialOutcome::ALL.map(|outcome| (outcome.name(), backend.dials.of(outcome)));
        Self {
            url: &backend.name,
            up: backend.up,
            up_or_down_seconds: backend.since.as_secs(),
            admission,
            admission_seconds: since.map(|since: Duration| since.as_secs()),
            sessions: backend.sessions,
            dialling: backend.dialling,
            dials: dials.into(),
            lost: backend.lost,
            to_backend: Passed::from(&traffic.to_backend),
            from_backend: Passed::from(&traffic.from_backend),
            last_error: backend
                .last_error
                .as_ref()
                .map(|(text, ago)| LastError { text, seconds_ago: ago.as_secs() }),
        }
    }
}

impl From<&Flow> for Passed {
    fn from(flow: &Flow) -> Self {
        Self { messages: flow.messages(), bytes: flow.bytes() }
    }
}
