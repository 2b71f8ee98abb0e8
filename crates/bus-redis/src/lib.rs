#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod appends;
mod bus;
mod connection;
mod counters;
mod error;
mod follow;
mod options;
mod registry;
mod scripts;
mod shared;
mod store;
mod streams;

pub use self::{bus::Redis, error::ConnectError, options::Options};
