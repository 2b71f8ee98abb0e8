//! The transports, and the set of enabled ones.

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

    pub(crate) fn is_socket(self) -> bool {
        matches!(self, Self::WebSocket | Self::RawWebSocket)
    }

    /// Whether its requests come from script elements, frames and forms, and therefore have no `Origin`.
    pub(crate) fn is_legacy(self) -> bool {
        matches!(self, Self::HtmlFile | Self::JsonpPolling)
    }

    /// Whether each response carries one frame.
    pub(crate) fn is_polling(self) -> bool {
        matches!(self, Self::XhrPolling | Self::JsonpPolling)
    }

    pub(crate) fn is_framed(self) -> bool {
        self != Self::RawWebSocket
    }
}

impl fmt::Display for Transport {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The enabled transports: a flag for each.
///
/// No library: `enumset` would derive its traits on [`Transport`], in the public API, and `bitflags` would have a second
/// list of the transports in place of three shifts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) struct TransportSet(u8);

impl TransportSet {
    pub(crate) const ALL: Self = Self(0x7f);

    pub(crate) fn insert(&mut self, transport: Transport) {
        self.0 |= 1 << transport as u8;
    }

    pub(crate) fn remove(&mut self, transport: Transport) {
        self.0 &= !(1 << transport as u8);
    }

    pub(crate) fn contains(self, transport: Transport) -> bool {
        // Without the feature, no socket can be enabled.
        self.0 & 1 << transport as u8 != 0 && (cfg!(feature = "websocket") || !transport.is_socket())
    }

    /// The value for `websocket` in `/info`.
    pub(crate) fn has_websocket(self) -> bool {
        self.contains(Transport::WebSocket)
    }
}

impl fmt::Debug for TransportSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(Transport::ALL.iter().filter(|&&transport| self.contains(transport))).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn transports_switch_one_by_one() {
        let mut set = TransportSet::ALL;
        for &transport in Transport::ALL {
            let has = cfg!(feature = "websocket") || !transport.is_socket();
            assert_eq!(set.contains(transport), has);
            set.remove(transport);
            assert!(!set.contains(transport));
        }
        assert_eq!(set, TransportSet(0));
        set.insert(Transport::HtmlFile);
        assert_eq!(format!("{set:?}"), "[HtmlFile]");
    }
}
