//! From a request to its answer: the target, the origin, the method, the owner, the session.
//!
//! Imports: transport, options, origin, response, session, protocol, util.

pub(crate) mod dispatch;
pub(crate) mod endpoint;
pub(crate) mod erased;
pub(crate) mod head;
mod open;
mod pages;
mod session_url;
mod target;
