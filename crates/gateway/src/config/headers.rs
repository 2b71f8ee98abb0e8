//! The headers that a configuration may pass on or set.

use http::HeaderName;

/// Of one connection, or of the handshake with the backend, which the gateway makes itself.
const OF_CONNECTION: [&str; 12] = [
    "connection",
    "content-length",
    "expect",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

fn is_of_connection(name: &HeaderName) -> bool {
    OF_CONNECTION.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-")
}

/// A header that the gateway may set in the handshake with a backend.
pub(super) fn to_set(name: HeaderName) -> Result<HeaderName, String> {
    if is_of_connection(&name) {
        return Err(format!("`{name}` belongs to the connection and cannot be set"));
    }
    Ok(name)
}

/// A header of the client that may pass.
pub(super) fn to_pass(name: HeaderName) -> Result<HeaderName, String> {
    if is_of_connection(&name) {
        return Err(format!("`{name}` belongs to the connection and does not pass"));
    }
    match name.as_str() {
        "cookie" => Err("cookies pass by `pass_cookies`".to_owned()),
        "host" => Err("the client's host passes by `host = \"client\"`".to_owned()),
        "forwarded" | "x-forwarded-for" | "x-forwarded-proto" | "x-forwarded-host" | "x-forwarded-port" => {
            Err(format!("`{name}` is not the client's to say: the gateway makes what the backend gets"))
        }
        _ => Ok(name),
    }
}
