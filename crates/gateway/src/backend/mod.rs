//! One backend: how it is reached, what it is told of the request that opens a session, and what it answers.
//!
//! Imports: config.

pub(crate) mod connector;
mod cookies;
pub(crate) mod dial_error;
mod exchange;
mod forwarded;
mod frames;
mod handshake;
mod happy_eyeballs;
pub(crate) mod opening;
mod probe;
mod query;
mod request;
pub(crate) mod socket;
mod target;
#[cfg(test)]
pub(crate) mod tests;
mod tls;
