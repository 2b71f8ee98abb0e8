//! A client's session.

mod core;
mod destination;
mod handle;
mod heart_beat;
mod pieces;
mod refusal;
mod transactions;

pub use self::handle::Session;
