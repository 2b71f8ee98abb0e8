//! `/websocket`, framed and raw.

mod accept;
mod frames;
pub(crate) mod handshake;
pub(crate) mod hixie76;
mod io;
mod messages;
mod rfc6455;
mod socket;
