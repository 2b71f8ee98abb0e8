//! A session's place at a backend.

use std::{sync::Arc, time::Duration};

use tokio::time::Instant;

use super::{
    shared::Shared,
    snapshot::DialOutcome,
    state::{Key, Pick},
    traffic::Traffic,
};
use crate::{
    backend::connector::Connector,
    pump::ended::{By, Ended},
};

/// The close code of a session that has ended without one.
const NO_CODE: u16 = 1006;

/// A dial under way. One that is dropped was abandoned.
#[derive(Debug)]
pub(super) struct Dialling<D> {
    shared: Arc<Shared<D>>,
    pick: Pick,
    began: Instant,
    told: bool,
}

impl<D> Dialling<D> {
    pub(super) fn new(shared: Arc<Shared<D>>, pick: Pick) -> Self {
        Self { shared, pick, began: Instant::now(), told: false }
    }

    pub(super) fn key(&self) -> Key {
        self.pick.key
    }

    pub(super) fn opened(mut self, name: Arc<str>, traffic: Arc<Traffic>) -> Lease<D> {
        self.tell(DialOutcome::Opened, None);
        Lease { shared: self.shared.clone(), key: self.pick.key, name, traffic, end: (By::Gateway, NO_CODE) }
    }

    pub(super) fn failed(mut self, outcome: DialOutcome, error: String) {
        self.tell(outcome, Some(error));
    }

    /// The backend has not been asked.
    pub(super) fn out_of_files(mut self) {
        self.tell(DialOutcome::OutOfFiles, None);
    }

    fn tell(&mut self, outcome: DialOutcome, error: Option<String>) {
        self.told = true;
        self.shared.dialled(self.pick, outcome, self.began.elapsed(), error);
    }
}

impl<D> Drop for Dialling<D> {
    fn drop(&mut self) {
        if !self.told {
            self.shared.dialled(self.pick, DialOutcome::Abandoned, Duration::ZERO, None);
        }
    }
}

/// A session at a backend: it counts until this is dropped, also when the backend is no longer configured.
#[derive(Debug)]
#[must_use = "a lease that is dropped is a session that has ended"]
pub(crate) struct Lease<D = Connector> {
    shared: Arc<Shared<D>>,
    key: Key,
    name: Arc<str>,
    traffic: Arc<Traffic>,
    end: (By, u16),
}

impl<D> Lease<D> {
    /// The backend's URL, without what may be secret.
    pub(crate) fn backend(&self) -> &str {
        &self.name
    }

    /// Where its messages are counted.
    pub(crate) fn traffic(&self) -> &Arc<Traffic> {
        &self.traffic
    }

    /// The connection to the backend broke. That is counted and shown, and has the backend checked at once. It is no
    /// failure by itself: all sessions of a backend that restarts lose theirs together, which is one event.
    pub(crate) fn lost(&self, error: String) {
        self.shared.session_lost(self.key, error);
    }

    /// The session has ended. One whose lease is only dropped was ended by the gateway, with 1006.
    pub(crate) fn end(mut self, ended: &Ended) {
        self.end = (ended.by, ended.frame.code());
    }
}

impl<D> Drop for Lease<D> {
    fn drop(&mut self) {
        let (by, code) = self.end;
        self.shared.ended.count(by, code);
        self.shared.session_ended(self.key);
    }
}
