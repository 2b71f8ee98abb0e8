//! The options of WebSockets alone.

use std::borrow::Cow;

use http::request::Parts;

use super::{builder::Options, subprotocols::Subprotocols};

/// # WebSockets
impl Options {
    /// Accepts the WebSocket handshake from before RFC 6455, "hixie-76", and its framing, for browsers like Safari 5.
    /// The protocol has no binary data, no ping and no close code.
    pub fn hixie76(mut self, accept: bool) -> Self {
        self.hixie76 = accept;
        self
    }

    /// Sets the sub-protocols that the endpoint knows, by preference ([RFC 6455, section
    /// 4.2.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2.2)). The first of them that a WebSocket's client
    /// offers is the session's: see [`Session::subprotocol`](crate::Session::subprotocol). If it offers none of them,
    /// the handshake succeeds without one, and a browser then closes the connection if it has offered any.
    ///
    /// The raw and the framed WebSocket negotiate, also over HTTP/2. sockjs-client offers none, and the HTTP transports
    /// have no sub-protocols.
    ///
    /// ```
    /// use axum_sockjs::Options;
    ///
    /// let options = Options::new().subprotocols(["v12.stomp", "v11.stomp", "v10.stomp"]);
    /// ```
    ///
    /// # Panics
    /// If a name is not a token (letters, digits and `!#$%&'*+-.^_|~` or a backtick), or is named twice.
    #[track_caller]
    pub fn subprotocols<I>(mut self, names: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Cow<'static, str>>,
    {
        self.subprotocols = Subprotocols::known(names.into_iter().map(Into::into));
        self
    }

    /// Sets a function that chooses the sub-protocol of a WebSocket, in place of a list of
    /// [`subprotocols`](Self::subprotocols). It gets the names that the client offers, at least one and in the client's
    /// order, and the head of the opening request without the protocol's session id. It returns one of the names, or
    /// `None`; another name counts as `None`, and the first one logs a `WARN`. It runs for every WebSocket that opens
    /// with an offer, before the handler's extractors, so it must be fast.
    ///
    /// ```
    /// use axum_sockjs::Options;
    ///
    /// // The newest version that the client has, but only where the path is that of the new application.
    /// let options = Options::new().choose_subprotocol(|offered, request| {
    ///     let newest = offered.iter().filter(|name| name.starts_with("chat.v")).max()?;
    ///     request.uri.query().is_some_and(|query| query == "new").then_some(*newest)
    /// });
    /// ```
    pub fn choose_subprotocol<F>(mut self, choose: F) -> Self
    where
        F: for<'a> Fn(&[&'a str], &Parts) -> Option<&'a str> + Send + Sync + 'static,
    {
        self.subprotocols = Subprotocols::custom(Box::new(choose));
        self
    }
}
