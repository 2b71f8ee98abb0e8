#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod connection;
mod counters;
mod error;
mod nats;
mod options;
mod registry;

pub use self::{error::ConnectError, nats::Nats, options::Options};
