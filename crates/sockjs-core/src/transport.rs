//! The transports.

use std::fmt;

/// A transport between client and server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// A WebSocket with SockJS frames, at `/SERVER/SESSION/websocket`.
    WebSocket,
    /// A WebSocket without SockJS frames, at `/websocket`, for clients that are not browsers. The only transport with
    /// binary messages.
    RawWebSocket,
    /// One long response to a `POST`, at `xhr_streaming`.
    XhrStreaming,
    /// Server-sent events, at `eventsource`.
    EventSource,
    /// A page that keeps loading in a hidden iframe, at `htmlfile`.
    HtmlFile,
    /// One response to a `POST` per frame, at `xhr`.
    XhrPolling,
    /// One script element per frame, at `jsonp`.
    JsonpPolling,
}

impl Transport {
    /// Every transport. The order may change, and so may the number.
    pub const ALL: &'static [Self] = &[
        Self::WebSocket,
        Self::RawWebSocket,
        Self::XhrStreaming,
        Self::EventSource,
        Self::HtmlFile,
        Self::XhrPolling,
        Self::JsonpPolling,
    ];

    /// Returns the name of the transport in sockjs-client; `websocket-raw` for the raw WebSocket.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawWebSocket => "websocket-raw",
            Self::XhrStreaming => "xhr-streaming",
            Self::EventSource => "eventsource",
            Self::HtmlFile => "htmlfile",
            Self::XhrPolling => "xhr-polling",
            Self::JsonpPolling => "jsonp-polling",
        }
    }

    /// Returns whether it is a WebSocket, framed or raw.
    #[must_use]
    pub fn is_socket(self) -> bool {
        matches!(self, Self::WebSocket | Self::RawWebSocket)
    }

    /// Returns whether its requests come from script elements, frames and forms, and therefore have no `Origin`.
    #[must_use]
    pub fn is_legacy(self) -> bool {
        matches!(self, Self::HtmlFile | Self::JsonpPolling)
    }

    /// Returns whether each response carries one frame.
    #[must_use]
    pub fn is_polling(self) -> bool {
        matches!(self, Self::XhrPolling | Self::JsonpPolling)
    }

    /// Returns whether messages travel in SockJS frames: all but the raw WebSocket.
    #[must_use]
    pub fn is_framed(self) -> bool {
        self != Self::RawWebSocket
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
