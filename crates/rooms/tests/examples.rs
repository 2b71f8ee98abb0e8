//! The examples, with the tests that stand in each.

#![allow(dead_code, unreachable_pub, reason = "their main functions")]

#[path = "../examples/chat/main.rs"]
mod chat;
