//! `X-Forwarded-For`, `-Proto` and `-Host`: made here, of what the gateway knows itself.

use http::{HeaderMap, HeaderName, HeaderValue, header::HOST};

use super::opening::{Opening, Scheme};

pub(super) const FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
pub(super) const PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
pub(super) const HOST_OF_CLIENT: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Adds the three. A trusted proxy's own stay: the peer is appended to the addresses, and its scheme and host are those
/// of the client.
pub(super) fn add(headers: &mut HeaderMap, opening: &Opening<'_>) {
    let of_proxy = |name: &HeaderName| {
        let lines = opening.parts.headers.get_all(name).iter().filter(|_| opening.is_from_trusted_proxy);
        lines.map(HeaderValue::as_bytes).filter(|line| !line.trim_ascii().is_empty()).collect::<Vec<_>>()
    };
    let peer = opening.peer().map(|peer| peer.to_string());
    let mut addresses = of_proxy(&FOR);
    addresses.extend(peer.as_deref().map(str::as_bytes));
    if !addresses.is_empty() {
        insert(headers, FOR, &addresses.join(&b", "[..]));
    }
    let scheme: &[u8] = match opening.scheme {
        Scheme::Http => b"http",
        Scheme::Https => b"https",
    };
    insert(headers, PROTO, of_proxy(&PROTO).first().copied().unwrap_or(scheme));
    let host = host_of(opening);
    let host = of_proxy(&HOST_OF_CLIENT).first().copied().or(host.as_ref().map(HeaderValue::as_bytes));
    if let Some(host) = host {
        insert(headers, HOST_OF_CLIENT, host);
    }
}

/// The host that the client has asked for.
pub(super) fn host_of(opening: &Opening<'_>) -> Option<HeaderValue> {
    let of_url = || opening.parts.uri.authority().and_then(|host| HeaderValue::from_str(host.as_str()).ok());
    opening.parts.headers.get(HOST).cloned().or_else(of_url)
}

fn insert(headers: &mut HeaderMap, name: HeaderName, value: &[u8]) {
    if let Ok(value) = HeaderValue::from_bytes(value) {
        headers.insert(name, value);
    }
}
