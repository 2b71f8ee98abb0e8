//! The rules of the official protocol suite, each held by a test of our own.
//!
//! The doc comment of a test names the test of the suite that has the same rule, as `Class.test_name`;
//! `protocol-tests/README.md` lists them all.

mod cookie;
mod eventsource;
mod htmlfile;
mod http_versions;
mod jsonp;
mod pages;
mod sessions;
#[cfg(feature = "websocket")]
mod websocket;
mod xhr;
