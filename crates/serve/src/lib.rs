#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod report;
mod server;
mod signal;

pub use self::{report::Report, server::Server, signal::terminated};
