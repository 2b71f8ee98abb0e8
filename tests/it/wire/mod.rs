//! Real sockets: bytes, framing, versions of HTTP, handshakes, clients that mean harm.

mod closing;
#[cfg(feature = "websocket")]
mod floods;
#[cfg(feature = "websocket")]
mod hixie76;
mod hostile;
#[cfg(feature = "websocket")]
mod hostile_sockets;
mod http1;
#[cfg(feature = "http2")]
mod http2;
mod messages;
mod protocol;
mod receivers;
mod sending;
#[cfg(feature = "websocket")]
mod subprotocols;
#[cfg(feature = "websocket")]
mod websocket;
