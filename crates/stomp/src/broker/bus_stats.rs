//! The numbers that concern other nodes.

use sockjs_bus::{PortStats, Status};

/// The numbers of a broker that concern other nodes: see [`MemoryBrokerStats::bus`](super::memory::MemoryBrokerStats::bus) and
/// [`StompStats::bus`](crate::StompStats::bus).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStats {
    /// Whether the bus reaches the other nodes.
    pub status: Status,
    /// Whether this node hears the others. If not, though the bus is connected and the node has not just started, the engine
    /// refuses what all nodes have to subscribe to: others wait for its answers, and it has no queues over which consumers
    /// compete.
    pub is_heard: bool,
    /// Other nodes that are known.
    pub nodes: usize,
    /// What was published, refused, received and missed, including what nodes say to each other of themselves. A message to a
    /// topic is published twice: see the [guide](crate::guide::nodes).
    pub port: PortStats,
    /// Messages of other nodes that could not be read or delivered, and were dropped.
    pub invalid: u64,
    /// Nodes that have fallen silent.
    pub dead: u64,
    /// Queues that were given up with their messages, since another node had them: nodes that could not hear each other
    /// have both owned them.
    pub queues_given_up: u64,
    /// What this node listens to on the bus that the engine has refused after the subscribers had their receipts, since
    /// the bus was away then: nothing of the other nodes comes for them.
    pub subscriptions_refused: u64,
}
