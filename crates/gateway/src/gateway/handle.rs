//! A gateway that runs: what is changed and asked while it does.

use std::sync::{Arc, Mutex, PoisonError};

use axum_sockjs_serve::Tls;

use super::{
    client::Proxies,
    reload::{Plan, ReloadReport},
    shared::Shared,
    start_error::StartError,
};
use crate::{admin::shown::Shown, config::config::Config};

/// A handle to a [`Gateway`](crate::Gateway), which can be cloned.
#[derive(Debug, Clone)]
pub struct Handle {
    pub(super) shared: Arc<Shared>,
    pub(super) tls: Option<Tls>,
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
        let plan = Plan::new(&table, &config, Some(&current), &self.shared.environment)
            .map_err(StartError::route)?;
        if let Some(tls) = &self.tls {
            tls.reload()?;
        }
        // Before the endpoints that count on it.
        self.shared.environment.proxies.store(Arc::new(Proxies::new(config.trusted_proxies.clone())));
        let (table, report) = plan.apply();
        self.shared.table.store(Arc::new(table));
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
