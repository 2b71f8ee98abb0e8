//! The brokers of several nodes on a bus.
//!
//! # Subjects
//!
//! | subject | what is published to it | who subscribes |
//! |---|---|---|
//! | `topic.DESTINATION` | messages to a topic or a temporary queue | each node where somebody has subscribed to exactly this |
//! | `patterns` | messages to all topics | each node where somebody has subscribed to a pattern |
//! | `user.NAME` | messages to a user | each node where one of his sessions has subscribed to a destination of his |
//! | `sessions` | messages to sessions that are not of the node that sends | each node |
//! | `nodes` | what nodes say to all others: that they are there, and which queues they want and have | each node |
//! | `node.ID` | answers to one node | that node |
//!
//! A message to a topic is published twice. What comes by `topic.…` is for exact subscriptions, and what comes by `patterns`
//! is for patterns: so a node that has both gets no copy too many for anyone, and whoever subscribes to a pattern need not
//! wait until others know of it.
//!
//! # Queues
//!
//! A queue over which consumers compete is in the memory of one node, its owner. A node that needs a queue asks all
//! others, and owns it once each of them has said that it does not: see `claims`.
//!
//! # Locks
//!
//! That of the ownership is held when the map of queues is locked. No lock of the broker is held while the bus is called. That
//! by which a session reaches its broker is held: it orders what is asked for. So a driver's `publish` and `subscribe` return
//! at once, and call no receiver themselves.

mod claims;
pub(super) mod connect;
pub(super) mod connection;
mod envelope;
mod interest;
pub(super) mod link;
mod ownership;
mod protocol;
pub(super) mod settings;
mod task;
mod waiting;
