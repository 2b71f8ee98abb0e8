//! The backends of a route: which of them gets the next session, which are well, and what becomes of their sessions.
//!
//! Imports: backend, config, pump.

mod checks;
mod dial;
mod health;
pub(crate) mod lease;
pub(crate) mod members;
pub(crate) mod pool;
mod shared;
pub(crate) mod snapshot;
mod state;
#[cfg(test)]
pub(crate) mod testing;
pub(crate) mod traffic;
