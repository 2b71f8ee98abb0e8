//! Which pages may use an endpoint: a request's headers in, a verdict out.
//!
//! Browsers tell a server where a request comes from in three ways, which are asked in this order:
//!
//! 1. `Sec-Fetch-Site` ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)), of every browser since 2023,
//!    to HTTPS and to localhost: the browser itself says whether page and server have one origin, whatever a
//!    proxy has made of `Host`;
//! 2. `Origin` ([RFC 6454](https://www.rfc-editor.org/rfc/rfc6454)), with cross-origin XHR, every WebSocket and
//!    nearly every `POST`;
//! 3. `Referer`, with what is left: script elements, frames, the forms of old browsers.
//!
//! No page can set any of them, and what is not a browser can set all of them. So a verdict protects users
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
