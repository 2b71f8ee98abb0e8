//! What a handler is called for.

use std::{fmt, sync::Arc};

use bytes::Bytes;
use bytestring::ByteString;
use http::request::Parts;
use stomp_codec::{Command, Headers};

use crate::{link::Link, messenger::Messenger, session::Session};

/// What a function of the application's is called for: a frame, and where it came from.
///
/// [`FromMessage`](crate::FromMessage) reads it.
pub struct Context<'a> {
    pub(crate) frame: &'a Inbound,
    /// `None` in `on_connect`, which runs before the session begins.
    pub(crate) session: Option<&'a Session>,
    pub(crate) messenger: &'a Messenger,
    pub(crate) link: &'a Link,
    /// The request that opened the connection. Extractors may change it, as axum's do.
    pub(crate) opening: &'a mut Parts,
}

impl Context<'_> {
    /// The command of the frame: `SEND`, `SUBSCRIBE`, or in `on_connect` `CONNECT` or `STOMP`.
    #[must_use]
    pub fn command(&self) -> Command {
        self.frame.command
    }

    /// The destination as the client has sent it, with the prefix; empty in `on_connect`.
    #[must_use]
    pub fn destination(&self) -> &ByteString {
        &self.frame.destination
    }

    /// The path that the handler was registered with, such as `/chat/{room}`; empty for functions that have none.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.frame.route
    }

    /// The headers of the frame, decoded. In `on_connect` the `passcode` is among them.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.frame.headers
    }

    /// The body of the frame.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.frame.body
    }

    /// The session, which there is not yet in `on_connect`.
    #[must_use]
    pub fn session(&self) -> Option<&Session> {
        self.session
    }

    /// Who the SockJS or WebSocket endpoint says that the client is, in `on_connect` too: see
    /// [`Identity`](crate::Identity).
    #[must_use]
    pub fn identity<I: 'static>(&self) -> Option<&I> {
        self.link.identity()
    }

    /// Sends messages.
    #[must_use]
    pub fn messenger(&self) -> &Messenger {
        self.messenger
    }

    /// The request that opened the connection, for axum's extractors. What they change, later ones see.
    #[must_use]
    pub fn opening(&mut self) -> &mut Parts {
        self.opening
    }
}

impl fmt::Debug for Context<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Context")
            .field("frame", self.frame)
            .field("session", &self.session)
            .finish_non_exhaustive()
    }
}

/// A frame on its way to a handler.
#[derive(Clone)]
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

/// Without the headers, among which may be a passcode, and without the body.
impl fmt::Debug for Inbound {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Inbound")
            .field("command", &self.command)
            .field("destination", &self.destination)
            .field("route", &self.route)
            .finish_non_exhaustive()
    }
}
