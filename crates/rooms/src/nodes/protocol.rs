//! What nodes tell each other of their sessions.
//!
//! Each node counts the operations on its own sessions. All messages go over one subject, so that those of one node
//! come in order, and whoever finds that some are missing asks for all that the node has.

use serde::{Deserialize, Serialize};
use sockjs_bus::NodeId;

/// A session: its connection's id.
pub(crate) type TabId = u128;

/// An operation on the sessions of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Op<K, U, D> {
    /// A session is known, perhaps with a user.
    #[serde(rename = "e")]
    Enter(TabId, Option<U>),
    /// A session, with all of its memberships, has gone.
    #[serde(rename = "x")]
    Exit(TabId),
    /// A session is a member of a room, with these data from now on.
    #[serde(rename = "j")]
    Join(TabId, K, D),
    /// A session is no longer a member of a room.
    #[serde(rename = "l")]
    Leave(TabId, K),
    /// In place of one that is too large for the bus, has no serialized form, or cannot be read.
    #[serde(rename = "n")]
    Nothing,
}

impl<K, U, D> Op<K, U, D> {
    /// What takes away all that this one would have changed.
    pub(crate) fn withdrawn<V, E>(self) -> Op<K, V, E> {
        match self {
            Self::Enter(id, _) | Self::Exit(id) => Op::Exit(id),
            Self::Join(id, room, _) | Self::Leave(id, room) => Op::Leave(id, room),
            Self::Nothing => Op::Nothing,
        }
    }

    pub(crate) fn as_ref(&self) -> Op<&K, &U, &D> {
        match self {
            Self::Enter(id, user) => Op::Enter(*id, user.as_ref()),
            Self::Exit(id) => Op::Exit(*id),
            Self::Join(id, room, data) => Op::Join(*id, room, data),
            Self::Leave(id, room) => Op::Leave(*id, room),
            Self::Nothing => Op::Nothing,
        }
    }
}

/// An operation with its number, the first being 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record<K, U, D> {
    pub(crate) revision: u64,
    pub(crate) op: Op<K, U, D>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Message<K, U, D> {
    /// A node has started, and asks all others for snapshots. Whoever was at its address before is no longer there.
    Hello { version: u64, address: Option<String> },
    /// A node is there, and has had this many operations.
    Beat { version: u64, address: Option<String> },
    /// A node stops.
    Bye,
    /// A snapshot of what a node has is asked for.
    Want { node: NodeId },
    /// Operations, with the number of those before them.
    Delta { version: u64, ops: Vec<Op<K, U, D>> },
    /// A part of all that a node has after so many operations.
    Snapshot { version: u64, part: Part, records: Vec<Record<K, U, D>> },
}

/// Which part of a snapshot it is: the first has 0.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Part {
    pub(crate) index: u32,
    pub(crate) is_last: bool,
}

impl Part {
    /// All at once.
    pub(crate) const WHOLE: Self = Self { index: 0, is_last: true };
}

/// A message of another node.
#[derive(Debug)]
pub(crate) struct Received<K, U, D> {
    pub(crate) message: Message<K, U, D>,
    /// How many bytes the JSON of each item in it has.
    pub(crate) sizes: Vec<usize>,
    /// How many operations in it could not be read.
    pub(crate) unreadable: u64,
}

#[cfg(test)]
impl<K, U, D> From<Message<K, U, D>> for Received<K, U, D> {
    fn from(message: Message<K, U, D>) -> Self {
        Self { message, sizes: Vec::new(), unreadable: 0 }
    }
}
