//! The messages between a session and its backend.
//!
//! Imports: backend, config.

pub(crate) mod ended;
pub(crate) mod pump;
pub(crate) mod settings;
