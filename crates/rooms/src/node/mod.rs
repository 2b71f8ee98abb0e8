//! The rooms of one node: who is in them, what is kept of them, and what is sent to them.
//!
//! Nothing here is public. The modules above ask it through [`Node`](node::Node): what other nodes have to be told
//! passes through its methods (`enter` and `exit`, `insert`, `set_data` and `remove`, the `send_to_…`), and what they
//! tell can be added to what these answer.
//!
//! # Locks
//!
//! Those of an index, of a room, of a tab, of a user, and of the events: held for a few assignments, in this order. Nothing
//! waits, is woken, or is dropped under them that may be the application's, and no code of the application runs there:
//! not even `Eq` and `Hash` of its keys.
//!
//! Imports: bus_stats, error, history, key, nodes, position, recovery, sent.

pub(crate) mod changes;
mod closing;
pub(crate) mod counters;
pub(crate) mod delivery;
pub(crate) mod elsewhere;
pub(crate) mod end;
pub(crate) mod idle;
pub(crate) mod index;
pub(crate) mod joining;
pub(crate) mod log;
pub(crate) mod members;
pub(crate) mod node;
pub(crate) mod room;
pub(crate) mod sending;
pub(crate) mod stream;
pub(crate) mod tab;
pub(crate) mod user_changes;
