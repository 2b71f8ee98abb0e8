//! The properties of a session that are fixed when it opens.

use std::net::SocketAddr;

use sockjs_core::Transport;

use super::{connection_id::ConnectionId, owner::Owner};
/// The properties of a session that are fixed when it opens.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) transport: Transport,
    pub(crate) peer: Option<SocketAddr>,
    /// The owner, if the application identifies one.
    pub(crate) owner: Option<Owner>,
    /// The sub-protocol that the client of a WebSocket and the endpoint have agreed on.
    pub(crate) subprotocol: Option<Box<str>>,
    /// Whether the transport carries binary messages.
    pub(crate) binary: bool,
    /// Whether the peer answers pings.
    pub(crate) pings: bool,
}
