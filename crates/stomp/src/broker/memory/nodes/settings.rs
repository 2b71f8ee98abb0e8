//! How a broker is on a bus.

use std::time::Duration;

/// How a broker is on a bus.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    /// What the node has again when it is started again.
    pub(crate) name: Option<String>,
    pub(crate) dead_after: Duration,
}

impl Default for Settings {
    fn default() -> Self {
        Self { namespace: "stomp".to_owned(), name: None, dead_after: Duration::from_secs(10) }
    }
}
