//! The rooms as an application uses them, with sessions in process.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use axum_sockjs_rooms::Builder;

mod support;

/// What these tests have of one node alone, `bus.rs` has of a node on a bus.
fn configure<K, U, D>(builder: Builder<K, U, D>) -> Builder<K, U, D> {
    builder
}

mod cluster;
mod history;
mod link;
mod model;
mod nodes;
mod presence;
mod recovery;
mod refused;
mod rooms;
mod sockets;
mod threads;
mod users;
