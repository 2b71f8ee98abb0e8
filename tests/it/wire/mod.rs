//! Real sockets.

#[cfg(feature = "websocket")]
mod hixie76;
pub(crate) mod hostile;
#[cfg(feature = "http2")]
mod http2;
mod protocol;
mod sending;
mod sessions;
