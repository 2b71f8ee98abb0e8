//! The opening handshake ([RFC 6455, section 4.2](https://www.rfc-editor.org/rfc/rfc6455#section-4.2)).

use axum::response::Response;
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, StatusCode,
    header::{
        CONNECTION, SEC_WEBSOCKET_ACCEPT, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION,
        UPGRADE,
    },
    request::Parts,
};
use hyper::upgrade::OnUpgrade;
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::hixie76;
use crate::{
    options::builder::Options,
    response::{rejection::Rejection, reply},
};

/// A valid WebSocket handshake request.
pub(crate) struct Upgrade {
    pub(super) on_upgrade: OnUpgrade,
    pub(super) response: Response,
    pub(super) version: Version,
}

pub(super) enum Version {
    Rfc6455,
    Hixie76(hixie76::Keys),
}

impl Upgrade {
    /// Checks a `GET` of a WebSocket URL, or an extended `CONNECT`.
    pub(crate) fn from_request(parts: &mut Parts, options: &Options) -> Result<Self, Rejection> {
        if is_extended_connect(parts) {
            return extended_connect(parts);
        }
        if !has_token(&parts.headers, &UPGRADE, "websocket") {
            return Err(Rejection::Handshake("Can \"Upgrade\" only to \"WebSocket\".\n"));
        }
        // A proxy that does not support upgrades may have rewritten this header
        // (suite: `test_invalidConnectionHeader`).
        if !has_token(&parts.headers, &CONNECTION, "upgrade") {
            return Err(Rejection::Handshake("\"Connection\" must be \"Upgrade\".\n"));
        }
        let keys = if options.hixie76 { hixie76::Keys::from_request(parts, options) } else { None };
        let (version, mut response) = match keys {
            Some(keys) => {
                let response = keys.response();
                (Version::Hixie76(keys), response)
            }
            None => (Version::Rfc6455, rfc6455(&parts.headers)?),
        };
        // Missing on HTTP/1.0, on HTTP/2, and if a layer has created a new request.
        let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
            return Err(Rejection::UpgradeRequired("This connection cannot be upgraded.\n"));
        };
        *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
        response.headers_mut().insert(CONNECTION, HeaderValue::from_static("Upgrade"));
        Ok(Self { on_upgrade, response, version })
    }

    /// Names the sub-protocol in the response: one that the request offers, or none.
    pub(crate) fn agree_on(&mut self, subprotocol: Option<&str>) {
        let headers = self.response.headers_mut();
        // hixie-76 repeats what the request offers, where the endpoint knows no sub-protocols.
        headers.remove(SEC_WEBSOCKET_PROTOCOL);
        // A token is a valid value.
        headers.extend(
            subprotocol
                .and_then(|name| HeaderValue::from_str(name).ok())
                .map(|name| (SEC_WEBSOCKET_PROTOCOL, name)),
        );
    }

    /// Whether the version has binary messages and pings.
    pub(crate) fn is_rfc6455(&self) -> bool {
        matches!(self.version, Version::Rfc6455)
    }
}

/// Whether a request has a method that opens a WebSocket.
pub(crate) fn is_opening(parts: &Parts) -> bool {
    parts.method == Method::GET || is_extended_connect(parts)
}

/// Whether this opens a WebSocket over HTTP/2 ([RFC 8441](https://www.rfc-editor.org/rfc/rfc8441)).
#[cfg(feature = "http2")]
fn is_extended_connect(parts: &Parts) -> bool {
    let protocol = parts.extensions.get::<hyper::ext::Protocol>();
    parts.method == Method::CONNECT && protocol.is_some_and(|protocol| protocol.as_str() == "websocket")
}

#[cfg(not(feature = "http2"))]
fn is_extended_connect(_: &Parts) -> bool {
    false
}

/// The `:protocol` of HTTP/2 already names WebSocket: there are no keys, and the status is 200.
fn extended_connect(parts: &mut Parts) -> Result<Upgrade, Rejection> {
    check_version(&parts.headers)?;
    let Some(on_upgrade) = parts.extensions.remove::<OnUpgrade>() else {
        return Err(Rejection::UpgradeRequired("This connection cannot be upgraded.\n"));
    };
    Ok(Upgrade { on_upgrade, response: reply::empty(StatusCode::OK), version: Version::Rfc6455 })
}

fn rfc6455(request: &HeaderMap) -> Result<Response, Rejection> {
    check_version(request)?;
    let key = request.get(SEC_WEBSOCKET_KEY).map(HeaderValue::as_bytes).filter(|key| is_key(key));
    let Some(key) = key else {
        return Err(Rejection::Handshake("\"Sec-WebSocket-Key\" must be 16 bytes in base64.\n"));
    };
    let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
    response.headers_mut().insert(UPGRADE, HeaderValue::from_static("websocket"));
    // Base64 is ASCII.
    if let Ok(accept) = HeaderValue::try_from(derive_accept_key(key)) {
        response.headers_mut().insert(SEC_WEBSOCKET_ACCEPT, accept);
    }
    Ok(response)
}

/// Version 8, of Firefox 7 and Chrome 14, differs only in the name of the origin's header.
fn check_version(request: &HeaderMap) -> Result<(), Rejection> {
    match request.get(SEC_WEBSOCKET_VERSION).map(HeaderValue::as_bytes) {
        Some(b"13" | b"8") => Ok(()),
        _ => Err(Rejection::UpgradeRequired("Only WebSocket version 13 is supported.\n")),
    }
}

/// Whether a comma-separated header has `token` in any of its lines, ignoring case.
fn has_token(headers: &HeaderMap, name: &HeaderName, token: &str) -> bool {
    headers
        .get_all(name)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&byte| byte == b','))
        .any(|part| part.trim_ascii().eq_ignore_ascii_case(token.as_bytes()))
}

/// 16 bytes are 22 base64 characters and two `=`.
fn is_key(key: &[u8]) -> bool {
    key.len() == 24
        && key.ends_with(b"==")
        && key[..22].iter().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_stand_in_lists_and_lines() {
        let mut headers = HeaderMap::new();
        headers.append(CONNECTION, HeaderValue::from_static("keep-alive"));
        headers.append(CONNECTION, HeaderValue::from_static("te , UPGRADE"));
        assert!(has_token(&headers, &CONNECTION, "upgrade"));
        headers.clear();
        headers.append(CONNECTION, HeaderValue::from_static("upgraded, no-upgrade"));
        assert!(!has_token(&headers, &CONNECTION, "upgrade"));
        for list in ["caf\u{e9}, upgrade", "upgrade,\u{e9}", "\u{e9} ,Upgrade\t, \u{e9}"] {
            headers.insert(CONNECTION, HeaderValue::from_bytes(list.as_bytes()).unwrap());
            assert!(has_token(&headers, &CONNECTION, "upgrade"), "{list}");
        }
        headers.insert(CONNECTION, HeaderValue::from_bytes("upgrade\u{e9}".as_bytes()).unwrap());
        assert!(!has_token(&headers, &CONNECTION, "upgrade"));
    }

    #[test]
    fn keys_are_sixteen_bytes() {
        assert!(is_key(b"x3JJHMbDL1EzLkh9GBhXDw=="));
        for bad in
            [&b""[..], b"x3JJHMbDL1EzLkh9GBhXDw=", b"x3JJHMbDL1EzLkh9GBhXDwA=", b"x3JJHMbDL1EzLkh9 BhXDw=="]
        {
            assert!(!is_key(bad), "{bad:?}");
        }
    }
}
