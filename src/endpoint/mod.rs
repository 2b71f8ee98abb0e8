//! The endpoint that an application mounts, its handler and its handle.
//!
//! Imports: service, options, response, session.

pub(crate) mod debug_handler;
mod extractors;
mod function;
pub(crate) mod handle;
pub(crate) mod handler;
pub(crate) mod identity;
pub(crate) mod layer;
#[cfg(feature = "metrics")]
mod metrics;
pub(crate) mod output;
pub(crate) mod pair;
#[cfg(feature = "websocket")]
pub(crate) mod raw_websocket;
mod router;
mod seal;
pub(crate) mod sockjs;
pub(crate) mod stats;
