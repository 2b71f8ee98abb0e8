//! The names under `/SERVER/SESSION/`, one row each in [`ROUTES`].

use http::{Method, request::Parts};

#[cfg(feature = "websocket")]
use super::websocket::handshake;
use super::{callback::InvalidCallback, eventsource, htmlfile, jsonp, receiver::Receiver, send, xhr};
use crate::{origin::request::MissingOrigin, protocol::transport::Transport};

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
    /// What becomes of a request without an origin.
    pub(crate) fn missing_origin(&self) -> MissingOrigin {
        if self.transports.iter().all(|transport| transport.is_legacy()) {
            MissingOrigin::Refused
        } else if self.transports == [EventSource] {
            // The one that any page can open by a `GET`.
            MissingOrigin::AllowedWithoutCredentials
        } else {
            MissingOrigin::Allowed
        }
    }

    /// Whether it serves this request's method.
    pub(crate) fn serves(&self, parts: &Parts) -> bool {
        match self.action {
            #[cfg(feature = "websocket")]
            Action::WebSocket => handshake::is_opening(parts),
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

#[cfg(test)]
mod tests {
    use super::*;

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
