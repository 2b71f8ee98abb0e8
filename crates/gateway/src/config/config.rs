//! The settings of the whole process.

use std::{net::SocketAddr, time::Duration};

use ipnet::IpNet;

use super::{identity::Identity, route::Route};

/// The settings of a gateway.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where browsers, or the proxy in front, connect. Loopback by default.
    pub(crate) listen: Vec<SocketAddr>,
    /// TLS to the browsers, at all of these addresses.
    pub(crate) tls: Option<Identity>,
    /// HTTP/2, for browsers that agree on it by TLS, and for proxies that know that it is spoken here.
    pub(crate) http2: bool,
    /// Where `/healthz`, `/readyz` and `/metrics` are served: nowhere by default.
    pub(crate) admin: Option<SocketAddr>,
    /// Several gateways that answer for each other's sessions.
    pub(crate) cluster: Option<ClusterConfig>,
    /// The proxies whose `X-Forwarded-…` and `Forwarded` count. Everybody else's are dropped.
    pub(crate) trusted_proxies: Vec<IpNet>,
    /// How long a stop waits for clients to fetch what they have coming.
    pub(crate) grace: Duration,
    pub(crate) log: Log,
    /// In the order of the configuration; each path once.
    pub(crate) routes: Vec<Route>,
}

/// How this gateway is one of several.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ClusterConfig {
    /// A listener of its own, plain HTTP, at which the other gateways reach this one.
    pub(crate) address: SocketAddr,
    pub(crate) secret: Secret,
    pub(crate) other_secret: Option<Secret>,
    /// The URL at which clients reach all of them.
    pub(crate) public_url: Option<String>,
}

/// A text that no log and no `Debug` shows.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(pub(crate) String);

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("…")
    }
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Log {
    pub(crate) format: LogFormat,
    /// In the words of `tracing_subscriber::EnvFilter`.
    pub(crate) filter: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogFormat {
    Text,
    Json,
}
