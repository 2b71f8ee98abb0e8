//! The driver with a real server: `nats-server` of the search path.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod credentials;
mod engine;
mod library;
mod store;

driver_tests::tests!(engine::Server);
driver_tests::tests_of_tls!(engine::Server);
