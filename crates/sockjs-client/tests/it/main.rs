//! The client against a real server, over real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod bad_servers;
mod closing;
mod docs;
mod fallback;
mod faults;
mod proxy;
mod servers;
mod support;
mod tables;
#[cfg(feature = "rustls")]
mod tls;
mod tool;
mod transports;
