//! The examples, with the tests that stand in each.
//!
//! The test of `metrics` is `operating::metrics`. Examples that measure have none.

#![allow(dead_code, unreachable_pub, reason = "their main functions")]

#[path = "../../examples/auth.rs"]
mod auth;
#[path = "../../examples/broadcast/main.rs"]
mod broadcast;
#[path = "../../examples/chat.rs"]
mod chat;
#[path = "../../examples/demo/chat.rs"]
mod demo;
#[path = "../../examples/echo.rs"]
mod echo;
#[path = "../../examples/layers/main.rs"]
pub(crate) mod layers;
#[path = "../../examples/shutdown.rs"]
mod shutdown;
#[path = "../../examples/tabs/main.rs"]
mod tabs;
#[path = "../../examples/testserver.rs"]
mod testserver;
#[cfg(feature = "http2")]
#[path = "../../examples/tls.rs"]
mod tls;
