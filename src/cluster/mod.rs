//! Sessions on any of several nodes: the owner's name in URLs, and requests that are forwarded to it.
//!
//! Imports: util.

#[cfg(any(fuzzing, test))]
pub(crate) mod any_bytes;
pub(crate) mod check;
pub(crate) mod connection;
pub(crate) mod edges;
pub(crate) mod forward;
pub(crate) mod forwarded;
pub(crate) mod handle;
pub(crate) mod link;
#[cfg(feature = "metrics")]
mod metrics;
pub(crate) mod node_id;
pub(crate) mod options;
pub(crate) mod owner;
mod owners;
mod public_url;
pub(crate) mod relayed;
mod secret;
pub(crate) mod stats;
pub(crate) mod tag;
mod totals;
