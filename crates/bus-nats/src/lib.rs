#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod appends;
mod connection;
mod counters;
mod error;
mod follow;
mod nats;
mod options;
mod registry;
mod shared;
mod store;
mod streams;

pub use self::{error::ConnectError, nats::Nats, options::Options};
