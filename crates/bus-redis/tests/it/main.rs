//! The driver with a real server: the program that `REDIS_SERVER` names, or else `redis-server` of the search path.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod credentials;
mod engine;
mod streams;

driver_tests::tests!(engine::Server);
#[cfg(feature = "tls")]
driver_tests::tests_of_tls!(engine::Server);
