//! What an application mounts and holds: the endpoint, its handler, its handle.
//!
//! Imports: service, options, session, protocol.

pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod identity;
pub(crate) mod layer;
#[cfg(feature = "metrics")]
mod metrics;
pub(crate) mod sockjs;
pub(crate) mod stats;
