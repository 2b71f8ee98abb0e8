//! The settings of a pump.

use std::time::Duration;

use crate::config::backend::{Binary, Upstream};

/// What a pump takes of a route's configuration.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) binary: Binary,
    pub(crate) ping_interval: Option<Duration>,
    pub(crate) pong_timeout: Duration,
    pub(crate) close_timeout: Duration,
}

impl From<&Upstream> for Settings {
    fn from(upstream: &Upstream) -> Self {
        Self {
            binary: upstream.binary,
            ping_interval: upstream.ping_interval,
            pong_timeout: upstream.pong_timeout,
            close_timeout: upstream.close_timeout,
        }
    }
}
