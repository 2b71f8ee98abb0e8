//! The settings of an endpoint. All layers above read them.
//!
//! Imports: cluster, origin, response, session.

pub(crate) mod affinity_cookie;
pub(crate) mod builder;
#[cfg(feature = "cluster")]
mod cluster;
pub(crate) mod cookie;
pub(crate) mod cors;
mod derived;
mod limits;
pub(crate) mod peer_key;
mod rates;
#[cfg(feature = "websocket")]
pub(crate) mod subprotocols;
mod table;
pub(crate) mod transport_set;
pub(crate) mod validate;
#[cfg(feature = "websocket")]
mod websocket;
