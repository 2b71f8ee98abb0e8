//! The numbers of the rooms.
//!
//! Imports: bus_stats, node.

use std::sync::atomic::Ordering::Relaxed;

use crate::{
    bus_stats::BusStats,
    node::{elsewhere::Elsewhere, node::Node},
};

/// The numbers of the rooms: see [`Rooms::stats`](crate::Rooms::stats).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct Stats {
    /// What concerns other nodes, with a [bus](crate::Builder::bus). All other numbers are of this node.
    pub bus: Option<BusStats>,
    /// Rooms that exist: occupied, watched, or kept for their history.
    pub rooms: usize,
    /// Rooms that have members.
    pub occupied_rooms: usize,
    /// Memberships: a session counts once for each room that it is in.
    pub members: usize,
    /// Sessions that are known.
    pub sessions: usize,
    /// Users that have a tab. Guests are none.
    pub users: usize,
    /// The bytes of all histories, as [`History::max_bytes`](crate::History::max_bytes) counts them.
    pub history_bytes: usize,
    /// Messages sent so far, however many got each.
    pub sent: u64,
    /// Deliveries so far, and below what else has become of messages to sessions: see [`Sent`](crate::Sent).
    pub delivered: u64,
    /// Messages that sessions have missed since their queue was full.
    pub dropped: u64,
    /// Messages to sessions that had ended, or have been ended since their queue was full.
    pub gone: u64,
    /// Binary messages to sessions that carry none.
    pub unsupported: u64,
    /// Messages that were sent to nobody: see [`Refused`](crate::Refused).
    pub refused: u64,
    /// Positions with which clients have come back and have got all that they had missed.
    pub recovered: u64,
    /// Positions with which clients have come back too late.
    pub positions_gone: u64,
    /// Panics of code of the application that were caught, since no call of the application's was there to get them: of
    /// [`Builder::encode`](crate::Builder::encode) for a message of others, and of traits of keys, users and data that
    /// come from other nodes. What was to be done has been left out, and is logged as an error.
    pub panics: u64,
}

impl Stats {
    pub(crate) fn of<K, U, D>(node: &Node<K, U, D>) -> Self {
        node.sweep();
        let counters = &node.counters;
        Self {
            bus: node.elsewhere().map(Elsewhere::stats),
            rooms: node.room_count.load(Relaxed),
            occupied_rooms: counters.occupied.load(Relaxed),
            members: counters.memberships.load(Relaxed),
            sessions: node.tabs.len(),
            users: counters.users.load(Relaxed),
            history_bytes: node.history_bytes.load(Relaxed),
            sent: counters.sent.load(Relaxed),
            delivered: counters.delivered.load(Relaxed),
            dropped: counters.dropped.load(Relaxed),
            gone: counters.gone.load(Relaxed),
            unsupported: counters.unsupported.load(Relaxed),
            refused: counters.refused.load(Relaxed),
            recovered: counters.recovered.load(Relaxed),
            positions_gone: counters.positions_gone.load(Relaxed),
            panics: counters.panics(),
        }
    }
}
