//! The headers that a configuration may pass on or set, and those that are nobody's to say: for all layers.

use http::HeaderName;

/// Of one connection (RFC 9110, section 7.6.1), or of the handshake with the backend, which the gateway makes itself.
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

/// Never passes, and is never set.
pub(crate) fn is_of_connection(name: &HeaderName) -> bool {
    OF_CONNECTION.contains(&name.as_str()) || name.as_str().starts_with("sec-websocket-")
}

/// What only a proxy can say: a client that says it claims to be one. `X-Real-IP` is what nginx's examples call the
/// client's address.
pub(crate) fn is_claim(name: &HeaderName) -> bool {
    let name = name.as_str();
    matches!(name, "forwarded" | "x-real-ip") || name.starts_with("x-forwarded-")
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
        _ if is_claim(&name) => {
            Err(format!("`{name}` is not the client's to say: the gateway makes what the backend gets"))
        }
        _ => Ok(name),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_never_passes_cannot_be_named() {
        let name = |name: &'static str| HeaderName::from_static(name);
        for of_connection in
            OF_CONNECTION.into_iter().chain(["sec-websocket-key", "sec-websocket-extensions"])
        {
            assert!(
                to_pass(name(of_connection)).is_err() && to_set(name(of_connection)).is_err(),
                "{of_connection}"
            );
        }
        for claim in ["forwarded", "x-real-ip", "x-forwarded-for", "x-forwarded-port", "x-forwarded-prefix"] {
            assert!(
                to_pass(name(claim)).is_err_and(|error| error.contains("not the client's to say")),
                "{claim}"
            );
            assert!(to_set(name(claim)).is_ok(), "{claim}");
        }
        for free in ["origin", "authorization", "x-forwarded", "x-tenant"] {
            assert!(to_pass(name(free)).is_ok() && to_set(name(free)).is_ok(), "{free}");
        }
    }
}
