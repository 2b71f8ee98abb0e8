//! What a broker in memory has at a moment.

use crate::broker::bus_stats::BusStats;

/// What a broker in memory has at a moment.
///
/// The figures are read one after the other while others change them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct MemoryBrokerStats {
    /// Sessions that are connected.
    pub sessions: usize,
    /// Names of users, and of sessions without a user.
    pub users: usize,
    /// Subscriptions of all sessions, to their own destinations too.
    pub subscriptions: usize,
    /// Destinations that are subscribed to, without those of users and without queues that consumers compete for.
    pub topics: usize,
    /// Patterns that are subscribed to, without those of users.
    pub patterns: usize,
    /// Queues that have messages or consumers, where consumers compete.
    pub queues: usize,
    /// Messages that queues keep, with those that are not acknowledged.
    pub queued_messages: usize,
    /// How many bytes these take.
    pub queued_bytes: usize,
    /// Messages of queues that have been given up since the start.
    pub dead_letters: u64,
    /// Messages of topics, each once for each client that read too slowly for it, since the start.
    pub dropped: u64,
    /// What concerns other nodes, with a [bus](super::MemoryBrokerBuilder::bus). All else is of this node.
    pub bus: Option<BusStats>,
}
