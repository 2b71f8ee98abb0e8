//! The transports: one file each for its framing and quirks, and one row each in [`ROUTES`].

mod body;
pub(crate) mod eventsource;
pub(crate) mod form;
mod htmlfile;
mod jsonp;
mod payload;
pub(crate) mod receive;
pub(crate) mod send;
#[cfg(feature = "websocket")]
pub(crate) mod websocket;
mod xhr;

use std::fmt;

use bytes::Bytes;
use http::{Method, request::Parts};

use crate::{origin::Silent, protocol::frame::Frame};

/// How a client talks to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Transport {
    /// A WebSocket with SockJS frames, at `/SERVER/SESSION/websocket`.
    WebSocket,
    /// A WebSocket without SockJS frames, at `/websocket`: for clients that are no browsers. The only
    /// transport with binary messages.
    RawWebSocket,
    /// One long response to a `POST`, at `xhr_streaming`.
    XhrStreaming,
    /// Server-sent events, at `eventsource`.
    EventSource,
    /// A page that goes on loading in a hidden iframe, at `htmlfile`.
    HtmlFile,
    /// One response to a `POST` per frame, at `xhr`.
    XhrPolling,
    /// One script element per frame, at `jsonp`.
    JsonpPolling,
}

impl Transport {
    /// Every transport.
    pub const ALL: [Self; 7] = [
        Self::WebSocket,
        Self::RawWebSocket,
        Self::XhrStreaming,
        Self::EventSource,
        Self::HtmlFile,
        Self::XhrPolling,
        Self::JsonpPolling,
    ];

    /// The name by which sockjs-client calls it; `websocket-raw` for the raw WebSocket.
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

    /// Whether its requests come from script elements, frames and forms, and so without an `Origin`.
    pub(crate) fn is_legacy(self) -> bool {
        matches!(self, Self::HtmlFile | Self::JsonpPolling)
    }

    /// Whether each of its responses brings one frame.
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

/// The transports that are switched on.
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
        // Without the feature there is nothing to switch on.
        self.0 & 1 << transport as u8 != 0 && (cfg!(feature = "websocket") || !transport.is_socket())
    }

    /// What `/info` tells clients.
    pub(crate) fn has_websocket(self) -> bool {
        self.contains(Transport::WebSocket)
    }
}

impl fmt::Debug for TransportSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(Transport::ALL.iter().filter(|&&transport| self.contains(transport))).finish()
    }
}

/// One of the names under `/SERVER/SESSION/`.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    /// The one method it serves, beside `OPTIONS` where it takes cross-origin requests.
    pub(crate) method: Method,
    pub(crate) cross_origin: bool,
    /// It exists while any of these is switched on.
    pub(crate) transports: &'static [Transport],
    pub(crate) action: Action,
}

impl Route {
    /// Who asks for it without saying where the request comes from.
    pub(crate) fn silent(&self) -> Silent {
        if self.transports.iter().all(|transport| transport.is_legacy()) {
            Silent::Page
        } else if self.transports == [EventSource] {
            // The one that any page can open by a `GET`.
            Silent::PageWithCredentials
        } else {
            Silent::NoPage
        }
    }

    /// Whether it serves this request's method.
    pub(crate) fn serves(&self, parts: &Parts) -> bool {
        match self.action {
            #[cfg(feature = "websocket")]
            Action::WebSocket => websocket::is_opening(parts),
            _ => parts.method == self.method,
        }
    }
}

/// What a route does.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Receives frames: the way to read the query, and to wrap frames.
    Receive(fn(Option<&str>) -> Result<Receiver, InvalidCallback>),
    /// Sends messages: the way to find them in a body, and the answer.
    Send(&'static send::Sending),
    /// Becomes a socket.
    #[cfg(feature = "websocket")]
    WebSocket,
}

use Transport::{EventSource, HtmlFile, JsonpPolling, XhrPolling, XhrStreaming};

