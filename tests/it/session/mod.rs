//! The rules of a session, in process.

mod api;
mod model;
pub(crate) mod service;
mod slow;
