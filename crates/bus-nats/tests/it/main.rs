//! The driver with a real server: `nats-server` of the search path.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod core;
mod rooms;
mod server;
mod stomp;
mod streams;
