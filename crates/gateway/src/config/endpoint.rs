//! The browsers' side of a route: what `axum_sockjs::Options` is made of.

use std::{path::PathBuf, time::Duration};

use axum_sockjs::Transport;

/// Each default is that of `axum_sockjs::Options`.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Endpoint {
    pub(crate) origins: Origins,
    pub(crate) transports: Vec<Transport>,
    pub(crate) legacy_transports: Option<bool>,
    /// Of WebSockets, the preferred one first. What a client has of these is agreed on with it, and asked of the backend;
    /// transports over HTTP ask the backend for all of them.
    pub(crate) subprotocols: Vec<String>,
    pub(crate) heartbeat: Option<Duration>,
    pub(crate) disconnect_delay: Duration,
    pub(crate) response_limit: usize,
    /// Served at `/PREFIX/sockjs.min.js`, and loaded by the iframe page.
    pub(crate) client_script: Option<PathBuf>,
    pub(crate) client_url: Option<String>,
    pub(crate) require_origin_with_credentials: bool,
    /// The name of an affinity cookie.
    pub(crate) affinity_cookie: Option<String>,
    pub(crate) max_message_bytes: usize,
    pub(crate) max_body_bytes: usize,
    pub(crate) max_batch_messages: usize,
    pub(crate) receive_queue_bytes: usize,
    pub(crate) receive_queue_messages: usize,
    pub(crate) receive_timeout: Option<Duration>,
    pub(crate) max_pending_sends: usize,
    pub(crate) send_queue_bytes: usize,
    pub(crate) write_timeout: Option<Duration>,
    pub(crate) pong_timeout: Option<Duration>,
    pub(crate) max_sessions: Option<usize>,
    pub(crate) max_sessions_per_peer: Option<usize>,
    pub(crate) message_rate: Option<u64>,
    pub(crate) byte_rate: Option<u64>,
    /// The WebSocket of Safari 5.
    pub(crate) hixie76: bool,
}

/// The pages that may use a route.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(crate) enum Origins {
    #[default]
    Same,
    Any,
    /// In the words of `axum_sockjs::Origins::list`.
    List(Vec<String>),
}
