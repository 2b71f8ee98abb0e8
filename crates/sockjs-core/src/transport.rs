//! The transports.

use std::{fmt, str::FromStr};

/// A transport between client and server.
///
/// It is shown and parsed by its [name](Self::name). Its [path](Self::path) differs from that.
///
/// ```
/// use sockjs_core::Transport;
///
/// let transport: Transport = "xhr-streaming".parse()?;
/// assert_eq!(transport, Transport::XhrStreaming);
/// assert_eq!(transport.path(), "xhr_streaming");
/// assert_eq!(transport.send_path(), Some("xhr_send"));
/// # Ok::<(), sockjs_core::UnknownTransport>(())
/// ```
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
    #[inline]
    #[must_use]
    pub const fn name(self) -> &'static str {
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

    /// Returns the last part of the URL that receives: `/SERVER/SESSION/` stands before it below the prefix of an
    /// endpoint, but for the raw WebSocket, which has no session in its URL.
    #[inline]
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::WebSocket | Self::RawWebSocket => "websocket",
            Self::XhrStreaming => "xhr_streaming",
            Self::EventSource => "eventsource",
            Self::HtmlFile => "htmlfile",
            Self::XhrPolling => "xhr",
            Self::JsonpPolling => "jsonp",
        }
    }

    /// Returns the last part of the URL for sending, behind the same `/SERVER/SESSION/`: `jsonp_send` for JSONP,
    /// `xhr_send` for the other transports over HTTP, and `None` for a WebSocket, which sends through its connection.
    #[inline]
    #[must_use]
    pub const fn send_path(self) -> Option<&'static str> {
        match self {
            Self::WebSocket | Self::RawWebSocket => None,
            Self::XhrStreaming | Self::EventSource | Self::HtmlFile | Self::XhrPolling => Some("xhr_send"),
            Self::JsonpPolling => Some("jsonp_send"),
        }
    }

    /// Returns whether it is a WebSocket, framed or raw.
    #[inline]
    #[must_use]
    pub const fn is_socket(self) -> bool {
        matches!(self, Self::WebSocket | Self::RawWebSocket)
    }

    /// Returns whether its requests come from script elements, frames and forms, and therefore have no `Origin`.
    #[inline]
    #[must_use]
    pub const fn is_legacy(self) -> bool {
        matches!(self, Self::HtmlFile | Self::JsonpPolling)
    }

    /// Returns whether each response carries one frame.
    #[inline]
    #[must_use]
    pub const fn is_polling(self) -> bool {
        matches!(self, Self::XhrPolling | Self::JsonpPolling)
    }

    /// Returns whether messages travel in SockJS frames: all but the raw WebSocket.
    #[inline]
    #[must_use]
    pub const fn is_framed(self) -> bool {
        !matches!(self, Self::RawWebSocket)
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Transport {
    type Err = UnknownTransport;

    /// Parses the [name](Self::name) of a transport, in lower case as it is there.
    fn from_str(name: &str) -> Result<Self, UnknownTransport> {
        let found = Self::ALL.iter().find(|transport| transport.name() == name);
        found.copied().ok_or_else(|| UnknownTransport(name.into()))
    }
}

/// A text that is no transport's [name](Transport::name).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UnknownTransport(Box<str>);

impl fmt::Display for UnknownTransport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "there is no transport {:?}, only ", self.0)?;
        for (index, transport) in Transport::ALL.iter().enumerate() {
            write!(f, "{}{transport}", if index > 0 { ", " } else { "" })?;
        }
        Ok(())
    }
}

impl std::error::Error for UnknownTransport {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_parsed() {
        for &transport in Transport::ALL {
            assert_eq!(transport.to_string().parse(), Ok(transport));
        }
        for name in ["", "xhr", "XHR-polling", "websocket "] {
            assert!(name.parse::<Transport>().is_err(), "{name}");
        }
        assert_eq!(
            "a\"b".parse::<Transport>().unwrap_err().to_string(),
            "there is no transport \"a\\\"b\", only websocket, websocket-raw, xhr-streaming, eventsource, htmlfile, \
             xhr-polling, jsonp-polling"
        );
    }

    #[test]
    fn what_is_no_socket_has_a_url_for_sending() {
        for &transport in Transport::ALL {
            assert_eq!(transport.send_path().is_none(), transport.is_socket(), "{transport}");
        }
    }
}
