//! What a route's sessions open with.

use std::sync::Arc;

use arc_swap::ArcSwap;

use super::{client::Proxies, route_error::RouteError};
use crate::{
    config::route::Route as Config,
    pool::{members::Members, pool::Pool},
    pump::settings::Settings,
};

/// The backends' side of a route, read whenever a session opens.
#[derive(Debug)]
pub(crate) struct RouteState {
    pub(super) pool: Pool,
    pub(super) current: ArcSwap<Current>,
    pub(super) proxies: Arc<ArcSwap<Proxies>>,
}

/// What a reload exchanges, beside the backends.
#[derive(Debug)]
pub(super) struct Current {
    pub(super) pump: Settings,
    /// What a client may agree on.
    pub(super) subprotocols: Box<[String]>,
}

impl Current {
    pub(super) fn of(config: &Config) -> Self {
        Self {
            pump: Settings::from(&config.upstream),
            subprotocols: config.endpoint.subprotocols.clone().into(),
        }
    }
}

impl RouteState {
    /// The state of a new route, whose backends are not checked before [`Pool::start`].
    pub(super) fn new(config: &Config, proxies: Arc<ArcSwap<Proxies>>) -> Result<Self, RouteError> {
        let pool = Pool::new(&config.path, Members::new(&config.upstream)?);
        Ok(Self { pool, current: ArcSwap::from_pointee(Current::of(config)), proxies })
    }
}
