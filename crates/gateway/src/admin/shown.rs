//! What the operator is shown of a gateway.

use axum_sockjs::{Cluster, Stats};

use crate::pool::pool::PoolSnapshot;

/// A gateway of now.
#[derive(Debug)]
pub(crate) struct Shown {
    /// Whether it is about to stop, and takes no sessions any more.
    pub(crate) is_stopping: bool,
    /// One for each route, in the order of the configuration.
    pub(crate) pools: Vec<PoolSnapshot>,
    /// The numbers of each route's endpoints, by its path.
    pub(crate) endpoints: Vec<(String, Stats)>,
    /// With its label.
    pub(crate) cluster: Option<(String, Cluster)>,
    pub(crate) reloads: Reloads,
}

/// How often the configuration was read again, since the start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Reloads {
    pub(crate) succeeded: u64,
    pub(crate) failed: u64,
}
