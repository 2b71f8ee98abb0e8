//! The rooms of one node on a bus.
//!
//! # Subjects
//!
//! | subject | who publishes | who subscribes |
//! |---|---|---|
//! | `nodes` | each node: what it has | each node |
//! | `all` | messages to all, and log-outs | each node |
//! | `room.KEY` | messages to a room | each node with a member |
//! | `user.USER` | messages to a user | each node with a tab |
//! | stream `room.KEY` | messages to a room with history | each node with a member |
//!
//! # Locks
//!
//! That of the cluster may be held when a room's is taken, and never the other way round. `Eq`, `Hash`, `Clone` and
//! `Drop` of the application's keys, users and data may run under it: they must not use the rooms.
//!
//! Imports: build_error, bus_stats, error, history, key, node, nodes, position.

pub(crate) mod connect;
mod envelope;
mod following;
mod keeping;
pub(crate) mod link;
mod log_outs;
mod room_link;
mod task;
mod unsure;
mod upkeep;
mod waiting;
