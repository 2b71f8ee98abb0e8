//! Everything about answers that no transport decides: status, header policies, fixed pages.

pub(crate) mod cache;
pub(crate) mod client;
pub(crate) mod cookie;
pub(crate) mod cors;
pub(crate) mod etag;
pub(crate) mod iframe;
pub(crate) mod info;
pub(crate) mod reply;
