//! An endpoint of a route, from one configuration of its browsers' side to the next.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{body::Body, extract::Request, response::Response};
use axum_sockjs::{ClientScript, Cluster, SockJs, SockJsHandle, SockJsMiddleware};
use tower::{Layer as _, Service as _};
use tracing::Level;

use super::{
    client::Proxies, handler::serve, not_found::NotFound, route_error::RouteError, state::RouteState,
};
use crate::config::{endpoint::Endpoint, route::Route as Config};

/// How much longer an endpoint waits than for the backends, whose time-out says more.
const MARGIN: Duration = Duration::from_secs(1);

/// What an endpoint is made of: where it is the same after a reload, the endpoint stays.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    endpoint: Endpoint,
    open_timeout: Duration,
    behind_proxies: bool,
}

impl Settings {
    pub(super) fn of(config: &Config, proxies: &Proxies) -> Self {
        Self {
            endpoint: config.endpoint.clone(),
            open_timeout: config.upstream.open_timeout + MARGIN,
            behind_proxies: !proxies.is_empty(),
        }
    }
}

/// What all endpoints of all routes share.
#[derive(Debug, Clone, Default)]
pub(super) struct Surroundings {
    pub(super) proxies: Arc<ArcSwap<Proxies>>,
    pub(super) cluster: Option<Cluster>,
}

#[derive(Debug)]
pub(super) struct Generation {
    pub(super) settings: Settings,
    pub(super) handle: SockJsHandle,
    service: SockJsMiddleware<NotFound>,
}

impl Generation {
    pub(super) fn new(
        path: &str,
        settings: Settings,
        state: Arc<RouteState>,
        surroundings: &Surroundings,
    ) -> Result<Self, RouteError> {
        // What is said of a session is said at `DEBUG`. A span that the log shows is entered by each poll of a session.
        let options = settings.endpoint.options().span_level(Level::DEBUG);
        let mut options = options.open_timeout(settings.open_timeout);
        if let Some(file) = &settings.endpoint.client_script {
            let script = ClientScript::from_file(file);
            options = options.client_script(
                script.map_err(|error| RouteError::ClientScript { file: file.clone(), error })?,
            );
        }
        if settings.behind_proxies {
            let proxies = Arc::clone(&surroundings.proxies);
            // Whoever is not trusted has had these headers removed.
            options = options.trust_forwarded(true).peer_key(move |headers, peer| {
                peer.map(|peer| proxies.load().client(headers, peer.ip()).to_string())
            });
        }
        if let Some(cluster) = &surroundings.cluster {
            options = options.cluster(cluster);
        }
        options.validate().map_err(RouteError::Options)?;
        let sockjs = SockJs::new(serve).options(options).with_state(state);
        let handle = sockjs.handle();
        Ok(Self { settings, handle, service: sockjs.layer(path).layer(NotFound) })
    }

    pub(super) fn call(&self, request: Request<Body>) -> impl Future<Output = Response> + Send + use<> {
        let answer = self.service.clone().call(request);
        async move { answer.await.unwrap_or_else(|never| match never {}) }
    }

    /// How long a request that has come before the last moment may still take to open a session.
    pub(super) fn open_timeout(&self) -> Duration {
        self.settings.open_timeout
    }
}
