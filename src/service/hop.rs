//! How a request has come to the endpoint of a node, and where it has to go.

use std::sync::Arc;

use http::{header::UPGRADE, request::Parts};
use hyper::upgrade::OnUpgrade;

use crate::cluster::{edges::Edge, link::frame::PROTOCOL, node_id::NodeId};

/// How a request has come to the endpoint of a node, and where it has to go.
#[derive(Default)]
pub(crate) enum Hop {
    /// From the client, for this node.
    #[default]
    Direct,
    /// From the client, for another node.
    To(NodeId),
    /// For a node that no longer exists, or that another one takes this one for.
    Lost,
    /// From another node, for this one.
    From(Forwarder),
}

/// The node that has forwarded a request.
pub(crate) struct Forwarder {
    pub(super) edge: Arc<Edge>,
    /// Whether it shuts down.
    pub(super) is_leaving: bool,
    /// Whether the request has come over a link.
    pub(super) is_link: bool,
}

impl Hop {
    /// Whether the request has come over a link.
    pub(super) fn is_link(&self) -> bool {
        matches!(self, Self::From(Forwarder { is_link: true, .. }))
    }
}

/// A node's wish for a link.
pub(super) struct WantsLink {
    pub(super) edge: Arc<Edge>,
    pub(super) on_upgrade: OnUpgrade,
}

impl WantsLink {
    /// What an edge asks for in a request for the node itself. `None` if it is nothing more, or another version of the
    /// protocol, or if the connection cannot be upgraded.
    pub(super) fn of(parts: &mut Parts, edge: &Arc<Edge>) -> Option<Self> {
        let protocol = parts.headers.get(UPGRADE)?;
        if !protocol.as_bytes().eq_ignore_ascii_case(PROTOCOL.as_bytes()) {
            return None;
        }
        let on_upgrade = parts.extensions.remove()?;
        Some(Self { edge: Arc::clone(edge), on_upgrade })
    }
}
