//! What the operator is shown of a gateway.

use std::sync::atomic::{AtomicU64, Ordering};

use axum_sockjs::{Cluster, Stats};

use crate::{gateway::handle::Handle, pool::pool::PoolSnapshot};

/// A gateway of now.
#[derive(Debug)]
pub(super) struct Shown {
    /// Whether it is about to stop, and takes no sessions any more.
    pub(super) is_stopping: bool,
    /// One for each route.
    pub(super) pools: Vec<PoolSnapshot>,
    /// The numbers of the endpoints by the paths of their routes.
    pub(super) endpoints: Vec<(String, Stats)>,
    pub(super) cluster: Option<Cluster>,
    /// How many have succeeded, and how many have failed.
    pub(super) reloads: (u64, u64),
}

impl Shown {
    pub(super) fn of(gateway: &Handle, reloads: &Reloads) -> Self {
        Self {
            is_stopping: gateway.is_stopping(),
            pools: gateway.pools(),
            endpoints: gateway.stats(),
            cluster: gateway.cluster().cloned(),
            reloads: (reloads.succeeded.load(Ordering::Relaxed), reloads.failed.load(Ordering::Relaxed)),
        }
    }
}

/// How often the configuration was read again, since the start.
#[derive(Debug, Default)]
pub(crate) struct Reloads {
    succeeded: AtomicU64,
    failed: AtomicU64,
}

impl Reloads {
    pub(crate) fn count(&self, has_succeeded: bool) {
        let outcome = if has_succeeded { &self.succeeded } else { &self.failed };
        outcome.fetch_add(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{config::config::Config, gateway::gateway::Gateway};

    #[tokio::test]
    async fn a_gateway_is_shown_as_it_is() {
        let config = Config::parse(
            "listen = [\"127.0.0.1:0\"]\n[[route]]\npath = \"/chat\"\nbackends = [\"ws://127.0.0.1:9/ws\"]\n",
        );
        let gateway = Gateway::new(config.expect("it is in order")).await.expect("a port is free");
        let reloads = Reloads::default();
        for has_succeeded in [true, false, true] {
            reloads.count(has_succeeded);
        }
        let shown = Shown::of(&gateway.handle(), &reloads);
        assert_eq!((shown.is_stopping, shown.reloads, shown.cluster.is_some()), (false, (2, 1), false));
        assert_eq!(shown.endpoints.iter().map(|(path, _)| path.as_str()).collect::<Vec<_>>(), ["/chat"]);
        assert_eq!((&*shown.pools[0].route, shown.pools[0].backends.len()), ("/chat", 1));
    }
}
