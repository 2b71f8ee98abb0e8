#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod appends;
mod bus;
mod connection;
mod error;
mod follow;
mod options;
mod registry;
mod scripts;
mod shared;
mod store;
mod streams;

pub use self::{bus::Redis, options::Options};
pub use sockjs_bus::ConnectError;
