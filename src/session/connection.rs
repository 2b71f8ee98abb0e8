//! What is fixed when a session opens.

use std::net::SocketAddr;

use super::{connection_id::ConnectionId, owner::Owner};
use crate::protocol::transport::Transport;

/// What is fixed when a session opens.
#[derive(Debug, Clone)]
pub(crate) struct Connection {
    pub(crate) id: ConnectionId,
    pub(crate) transport: Transport,
    pub(crate) peer: Option<SocketAddr>,
    /// Whom it belongs to, where the application says so.
    pub(crate) owner: Option<Owner>,
    /// What a WebSocket's client and the endpoint have agreed on.
    pub(crate) subprotocol: Option<Box<str>>,
    /// Whether it carries binary messages.
    pub(crate) binary: bool,
    /// Whether its peer answers pings.
    pub(crate) pings: bool,
}
