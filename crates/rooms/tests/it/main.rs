//! The rooms as an application uses them, with sessions in process.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod support;

mod history;
mod model;
mod presence;
mod rooms;
mod sockets;
mod threads;
mod users;
