//! A client's session.
//!
//! Imports: `app`, `broker`, `events`, `handler`, `link`, `message`, `options`, `outbox`, `outcome`, `subscription`.

mod connection;
mod core;
mod destination;
mod handle;
mod heart_beat;
mod pieces;
mod pulse;
mod rate;
mod refusal;
mod slot;
mod transactions;

pub use self::handle::Session;
