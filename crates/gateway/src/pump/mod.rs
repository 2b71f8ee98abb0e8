//! The messages between a session and its backend: both directions in one task, without a queue of its own.
//!
//! Imports: backend, config.

pub(crate) mod closing;
mod convert;
pub(crate) mod ended;
mod liveness;
pub(crate) mod pump;
pub(crate) mod settings;
#[cfg(test)]
mod tests;
