//! What a route's sessions open with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::client::Proxies;
use crate::{
    config::{backend::Upstream, route::Route as Config},
    pool::pool::Pool,
    pump::pump::Settings,
};

/// The backends' side of a route, read whenever a session opens.
#[derive(Debug)]
pub(crate) struct RouteState {
    pub(super) live: ArcSwap<Live>,
    pub(super) proxies: Arc<ArcSwap<Proxies>>,
}

#[derive(Debug)]
pub(super) struct Live {
    pub(super) pool: Arc<Pool>,
    pub(super) upstream: Arc<Upstream>,
    /// What a client may agree on.
    pub(super) subprotocols: Box<[String]>,
}
