//! How a broker is on a bus.

use std::{sync::Arc, time::Duration};

use sockjs_bus::Bus;

/// How a broker is on a bus.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) bus: Arc<dyn Bus>,
    pub(crate) namespace: String,
    /// What the node has again when it is started again.
    pub(crate) name: Option<String>,
    pub(crate) dead_after: Duration,
}
