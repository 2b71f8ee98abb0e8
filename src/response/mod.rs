//! Everything about answers that no transport decides: status, header policies, fixed pages, refusal_log.
//!
//! Imports: util.

pub(crate) mod cache;
pub(crate) mod client;
pub(crate) mod cors;
pub(crate) mod etag;
pub(crate) mod iframe;
pub(crate) mod info;
pub(crate) mod rejection;
pub(crate) mod reply;
