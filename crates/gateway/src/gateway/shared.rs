//! What the parts of a gateway share.

use arc_swap::ArcSwap;

use super::{generation::Surroundings, table::Table};

#[derive(Debug)]
pub(super) struct Shared {
    pub(super) table: ArcSwap<Table>,
    pub(super) surroundings: Surroundings,
    /// The stop has begun.
    pub(super) stopping: AtomicBool,
}
