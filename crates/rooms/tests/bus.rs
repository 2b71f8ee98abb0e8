//! What is true of rooms on one node is true of the only node on a bus.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use std::sync::Arc;

use axum_sockjs_rooms::{Builder, Data, Key};
use sockjs_bus::InProcess;

#[path = "it/support.rs"]
mod support;

#[path = "it/presence.rs"]
mod presence;
#[path = "it/rooms.rs"]
mod rooms;
#[path = "it/users.rs"]
mod users;

fn configure<K: Key, U: Key, D: Data>(builder: Builder<K, U, D>) -> Builder<K, U, D> {
    builder.bus(Arc::new(InProcess::new().connect()))
}
