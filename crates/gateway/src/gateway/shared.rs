//! What the parts of a gateway share.

use std::sync::{
    Arc,
    atomic::{AtomicBool, Ordering},
};

use arc_swap::ArcSwap;
use axum_sockjs::SockJsHandle;

use super::{generation::Surroundings, route::Route, table::Table};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) table: ArcSwap<Table>,
    pub(super) surroundings: Surroundings,
    /// The stop has begun.
    stopping: AtomicBool,
}

impl Shared {
    pub(super) fn new(table: Table, surroundings: Surroundings) -> Self {
        Self { table: ArcSwap::from_pointee(table), surroundings, stopping: AtomicBool::new(false) }
    }

    pub(super) fn routes(&self) -> Vec<Arc<Route>> {
        self.table.load().routes().to_vec()
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
}
