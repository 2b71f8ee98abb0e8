//! The request of a WebSocket handshake with a backend, made of the request that opens a session.

use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, Method, Request, Uri,
    header::{
        CONNECTION, COOKIE, HOST, SEC_WEBSOCKET_KEY, SEC_WEBSOCKET_PROTOCOL, SEC_WEBSOCKET_VERSION, UPGRADE,
    },
};
use http_body_util::Empty;
use tokio_tungstenite::tungstenite::handshake::client::generate_key;

use super::{
    cookies, forwarded,
    opening::{Opening, has_token},
    query,
    target::Target,
};
use crate::config::{
    backend::{Host, Pass},
    headers::{is_claim, is_of_connection},
};

/// The handshake for a session.
pub(super) fn for_session(
    target: &Target,
    pass: &Pass,
    set: &HeaderMap,
    opening: &Opening<'_>,
) -> Request<Empty<Bytes>> {
    let client = &opening.parts.headers;
    let mut headers = HeaderMap::new();
    for name in &pass.headers {
        let is_made_here = *name == HOST || *name == COOKIE;
        let is_claim = is_claim(name) && !opening.is_from_trusted_proxy;
        if is_made_here || is_claim || is_of_connection(name) || has_token(client, &CONNECTION, name.as_str())
        {
            continue;
        }
        for value in client.get_all(name) {
            headers.append(name, value.clone());
        }
    }
    if let Some(cookies) = cookies::passing(client, &pass.cookies) {
        headers.insert(COOKIE, cookies);
    }
    forwarded::add(&mut headers, opening);
    let host = match &pass.host {
        Host::Client => forwarded::host_of(opening),
        Host::Fixed(host) => Some(host.clone()),
        Host::Backend => None,
    };
    headers.insert(HOST, host.unwrap_or_else(|| target.host_header.clone()));
    replace(&mut headers, set);
    let query = opening.parts.uri.query().filter(|_| pass.query);
    let query = query.map(|query| query::of_application(query, opening.kind()));
    complete(target, headers, query, opening.asks_for())
}

/// The handshake of a health check, which has no client.
pub(super) fn for_check(target: &Target, pass: &Pass, set: &HeaderMap) -> Request<Empty<Bytes>> {
    complete(target, headers_of_check(target, pass, set), None, &[])
}

/// What every health check over HTTP says.
pub(super) fn headers_of_check(target: &Target, pass: &Pass, set: &HeaderMap) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let host = if let Host::Fixed(host) = &pass.host { host } else { &target.host_header };
    headers.insert(HOST, host.clone());
    replace(&mut headers, set);
    headers
}

/// Replaces what the configuration sets.
fn replace(headers: &mut HeaderMap, set: &HeaderMap) {
    for name in set.keys().filter(|name| !is_of_connection(name)) {
        headers.remove(name);
        for value in set.get_all(name) {
            headers.append(name, value.clone());
        }
    }
}

fn complete(
    target: &Target,
    mut headers: HeaderMap,
    query: Option<&str>,
    subprotocols: &[String],
) -> Request<Empty<Bytes>> {
    headers.insert(CONNECTION, HeaderValue::from_static("Upgrade"));
    headers.insert(UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
    // Base64.
    if let Ok(key) = HeaderValue::try_from(generate_key()) {
        headers.insert(SEC_WEBSOCKET_KEY, key);
    }
    if let (false, Ok(names)) = (subprotocols.is_empty(), HeaderValue::try_from(subprotocols.join(", "))) {
        headers.insert(SEC_WEBSOCKET_PROTOCOL, names);
    }
    let own = target.query.as_deref();
    let mut request = Request::new(Empty::new());
    *request.method_mut() = Method::GET;
    // The query of a client may be too long for the library, but is not the reason to ask for something else.
    *request.uri_mut() = uri(&target.path, query::join(own, query).as_deref())
        .or_else(|| uri(&target.path, own))
        .unwrap_or_default();
    *request.headers_mut() = headers;
    request
}

fn uri(path: &str, query: Option<&str>) -> Option<Uri> {
    match query {
        Some(query) => format!("{path}?{query}").parse().ok(),
        None => path.parse().ok(),
    }
}
