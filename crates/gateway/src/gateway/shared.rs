//! What the parts of a gateway share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use arc_swap::ArcSwap;
use axum_sockjs::SockJsHandle;

use super::{generation::Environment, route::Route, table::Table};
use crate::admin::shown::{Reloads, Shown};

/// The label of what is counted between gateways: a process is one of one cluster.
const CLUSTER: &str = "gateway";

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) table: ArcSwap<Table>,
    pub(super) environment: Environment,
    /// The stop has begun.
    stopping: AtomicBool,
    reloads_succeeded: AtomicU64,
    reloads_failed: AtomicU64,
}

impl Shared {
    pub(super) fn new(table: Table, environment: Environment) -> Self {
        Self {
            table: ArcSwap::from_pointee(table),
            environment,
            stopping: AtomicBool::new(false),
            reloads_succeeded: AtomicU64::new(0),
            reloads_failed: AtomicU64::new(0),
        }
    }

    pub(super) fn routes(&self) -> Vec<Arc<Route>> {
        self.table.load().routes().to_vec()
    }

    /// Goes over to other routes. Those that have been removed leave with their last session.
    pub(super) fn exchange(self: &Arc<Self>, table: Table, removed: Vec<Arc<Route>>) {
        self.table.store(Arc::new(table));
        // One that has gone since the table was made.
        self.forget_gone();
        for route in removed {
            let shared = Arc::clone(self);
            tokio::spawn(async move {
                route.gone().await;
                shared.forget_gone();
            });
        }
    }

    fn forget_gone(&self) {
        self.table.rcu(|table| table.without_gone());
    }

    /// The handles of all endpoints.
    pub(super) fn handles(&self) -> Vec<SockJsHandle> {
        self.routes().iter().flat_map(|route| route.handles()).collect()
    }

    pub(super) fn stop(&self) {
        self.stopping.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Relaxed)
    }

    pub(super) fn count_reload(&self, succeeded: bool) {
        let counter = if succeeded { &self.reloads_succeeded } else { &self.reloads_failed };
        counter.fetch_add(1, Ordering::Relaxed);
    }

    pub(super) fn shown(&self) -> Shown {
        let routes = self.routes();
        // Also of a route that is gone, as long as it has sessions.
        let pools = routes.iter().map(|route| route.state.pool.snapshot());
        let endpoints = routes.iter().filter_map(|route| Some((route.path.to_string(), route.stats()?)));
        Shown {
            is_stopping: self.is_stopping(),
            pools: pools.collect(),
            endpoints: endpoints.collect(),
            cluster: self.environment.cluster.clone().map(|cluster| (CLUSTER.to_owned(), cluster)),
            reloads: Reloads {
                succeeded: self.reloads_succeeded.load(Ordering::Relaxed),
                failed: self.reloads_failed.load(Ordering::Relaxed),
            },
        }
    }
}
