//! An endpoint of a route, from one configuration of its browsers' side to the next.

use std::{sync::Arc, time::Duration};

use arc_swap::ArcSwap;
use axum::{body::Body, extract::Request, response::Response};
use axum_sockjs::{ClientScript, Cluster, SockJs, SockJsHandle, SockJsMiddleware};
use tower::{Layer as _, Service as _};
use tracing::Level;

use super::{
    client::{Proxies, host},
    handler::serve,
    not_found::NotFound,
    route_error::RouteError,
    state::RouteState,
};
use crate::config::{endpoint::Endpoint, route::Route as Config};

/// How much longer an endpoint waits than for the backends, whose time-out says more.
const MARGIN: Duration = Duration::from_secs(1);

/// What an endpoint is made of: where it is the same after a reload, the endpoint stays.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Settings {
    endpoint: Endpoint,
    client_script: Option<Script>,
    open_timeout: Duration,
    behind_proxies: bool,
}

impl Settings {
    /// Reads the client script.
    pub(super) fn read(config: &Config, proxies: &Proxies) -> Result<Self, RouteError> {
        let client_script = match &config.endpoint.client_script {
            Some(file) => Some(Script(
                ClientScript::from_file(file)
                    .map_err(|error| RouteError::ClientScript { file: file.clone(), error })?,
            )),
            None => None,
        };
        Ok(Self {
            endpoint: config.endpoint.clone(),
            client_script,
            open_timeout: config.upstream.open_timeout + MARGIN,
            behind_proxies: !proxies.is_empty(),
        })
    }
}

/// A client script, which is the same if its content is.
#[derive(Debug, Clone)]
struct Script(ClientScript);

impl PartialEq for Script {
    fn eq(&self, other: &Self) -> bool {
        self.0.version() == other.0.version()
    }
}

/// What all endpoints of all routes share.
#[derive(Debug, Clone, Default)]
pub(super) struct Environment {
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
    /// `previous` is an endpoint of the same route whose sessions may go on: those of both count for its limits.
    pub(super) fn new(
        path: &str,
        settings: Settings,
        state: Arc<RouteState>,
        environment: &Environment,
        previous: Option<&Self>,
    ) -> Result<Self, RouteError> {
        // What is said of a session is said at `DEBUG`. A span that the log shows is entered by each poll of a session.
        let options = settings.endpoint.options().span_level(Level::DEBUG);
        let mut options = options.open_timeout(settings.open_timeout);
        if let Some(Script(script)) = &settings.client_script {
            options = options.client_script(script.clone());
        }
        // Whoever is not trusted has had these headers removed.
        options = options.trust_forwarded(settings.behind_proxies);
        let proxies = Arc::clone(&environment.proxies);
        // The key of a peer is the same for each endpoint of a route, behind proxies or not.
        options = options.peer_key(move |headers, peer| {
            peer.map(|peer| host(proxies.load().client(headers, peer.ip())).to_string())
        });
        if let Some(cluster) = &environment.cluster {
            options = options.cluster(cluster);
        }
        options.validate().map_err(RouteError::Options)?;
        let mut sockjs = SockJs::new(serve).options(options).with_state(state);
        if let Some(previous) = previous {
            sockjs = sockjs.share_limits(&previous.handle);
        }
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
