//! The origin check: the headers of a request in, a verdict out.
//!
//! Browsers reveal the origin of a request in three headers, which are checked in this order:
//!
//! 1. `Sec-Fetch-Site` ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)), sent by every browser since 2023 to
//!    HTTPS and to localhost: the browser itself compares the origins of page and server, even if a proxy changes
//!    `Host`;
//! 2. `Origin` ([RFC 6454](https://www.rfc-editor.org/rfc/rfc6454)), with cross-origin XHR, every WebSocket and
//!    nearly every `POST`;
//! 3. `Referer`, with the rest: script elements, frames, the forms of old browsers.
//!
//! No page can set any of them, but a client that is not a browser can set all of them. So a verdict protects users
//! from foreign pages, and nothing else.
//!
//! Imports: response, util.

pub(crate) mod log;
pub(crate) mod parse;
pub(crate) mod pattern;
pub(crate) mod policy;
pub(crate) mod request;
#[cfg(test)]
mod tests;
