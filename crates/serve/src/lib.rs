#![doc = include_str!("../README.md")]

mod connection;
mod report;
mod server;
mod signal;

pub use self::{report::Report, server::Server, signal::terminated};
