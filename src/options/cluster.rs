//! The option of an endpoint whose sessions are on one of several nodes.

use super::builder::Options;
use crate::cluster::handle::Cluster;

/// # Several nodes
impl Options {
    /// Makes the endpoint one of a cluster: `/info` names this node in the URL for the transports, and requests for
    /// sessions of other nodes are forwarded to them. See the [guide](crate::guide::cluster).
    ///
    /// The endpoint must be below the same prefix and have the same options on each node.
    pub fn cluster(mut self, cluster: &Cluster) -> Self {
        self.cluster = Some(cluster.clone());
        self
    }
}
