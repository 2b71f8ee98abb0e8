//! The settings of an endpoint. All layers above read them.
//!
//! Imports: origin, response, session, protocol.

pub(crate) mod affinity_cookie;
pub(crate) mod builder;
pub(crate) mod cookie;
pub(crate) mod cors;
mod derived;
pub(crate) mod peer_key;
mod table;
