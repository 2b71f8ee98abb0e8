//! The numbers that concern other nodes.
//!
//! Imports: nothing.

use sockjs_bus::{PortStats, Status};

/// The numbers of the rooms that concern other nodes: see [`Stats::bus`](crate::Stats::bus).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct BusStats {
    /// Whether the bus reaches the other nodes.
    pub status: Status,
    /// Whether this node hears the others: who is there, messages to all, and log-outs. If not, though the bus is connected
    /// and the node has not just started, the engine refuses what all nodes have to subscribe to, which is logged as an error.
    pub is_heard: bool,
    /// Other nodes that are known.
    pub nodes: usize,
    /// What was published, received and lost, including what nodes tell each other of their members.
    pub port: PortStats,
    /// Messages to a room's history that the bus has refused, or has not confirmed.
    pub not_kept: u64,
    /// How often a room's history went on faster than it was read, so that the room's members here were closed.
    pub histories_lost: u64,
    /// How often some of what a node has told of its members was missing, and was asked for again.
    pub holes: u64,
    /// Nodes that have fallen silent.
    pub dead: u64,
    /// Users who are here, and rooms that were joined while the bus was away, to whose messages the engine does not let this
    /// node subscribe: nothing of other nodes comes for them. It is logged as an error. Whoever joins a room while the bus is
    /// there is refused instead: [`JoinError::Unavailable`](crate::JoinError::Unavailable).
    pub subscriptions_refused: u64,
    /// Operations on members that did not get through: beyond the bounds, too large for the bus, or not to be read.
    pub unknown_members: u64,
}
