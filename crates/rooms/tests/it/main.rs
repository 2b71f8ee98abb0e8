//! The rooms as an application uses them, with sessions in process.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

mod support;

mod history;
mod model;
mod nodes;
mod presence;
mod rooms;
mod users;
