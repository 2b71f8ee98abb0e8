#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod appends;
mod connection;
mod error;
mod follow;
mod nats;
mod options;
mod registry;
mod shared;
mod store;
mod streams;

pub use self::{nats::Nats, options::Options};
pub use sockjs_bus::ConnectError;
