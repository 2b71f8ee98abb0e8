//! Parts of responses that do not depend on a transport: status, header policies, fixed pages, rejections.
//!
//! Imports: util.

pub(crate) mod cache;
pub(crate) mod cause;
pub(crate) mod client;
pub(crate) mod cors;
pub(crate) mod etag;
pub(crate) mod iframe;
pub(crate) mod info;
pub(crate) mod rejection;
pub(crate) mod reply;
