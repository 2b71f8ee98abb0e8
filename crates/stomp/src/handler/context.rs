//! What a handler is called for.

use std::sync::Arc;

use bytes::Bytes;
use bytestring::ByteString;
use http::request::Parts;
use stomp_codec::{Command, Headers};

use crate::{messenger::Messenger, session::Session};

/// What a handler is called for: a frame, and the session that it came in.
#[derive(Debug)]
pub struct Context<'a> {
    pub(crate) frame: &'a Inbound,
    pub(crate) session: &'a Session,
    pub(crate) messenger: &'a Messenger,
    /// The request that opened the connection. Extractors may change it, as axum's do.
    pub(crate) opening: &'a mut Parts,
}

/// A frame on its way to a handler.
#[derive(Debug, Clone)]
pub(crate) struct Inbound {
    pub(crate) command: Command,
    /// As the client has sent it, with the prefix.
    pub(crate) destination: ByteString,
    /// The pattern of the handler, without the prefix, and what its parameters are.
    pub(crate) route: Arc<str>,
    pub(crate) params: Vec<(Arc<str>, ByteString)>,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}
