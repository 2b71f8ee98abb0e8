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
    /// Operations on members that did not get through: beyond the bounds, too large for the bus, or not to be read.
    pub unknown_members: u64,
}
