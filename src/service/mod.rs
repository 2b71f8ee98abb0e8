//! From a request to its response: target, origin, method, owner, session.
//!
//! Imports: transport, options, origin, response, session, util.

pub(crate) mod dispatch;
pub(crate) mod endpoint;
pub(crate) mod erased;
pub(crate) mod head;
mod open;
mod pages;
mod session_url;
mod target;
