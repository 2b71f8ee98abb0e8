//! The state that all clones of an endpoint share.

use std::{
    any::TypeId,
    sync::{
        Arc, Mutex, Once, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use sockjs_core::path::{self, Path};

#[cfg(feature = "cluster")]
use super::cluster_log::ClusterLog;
#[cfg(feature = "cluster")]
use crate::cluster::{
    handle::{Cluster, Place},
    tag,
};
use crate::{
    options::builder::Options,
    origin::log::RefusalLog,
    response::{cause::RejectionCause, iframe::IframePage, info::InfoPage},
    session::registry::Registry,
};

pub(crate) struct Endpoint {
    pub(crate) options: Options,
    pub(super) iframe: IframePage,
    pub(super) info: InfoPage,
    pub(crate) sessions: Arc<Sessions>,
    pub(super) refusal_log: RefusalLog,
    /// Whether the log has reported a session that could not be counted for its peer.
    pub(super) unknown_peer_warning: Once,
    #[cfg(feature = "cluster")]
    pub(super) cluster_log: ClusterLog,
}

/// The sessions of an endpoint, and the number of rejected requests.
#[derive(Debug, Default)]
pub(crate) struct Sessions {
    pub(crate) registry: Arc<Registry>,
    /// The type of the identities, if sessions have one.
    identity_type: Mutex<Option<TypeId>>,
    rejections: [AtomicU64; RejectionCause::ALL.len()],
    /// The node that this endpoint is one of.
    #[cfg(feature = "cluster")]
    cluster: Mutex<Option<Cluster>>,
}

impl Endpoint {
    pub(crate) fn new(options: Options, sessions: Arc<Sessions>) -> Self {
        let iframe = IframePage::new(options.iframe_client_url());
        #[cfg(feature = "cluster")]
        sessions.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone_from(&options.cluster);
        let Options { transports, cookie, base_url, .. } = &options;
        #[cfg(not(feature = "cluster"))]
        let base_url = base_url.as_ref();
        #[cfg(feature = "cluster")]
        let base_url = base_url.as_ref().filter(|_| options.cluster.is_none());
        let info = InfoPage::new(transports.has_websocket(), cookie.is_on(), base_url.map(String::as_str));
        let (refusal_log, unknown_peer_warning) = (RefusalLog::default(), Once::new());
        Self {
            #[cfg(feature = "cluster")]
            cluster_log: ClusterLog::new(&options),
            options,
            iframe,
            info,
            sessions,
            refusal_log,
            unknown_peer_warning,
        }
    }

    pub(super) fn registry(&self) -> &Arc<Registry> {
        &self.sessions.registry
    }
}

impl Sessions {
    pub(crate) fn set_identity_type(&self, identity: TypeId) {
        *self.identity_type.lock().unwrap_or_else(PoisonError::into_inner) = Some(identity);
    }

    pub(crate) fn identity_type(&self) -> Option<TypeId> {
        *self.identity_type.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Asks the other nodes to end what waits for them here, without a loss.
    #[cfg(feature = "cluster")]
    pub(crate) fn leave_cluster(&self) {
        if let Some(cluster) = self.cluster() {
            cluster.leave();
        }
    }

    /// Whether a path below the endpoint is that of a session here: see [`Registry::has`].
    pub(crate) fn has_at(&self, path: &str) -> bool {
        #[cfg(feature = "cluster")]
        let Some(path) = self.untagged(path) else { return false };
        matches!(path::parse(path), Some(Path::Session { session, .. }) if self.registry.has(session.of(path)))
    }

    /// A path without the tag of this node; `None` below any other tag.
    #[cfg(feature = "cluster")]
    fn untagged<'a>(&self, path: &'a str) -> Option<&'a str> {
        let Some(tag) = tag::of_path(path) else { return Some(path) };
        // Without a cluster it is a server's id.
        let Some(cluster) = self.cluster() else { return Some(path) };
        let is_here = cluster.place(tag) == Some(Place::Here);
        path.get(tag::segment(tag)..).filter(|_| is_here)
    }

    #[cfg(feature = "cluster")]
    fn cluster(&self) -> Option<Cluster> {
        self.cluster.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    pub(super) fn count_rejection(&self, cause: RejectionCause) {
        self.rejections[cause as usize].fetch_add(1, Ordering::Relaxed);
    }

    /// The number of rejected requests by their cause.
    pub(crate) fn rejections(&self) -> impl Iterator<Item = (RejectionCause, u64)> {
        let counts = self.rejections.iter().map(|count| count.load(Ordering::Relaxed));
        RejectionCause::ALL.iter().copied().zip(counts)
    }
}
