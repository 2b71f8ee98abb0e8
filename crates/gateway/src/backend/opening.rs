//! What a backend may be told of: the request that opens a session.

use std::net::{IpAddr, SocketAddr};

use axum::extract::ConnectInfo;
use http::{
    HeaderMap, Method,
    header::{ACCEPT, SEC_WEBSOCKET_PROTOCOL, UPGRADE},
    request::Parts,
};

/// The request that opens a session.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Opening<'a> {
    /// Its extensions have the peer's address, as `ConnectInfo<SocketAddr>`.
    pub(crate) parts: &'a Parts,
    /// The sub-protocols of the route, the preferred one first.
    pub(crate) subprotocols: &'a [String],
    pub(crate) scheme: Scheme,
    /// Whether the peer is a proxy whose `X-Forwarded-…` and `Forwarded` count.
    pub(crate) is_from_trusted_proxy: bool,
}

/// How the request came to this gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Scheme {
    Http,
    Https,
}

/// How the client opens its session, as far as that shows in the request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    WebSocket,
    /// XHR, by a `POST`.
    Xhr,
    EventSource,
    /// A script or a page, whose URL names a function.
    Callback,
}

impl<'a> Opening<'a> {
    pub(super) fn kind(&self) -> Kind {
        let headers = &self.parts.headers;
        if self.parts.method == Method::CONNECT || has_token(headers, &UPGRADE, "websocket") {
            Kind::WebSocket
        } else if self.parts.method == Method::POST {
            Kind::Xhr
        } else if headers
            .get_all(ACCEPT)
            .iter()
            .any(|accept| contains(accept.as_bytes(), b"text/event-stream"))
        {
            Kind::EventSource
        } else {
            Kind::Callback
        }
    }

    /// The sub-protocols to ask the backend for: the one that a WebSocket's client agrees on with the endpoint, which
    /// chooses by the same rule; all of them for a client that offers none. sockjs-client never does.
    pub(super) fn asks_for(&self) -> &'a [String] {
        if self.kind() != Kind::WebSocket || !self.parts.headers.contains_key(SEC_WEBSOCKET_PROTOCOL) {
            return self.subprotocols;
        }
        let offered = |name: &str| {
            let lines = self.parts.headers.get_all(SEC_WEBSOCKET_PROTOCOL).iter();
            lines
                .filter_map(|line| line.to_str().ok())
                .flat_map(|line| line.split(','))
                .any(|one| one.trim() == name)
        };
        self.subprotocols.iter().position(|name| offered(name)).map_or(&[], |at| &self.subprotocols[at..=at])
    }

    pub(super) fn peer(&self) -> Option<IpAddr> {
        self.parts
            .extensions
            .get::<ConnectInfo<SocketAddr>>()
            .map(|ConnectInfo(peer)| peer.ip().to_canonical())
    }
}

/// Whether a header that is a list has this word, in whatever case.
pub(super) fn has_token(headers: &HeaderMap, name: &http::HeaderName, token: &str) -> bool {
    let lines = headers.get_all(name).iter();
    let mut words = lines.flat_map(|line| line.as_bytes().split(|&byte| byte == b','));
    words.any(|word| word.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

fn contains(text: &[u8], part: &[u8]) -> bool {
    text.windows(part.len()).any(|here| here.eq_ignore_ascii_case(part))
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    fn opening<'a>(parts: &'a Parts, subprotocols: &'a [String]) -> Opening<'a> {
        Opening { parts, subprotocols, scheme: Scheme::Http, is_from_trusted_proxy: false }
    }

    #[test]
    fn shows_how_it_comes() {
        for (method, header, value, kind) in [
            ("GET", "upgrade", "WebSocket", Kind::WebSocket),
            ("CONNECT", "accept", "*/*", Kind::WebSocket),
            ("POST", "accept", "*/*", Kind::Xhr),
            ("GET", "accept", "text/event-stream", Kind::EventSource),
            ("GET", "accept", "*/*", Kind::Callback),
        ] {
            let parts =
                Request::builder().method(method).header(header, value).body(()).unwrap().into_parts().0;
            assert_eq!(opening(&parts, &[]).kind(), kind, "{method} {header}: {value}");
        }
    }

    #[test]
    fn asks_for_what_the_client_agrees_on() {
        let known = ["v12.stomp".to_owned(), "v11.stomp".to_owned()];
        let asks = |lines: &[&str]| {
            let mut request = Request::builder().header("upgrade", "websocket");
            for line in lines {
                request = request.header("sec-websocket-protocol", *line);
            }
            let parts = request.body(()).unwrap().into_parts().0;
            opening(&parts, &known).asks_for().to_vec()
        };
        assert_eq!(asks(&["v10.stomp, v11.stomp", "v12.stomp"]), ["v12.stomp"]);
        assert_eq!(asks(&["v10.stomp,v11.stomp"]), ["v11.stomp"]);
        assert!(asks(&["v10.stomp"]).is_empty());
        assert_eq!(asks(&[]), known);
        let post = Request::post("/").body(()).unwrap().into_parts().0;
        assert_eq!(opening(&post, &known).asks_for(), known);
    }
}
