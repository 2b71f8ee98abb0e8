//! What the log says of a cluster: once, or at most one line a minute.

use std::{
    net::SocketAddr,
    sync::{Mutex, OnceLock, PoisonError},
    time::Duration,
};

use tokio::time::Instant;

use crate::options::builder::Options;

const SILENCE: Duration = Duration::from_secs(60);

/// The log of one endpoint about its cluster.
#[derive(Debug, Default)]
pub(crate) struct ClusterLog {
    unknown_url: OnceLock<()>,
    forged: Mutex<Option<Instant>>,
    misdirected: Mutex<Option<Instant>>,
}

impl ClusterLog {
    /// Says at the start what is missing.
    pub(crate) fn new(options: &Options) -> Self {
        let Some(cluster) = &options.cluster else { return Self::default() };
        let is_known = cluster.public_url().is_some()
            // A path still needs what stands before it.
            || options.base_url.as_deref().is_some_and(|url| !url.starts_with('/'))
            || options.scheme.is_some()
            || options.trust_forwarded;
        if !is_known {
            tracing::warn!(
                "a node of a cluster does not know its public URL, and over HTTP/1 no request says it: set \
                 `ClusterOptions::public_url`, or `Options::scheme`, or `Options::trust_forwarded` behind a proxy",
            );
        }
        if cluster.address().ip().is_loopback() {
            tracing::info!(
                address = %cluster.address(),
                "this node of a cluster has an address that only processes of this machine reach",
            );
        }
        Self::default()
    }

    /// `/info` could not name this node.
    pub(crate) fn unknown_url(&self) {
        if self.unknown_url.set(()).is_ok() {
            tracing::warn!(
                "`/info` names no node, since the public URL is not known: the balancer has to keep each session on \
                 its node; see `ClusterOptions::public_url`",
            );
        }
    }

    /// A request had a header that no node has written.
    pub(crate) fn forged(&self, peer: Option<SocketAddr>) {
        if is_due(&self.forged) {
            tracing::warn!(
                peer = peer.map(tracing::field::display),
                "a request had the header of a node of a cluster, and none with this secret has written it",
            );
        }
    }

    /// A request came here for a node at another address.
    pub(crate) fn misdirected(&self, meant: SocketAddr, edge: SocketAddr, own: SocketAddr) {
        if is_due(&self.misdirected) {
            tracing::warn!(
                %meant, %edge, %own,
                "a node has forwarded a request to this one, whose session is at another: somebody repeats what \
                 nodes have said to each other",
            );
        }
    }
}

/// Whether a line may be logged now.
fn is_due(last: &Mutex<Option<Instant>>) -> bool {
    let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
    let now = Instant::now();
    let is_due = last.is_none_or(|last| now >= last + SILENCE);
    if is_due {
        *last = Some(now);
    }
    is_due
}