/// Every name under `/SERVER/SESSION/`.
pub(crate) static ROUTES: &[Route] = &[
    #[cfg(feature = "websocket")]
    Route {
        name: "websocket",
        method: Method::GET,
        cross_origin: false,
        transports: &[Transport::WebSocket],
        action: Action::WebSocket,
    },
    Route {
        name: "xhr",
        method: Method::POST,
        cross_origin: true,
        transports: &[XhrPolling],
        action: Action::Receive(xhr::polling),
    },
    Route {
        name: "xhr_streaming",
        method: Method::POST,
        cross_origin: true,
        transports: &[XhrStreaming],
        action: Action::Receive(xhr::streaming),
    },
    Route {
        name: "xhr_send",
        method: Method::POST,
        cross_origin: true,
        transports: &[XhrPolling, XhrStreaming, EventSource, HtmlFile],
        action: Action::Send(&xhr::SENDING),
    },
    Route {
        name: "eventsource",
        method: Method::GET,
        cross_origin: true,
        transports: &[EventSource],
        action: Action::Receive(eventsource::receiver),
    },
    Route {
        name: "htmlfile",
        method: Method::GET,
        cross_origin: false,
        transports: &[HtmlFile],
        action: Action::Receive(htmlfile::receiver),
    },
    Route {
        name: "jsonp",
        method: Method::GET,
        cross_origin: false,
        transports: &[JsonpPolling],
        action: Action::Receive(jsonp::receiver),
    },
    Route {
        name: "jsonp_send",
        method: Method::POST,
        cross_origin: false,
        transports: &[JsonpPolling],
        action: Action::Send(&jsonp::SENDING),
    },
];

/// What sets one receiving transport apart.
pub(crate) struct Receiver {
    pub(crate) transport: Transport,
    pub(crate) content_type: &'static str,
    /// What a streaming response begins with; a polling one has none and ends after one frame.
    pub(crate) prelude: Option<Bytes>,
    pub(crate) framing: Box<dyn Framing>,
}

/// How a transport wraps a frame.
pub(crate) trait Framing: Send {
    fn wrap(&self, frame: &Frame) -> Bytes;
}

/// Why a callback parameter was refused; the texts are those the suite looks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidCallback {
    Missing,
    Malformed,
}

impl InvalidCallback {
    pub(crate) fn text(self) -> &'static str {
        match self {
            Self::Missing => "\"callback\" parameter required\n",
            Self::Malformed => "invalid \"callback\" parameter\n",
        }
    }
}

/// The name of a JavaScript function, checked.
///
/// It is written into a script that browsers run, so nothing but letters, digits, `-`, `_` and `.` comes in
/// (suite: `test_invalid_callback`), and no more of them than a name needs.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Callback(String);

impl Callback {
    const MAX_LENGTH: usize = 32;

    /// Reads `c=` or `callback=` from a query.
    pub(crate) fn from_query(query: Option<&str>) -> Result<Self, InvalidCallback> {
        let query = query.unwrap_or_default().as_bytes();
        let (_, name) = form_urlencoded::parse(query)
            .find(|(key, _)| key == "c" || key == "callback")
            .ok_or(InvalidCallback::Missing)?;
        let valid = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        if name.is_empty() {
            Err(InvalidCallback::Missing)
        } else if name.len() > Self::MAX_LENGTH || !name.bytes().all(valid) {
            Err(InvalidCallback::Malformed)
        } else {
            Ok(Self(name.into_owned()))
        }
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callbacks() {
        let parse = |query: &str| Callback::from_query(Some(query)).map(|callback| callback.0);
        assert_eq!(parse("c=%63allback"), Ok("callback".to_owned()));
        assert_eq!(parse("t=1&callback=_jp.a-Z0"), Ok("_jp.a-Z0".to_owned()));
        for missing in ["", "c", "c=", "d=x", "C=x"] {
            assert_eq!(parse(missing), Err(InvalidCallback::Missing), "{missing}");
        }
        for malformed in
            ["c=%20", "c=*", "c=abc(", "c=abc%28", "c=a+b", "c=%C3%A9", "c=a%00", "c=%3Cscript%3E"]
        {
            assert_eq!(parse(malformed), Err(InvalidCallback::Malformed), "{malformed}");
        }
        let longest = "x".repeat(Callback::MAX_LENGTH);
        assert_eq!(parse(&format!("c={longest}")), Ok(longest.clone()));
        assert_eq!(parse(&format!("c={longest}x")), Err(InvalidCallback::Malformed));
    }

    #[test]
    fn transports_switch_one_by_one() {
        let mut set = TransportSet::ALL;
        for transport in Transport::ALL {
            let has = cfg!(feature = "websocket") || !transport.is_socket();
            assert_eq!(set.contains(transport), has);
            set.remove(transport);
            assert!(!set.contains(transport));
        }
        assert_eq!(set, TransportSet(0));
        set.insert(HtmlFile);
        assert_eq!(format!("{set:?}"), "[HtmlFile]");
    }

    #[test]
    fn every_transport_has_a_route() {
        for transport in Transport::ALL {
            let routed = ROUTES.iter().any(|route| route.transports.contains(&transport));
            let elsewhere = transport == Transport::RawWebSocket
                || (transport.is_socket() && cfg!(not(feature = "websocket")));
            assert!(routed != elsewhere, "{transport}");
        }
    }
}
