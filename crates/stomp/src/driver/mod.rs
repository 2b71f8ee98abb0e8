//! The task of a session: from the first byte to the last.
//!
//! Imports: app, broker, events, handler, link, message, messenger, options, outbox, outcome, payload, session, stats,
//! stream, subscription.

mod connect;
mod connection;
mod core;
mod destination;
mod heart_beat;
mod pieces;
mod pulse;
mod rate;
mod slot;
mod task;
mod transactions;
mod work;

pub(crate) use self::{connection::Connection, task::serve};
