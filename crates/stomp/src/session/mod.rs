//! A client's session.
//!
//! Imports: `app`, `broker`, `events`, `handler`, `link`, `message`, `options`, `outbox`, `outcome`, `subscription`.

mod connect;
mod connection;
mod core;
mod destination;
mod driver;
mod handle;
mod heart_beat;
mod pieces;
mod pulse;
mod rate;
mod refusal;
mod slot;
mod transactions;
mod work;

pub use self::handle::Session;
pub(crate) use self::{connection::Connection, driver::serve};
