//! The settings of a gateway, as data.
//!
//! Imports: nothing.

pub(crate) mod backend;
pub(crate) mod config;
pub(crate) mod endpoint;
pub(crate) mod route;
