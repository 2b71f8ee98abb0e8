#![doc = include_str!("../README.md")]
#![cfg_attr(docsrs, feature(doc_cfg))]

mod bus;
mod claims;
mod connect_error;
pub mod driver;
pub mod in_process;
#[cfg(any(test, feature = "kit"))]
pub mod kit;
mod node_id;
mod port;
mod random;
mod recent;
mod status;
mod streams;
mod subject;

pub use self::{
    bus::{Bus, PublishError, Receiver, SubscribeError, Subscription},
    connect_error::ConnectError,
    in_process::hub::InProcess,
    node_id::NodeId,
    port::{Delivery, Port, PortStats},
    status::{Stats, Status},
    streams::{Batch, BoxFuture, Entry, Follow, Position, Retention, StreamError, StreamId, Streams},
    subject::{InvalidSubject, Subject},
};
