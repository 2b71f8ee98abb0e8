//! The routes below `/SERVER/SESSION/`, one row each in [`ROUTES`].

use http::{Method, request::Parts};
use sockjs_core::Transport;

#[cfg(feature = "websocket")]
use super::websocket::handshake;
use super::{callback::InvalidCallback, eventsource, htmlfile, jsonp, receiver::Receiver, send, xhr};
use crate::origin::request::MissingOrigin;

/// One name below `/SERVER/SESSION/`.
#[derive(Debug)]
pub(crate) struct Route {
    pub(crate) name: &'static str,
    /// The one method that it serves, besides `OPTIONS` if it accepts cross-origin requests.
    pub(crate) method: Method,
    pub(crate) cross_origin: bool,
    /// The route exists while any of these is enabled.
    pub(crate) transports: &'static [Transport],
    pub(crate) action: Action,
}

impl Route {
    /// The rule for a request without an origin.
    pub(crate) fn missing_origin(&self) -> MissingOrigin {
        if self.transports.iter().all(|transport| transport.is_legacy()) {
            MissingOrigin::Refused
        } else if self.transports == [EventSource] {
            // Any page can open this one with a `GET`.
            MissingOrigin::AllowedWithoutCredentials
        } else {
            MissingOrigin::Allowed
        }
    }

    /// Whether the requests of an open session are short, and so are their answers.
    #[cfg(feature = "cluster")]
    pub(crate) fn is_short(&self) -> bool {
        matches!(self.action, Action::Send(_)) || matches!(self.transports, [XhrPolling | JsonpPolling])
    }

    /// Whether the route serves the method of this request.
    pub(crate) fn serves(&self, parts: &Parts) -> bool {
        match self.action {
            #[cfg(feature = "websocket")]
            Action::WebSocket => handshake::is_opening(parts),
            _ => parts.method == self.method,
        }
    }
}

/// The action of a route.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Action {
    /// Receives frames. The function reads the query and returns the framing.
    Receive(fn(Option<&str>) -> Result<Receiver, InvalidCallback>),
    /// Sends messages, which [`Sending`](send::Sending) finds in the body.
    Send(&'static send::Sending),
    /// Upgrades to a WebSocket.
    #[cfg(feature = "websocket")]
    WebSocket,
}

use Transport::{EventSource, HtmlFile, JsonpPolling, XhrPolling, XhrStreaming};

/// The route by which a transport sends.
const fn sending(transport: Transport) -> &'static str {
    match transport.send_path() {
        Some(name) => name,
        None => panic!("a WebSocket sends through its connection"),
    }
}

/// All routes below `/SERVER/SESSION/`.
pub(crate) static ROUTES: &[Route] = &[
    #[cfg(feature = "websocket")]
    Route {
        name: Transport::WebSocket.path(),
        method: Method::GET,
        cross_origin: false,
        transports: &[Transport::WebSocket],
        action: Action::WebSocket,
    },
    Route {
        name: XhrPolling.path(),
        method: Method::POST,
        cross_origin: true,
        transports: &[XhrPolling],
        action: Action::Receive(xhr::polling),
    },
    Route {
        name: XhrStreaming.path(),
        method: Method::POST,
        cross_origin: true,
        transports: &[XhrStreaming],
        action: Action::Receive(xhr::streaming),
    },
    Route {
        name: sending(XhrPolling),
        method: Method::POST,
        cross_origin: true,
        transports: &[XhrPolling, XhrStreaming, EventSource, HtmlFile],
        action: Action::Send(&xhr::SENDING),
    },
    Route {
        name: EventSource.path(),
        method: Method::GET,
        cross_origin: true,
        transports: &[EventSource],
        action: Action::Receive(eventsource::receiver),
    },
    Route {
        name: HtmlFile.path(),
        method: Method::GET,
        cross_origin: false,
        transports: &[HtmlFile],
        action: Action::Receive(htmlfile::receiver),
    },
    Route {
        name: JsonpPolling.path(),
        method: Method::GET,
        cross_origin: false,
        transports: &[JsonpPolling],
        action: Action::Receive(jsonp::receiver),
    },
    Route {
        name: sending(JsonpPolling),
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
        for &transport in Transport::ALL {
            let routed = ROUTES.iter().any(|route| route.transports.contains(&transport));
            let elsewhere = transport == Transport::RawWebSocket
                || (transport.is_socket() && cfg!(not(feature = "websocket")));
            assert!(routed != elsewhere, "{transport}");
        }
    }

    #[test]
    fn a_transport_sends_by_the_route_of_that_name() {
        for route in ROUTES.iter().filter(|route| matches!(route.action, Action::Send(_))) {
            let names = |transport: &&Transport| transport.send_path() == Some(route.name);
            assert!(route.transports.iter().all(|transport| names(&transport)), "{}", route.name);
            assert_eq!(route.transports.len(), Transport::ALL.iter().filter(names).count(), "{}", route.name);
        }
    }
}
