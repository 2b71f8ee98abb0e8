//! What a stop comes to.

use std::fmt;

use axum_sockjs::ShutdownReport;

/// What became of the endpoints and connections of a [`Server`](crate::Server) that was stopped.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
#[must_use]
pub struct Report {
    /// One for each [endpoint](crate::Server::endpoint), in the order in which they were given.
    pub endpoints: Vec<ShutdownReport>,
    /// Connections that were cut off in the middle of a request or an answer. A WebSocket over HTTP/1.1 counts as long as
    /// its handshake takes, one over HTTP/2 as long as it is open.
    pub connections_cut_off: usize,
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for endpoint in &self.endpoints {
            write!(f, "{endpoint}; ")?;
        }
        write!(f, "{} connections cut off", self.connections_cut_off)
    }
}
