//! Everything that can be set on an endpoint. Data that all layers above read, each what concerns it.
//!
//! Imports: origin, response, session, protocol.

pub(crate) mod affinity_cookie;
pub(crate) mod builder;
pub(crate) mod cookie;
pub(crate) mod cors;
mod derived;
pub(crate) mod peer_key;
mod table;
