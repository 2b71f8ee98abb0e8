//! From a request to its response: target, origin, method, owner, session.
//!
//! Imports: cluster, transport, options, origin, response, session, util.

#[cfg(feature = "cluster")]
mod base_url;
#[cfg(feature = "cluster")]
mod cluster_log;
pub(crate) mod dispatch;
pub(crate) mod endpoint;
pub(crate) mod erased;
#[cfg(feature = "cluster")]
mod forward;
pub(crate) mod head;
#[cfg(feature = "cluster")]
mod hop;
#[cfg(feature = "cluster")]
mod link;
mod open;
mod pages;
mod session_url;
mod target;
