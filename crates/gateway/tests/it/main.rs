//! A gateway in process, between real sockets.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod cluster;
mod docs;
mod opening;
mod reload;
mod soak;
mod support;
