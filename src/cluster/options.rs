//! The settings of a node.

use std::{fmt, net::SocketAddr, time::Duration};

/// The shortest secret, in bytes: what 24 random bytes are in base64.
pub(super) const MIN_SECRET: usize = 32;

/// The settings of a node of a [`Cluster`](crate::Cluster).
///
/// ```
/// use axum_sockjs::{Cluster, ClusterOptions};
///
/// # async fn start() -> Result<(), Box<dyn std::error::Error>> {
/// let listener = tokio::net::TcpListener::bind("0.0.0.0:8081").await?;
/// let options = ClusterOptions::new(std::env::var("CLUSTER_SECRET")?, listener.local_addr()?)
///     .public_url("https://www.example.com");
/// let cluster = Cluster::new(options)?;
/// # Ok(())
/// # }
/// ```
///
/// | option | default |
/// |---|---|
/// | [`other_secret`](Self::other_secret) | none |
/// | [`public_url`](Self::public_url) | as the request says, where that is known |
/// | [`connect_timeout`](Self::connect_timeout) | 0.8 s |
/// | [`answer_timeout`](Self::answer_timeout) | 2 s |
/// | [`idle_timeout`](Self::idle_timeout) | 5 s |
/// | [`max_connections`](Self::max_connections) | 16,384 |
#[derive(Clone)]
#[must_use]
pub struct ClusterOptions {
    pub(super) secret: String,
    pub(super) other_secret: Option<String>,
    pub(super) address: SocketAddr,
    pub(super) public_url: Option<String>,
    pub(super) connect_timeout: Duration,
    pub(super) answer_timeout: Duration,
    pub(super) idle_timeout: Duration,
    pub(super) max_connections: usize,
}

impl ClusterOptions {
    /// Returns the options of a node that the others reach at `address`, with the secret that all nodes share.
    ///
    /// The secret is a random text of at least 32 bytes, for instance that of `openssl rand -base64 32`. Whoever knows
    /// it can act as a node: see the [guide](crate::guide::cluster#what-the-secret-protects).
    ///
    /// The address is that of the node's own listener, [`local_addr`](std::net::TcpListener::local_addr). If its IP
    /// address is the unspecified one (`0.0.0.0` or `::`), the node takes the address from which it would reach
    /// other networks; no packet is sent for that. A machine with several addresses, or one behind an address
    /// translation that the other nodes do not share, needs it explicitly.
    pub fn new(secret: impl Into<String>, address: SocketAddr) -> Self {
        Self {
            secret: secret.into(),
            other_secret: None,
            address,
            public_url: None,
            connect_timeout: Duration::from_millis(800),
            answer_timeout: Duration::from_secs(2),
            idle_timeout: Duration::from_secs(5),
            max_connections: 16_384,
        }
    }

    /// Sets a second secret: the node also reads what nodes with this one have written, but does not write with it.
    ///
    /// A secret changes in three steps, each on all nodes before the next: the new one is the second; the new one is the
    /// first and the old one the second; the new one is alone. No session ends by the change itself, but restarting
    /// a node ends its sessions, as always.
    pub fn other_secret(mut self, secret: impl Into<String>) -> Self {
        self.other_secret = Some(secret.into());
        self
    }

    /// Sets the URL at which clients reach all nodes, the balancer's: scheme, host, port, and a path if a proxy removes
    /// it. Behind that come the endpoint's prefix and the node's tag.
    ///
    /// Without it, each `/info` request has to say it: by `Host`, or what a proxy says where
    /// [`Options::trust_forwarded`](crate::Options::trust_forwarded) is on, and by a scheme that is known from there,
    /// from HTTP/2 or from [`Options::scheme`](crate::Options::scheme). If it is not known, `/info` names no node,
    /// and the log has a `WARN`. [`Options::base_url`](crate::Options::base_url) takes precedence, as the whole URL of
    /// one endpoint; one that is a path stands behind the public URL.
    ///
    /// **A proxy that writes its own `Host` needs this option**: nginx does, by its default `proxy_set_header Host
    /// $proxy_host`, and with a known scheme every client would be sent to the name of the upstream, such as
    /// `https://nodes/…`.
    pub fn public_url(mut self, url: impl Into<String>) -> Self {
        self.public_url = Some(url.into());
        self
    }

    /// Sets how long a connection to another node may take. It should stay below a second, so that clients of a lost
    /// node learn of it within one. The first packet may be lost, and an operating system repeats it after a second only:
    /// a second attempt begins after a quarter of a second, and a third after half of one.
    pub fn connect_timeout(mut self, limit: Duration) -> Self {
        self.connect_timeout = limit;
        self
    }

    /// Sets how long another node may take to say that it lives. It is asked if nothing has come from it for a second
    /// while requests wait, which is looked at once a second; so a node that has stopped is given up after two seconds more
    /// than this at the latest, 4 s by default, and all that waits for it ends.
    pub fn answer_timeout(mut self, limit: Duration) -> Self {
        self.answer_timeout = limit;
        self
    }

    /// Sets how long an unused connection to another node is kept. It must be shorter than what the nodes' own servers
    /// allow, so that no request meets a connection that closes at this moment. At most 64 are kept for each node.
    pub fn idle_timeout(mut self, limit: Duration) -> Self {
        self.idle_timeout = limit;
        self
    }

    /// Sets how many requests may wait for one other node at a time: each waiting poll and each stream is one. Further ones
    /// get 503. Each stream has a connection of its own, and so has each waiting poll where sessions have an identity, and
    /// beyond the eight prefixes for which there are links to a node: nearly all polls below `/rooms/{room}`. Between two
    /// addresses there are some 28,000 ports by default.
    pub fn max_connections(mut self, limit: usize) -> Self {
        self.max_connections = limit;
        self
    }
}

impl fmt::Debug for ClusterOptions {
    /// Without the secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            address, public_url, connect_timeout, answer_timeout, idle_timeout, max_connections, ..
        } = self;
        f.debug_struct("ClusterOptions")
            .field("address", address)
            .field("public_url", public_url)
            .field("connect_timeout", connect_timeout)
            .field("answer_timeout", answer_timeout)
            .field("idle_timeout", idle_timeout)
            .field("max_connections", max_connections)
            .finish_non_exhaustive()
    }
}

/// The error of [`Cluster::new`](crate::Cluster::new): its text says which option cannot work, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidCluster(pub(super) &'static str);

impl fmt::Display for InvalidCluster {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl std::error::Error for InvalidCluster {}
