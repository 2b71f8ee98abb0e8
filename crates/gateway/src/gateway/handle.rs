//! A gateway that runs: what is changed and asked while it does.

use std::sync::{Arc, Mutex, PoisonError};

use axum_sockjs_serve::Tls;

use super::{
    client::Proxies,
    reload::{Plan, ReloadReport, of_process},
    shared::Shared,
    start_error::StartError,
};
use crate::{admin::shown::Shown, config::config::Config};

/// A handle to a [`Gateway`](crate::Gateway), which can be cloned.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Option<Tls>,
    /// What has its effect from the start of the process to its end.
    pub(super) started: Arc<Config>,
    /// One reload after the other.
    pub(super) config: Arc<Mutex<Config>>,
}

impl Handle {
    /// Goes over to another configuration, without the loss of a session. It reads the files that the configuration names,
    /// the certificate's too, and blocks meanwhile.
    ///
    /// - New sessions open by the new settings of their route, and by its backends of now.
    /// - Sessions that are open keep the settings by which they have opened, and their backend, also where the route or
    ///   the backend is gone.
    /// - A backend that stays keeps its sessions' count and its health.
    /// - Limits of a route's sessions count the open ones too.
    /// - Addresses and what else belongs to the process stay until it is started anew: the report names them.
    ///
    /// It needs a tokio runtime.
    ///
    /// # Errors
    /// Nothing has changed then.
    pub fn reload(&self, config: Config) -> Result<ReloadReport, StartError> {
        let result = self.exchange(config);
        self.shared.count_reload(result.is_ok());
        result
    }

    fn exchange(&self, config: Config) -> Result<ReloadReport, StartError> {
        let mut current = self.config.lock().unwrap_or_else(PoisonError::into_inner);
        let table = self.shared.table.load_full();
        let mut plan = Plan::new(&table, &config, Some(&current), &self.shared.environment)
            .map_err(StartError::route)?;
        match (&self.tls, &config.tls) {
            (Some(tls), Some(identity)) => tls.reload_from(&identity.certificate, &identity.key)?,
            // It counts from the next start on, and has to be right by now.
            (None, Some(identity)) => drop(Tls::from_pem(&identity.certificate, &identity.key)?),
            (_, None) => {}
        }
        (plan.report.settings, plan.report.needs_restart) = of_process(&self.started, &current, &config);
        // Before the endpoints that count on it.
        self.shared.environment.proxies.store(Arc::new(Proxies::new(config.trusted_proxies.clone())));
        let removed = plan.removed.clone();
        let (table, report) = plan.apply();
        self.shared.exchange(table, removed);
        *current = config;
        Ok(report)
    }

    /// The number of open sessions.
    #[must_use]
    pub fn sessions(&self) -> usize {
        self.shared.handles().iter().map(axum_sockjs::SockJsHandle::len).sum()
    }

    /// Whether the stop has begun.
    #[must_use]
    pub fn is_stopping(&self) -> bool {
        self.shared.is_stopping()
    }

    /// Counts a reload whose configuration could not be read.
    pub(crate) fn reload_failed(&self) {
        self.shared.count_reload(false);
    }

    /// What the operator sees.
    pub(crate) fn shown(&self) -> Shown {
        self.shared.shown()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::sleep;

    use super::*;
    use crate::gateway::gateway::Gateway;

    fn config(path: &str) -> Config {
        Config::parse(&format!(
            "listen = '127.0.0.1:0'\n[[route]]\npath = '{path}'\nbackends = 'ws://127.0.0.1:1'\nopen_timeout = '3s'\n\
             [route.health]\ncheck = 'off'"
        ))
        .unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_route_that_is_gone_is_not_shown() {
        let gateway = Gateway::new(config("/a")).await.unwrap();
        let handle = gateway.handle();
        let shown = || {
            let shown = handle.shown();
            let mut pools: Vec<_> = shown.pools.iter().map(|pool| pool.route.to_string()).collect();
            let mut endpoints: Vec<_> = shown.endpoints.iter().map(|(path, _)| path.clone()).collect();
            pools.sort();
            endpoints.sort();
            assert_eq!(pools, endpoints);
            pools
        };
        handle.reload(config("/b")).unwrap();
        assert_eq!(shown(), ["/a", "/b"]);
        sleep(Duration::from_secs(6)).await;
        assert_eq!(shown(), ["/b"]);

        // One that comes back before it is gone stays.
        handle.reload(config("/a")).unwrap();
        handle.reload(config("/b")).unwrap();
        sleep(Duration::from_secs(6)).await;
        assert_eq!(shown(), ["/b"]);
        assert_eq!(handle.shared.table.load().route("/b/info").map(|route| &*route.path), Some("/b"));
    }
}
