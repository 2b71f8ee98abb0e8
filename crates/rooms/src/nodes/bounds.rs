//! The times and bounds of a cluster.

use std::time::Duration;

use super::replica::Size;

/// The times of a cluster, which all nodes should have alike.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Timing {
    /// After so much silence a node counts as dead.
    pub(crate) dead_after: Duration,
    /// Operations wait for others so long, to be sent together.
    pub(crate) batch: Duration,
}

impl Timing {
    /// A node is never silent for longer: three of four may be lost.
    pub(crate) fn beat(self) -> Duration {
        self.dead_after / 4
    }

    /// How long a snapshot is waited for until it is asked for again, the first time.
    pub(super) fn retry(self) -> Duration {
        self.dead_after / 8
    }

    /// The same, after it has been asked for some times. All know the truth when a node would be dead, if nothing is
    /// lost meanwhile.
    pub(super) fn max_retry(self) -> Duration {
        self.dead_after / 2
    }

    /// All who ask within this time get one snapshot.
    pub(super) fn snapshots(self) -> Duration {
        self.dead_after / 16
    }
}

/// Bounds of what other nodes may say.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    pub(crate) nodes: usize,
    /// Sessions and memberships of all other nodes together.
    pub(crate) entries: usize,
}

impl Bounds {
    pub(super) fn size(self) -> Size {
        let bytes = self.entries.saturating_mul(ENTRY_BYTES).max(MIN_BYTES);
        Size { entries: self.entries, bytes }
    }
}

/// So many bytes of JSON may entries have on average.
const ENTRY_BYTES: usize = 512;
/// All of them may have as many, however few they may be.
pub(super) const MIN_BYTES: usize = 1 << 20;
