//! What has been seen of other nodes, as numbers.

/// What has been seen of other nodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ClusterCounts {
    /// How often operations of a node were missing.
    pub(crate) holes: u64,
    /// Nodes that have fallen silent.
    pub(crate) dead: u64,
    /// Snapshots that were sent.
    pub(crate) snapshots: u64,
    /// What was beyond a bound, or could not be read, and is not known.
    pub(crate) refused: u64,
}
