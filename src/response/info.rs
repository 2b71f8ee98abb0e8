//! `/info`: what a client asks before it chooses a transport.

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde_json::json;
use uuid::Uuid;

use super::{cache, reply};
use crate::Options;

/// The answer to `GET /info` (suite: `InfoTest`).
pub(crate) fn info(options: &Options) -> Response {
    let mut info = json!({
        "websocket": options.transports.has_websocket(),
        "origins": ["*:*"],
        "cookie_needed": options.cookie.is_on(),
        "entropy": entropy(),
    });
    if let (Some(base_url), Some(info)) = (&options.base_url, info.as_object_mut()) {
        info.insert("base_url".to_owned(), base_url.as_str().into());
    }
    let content_type = HeaderValue::from_static("application/json; charset=UTF-8");
    let mut response = reply::body(StatusCode::OK, content_type, info.to_string());
    cache::never(response.headers_mut());
    response
}

/// 32 bits from the operating system: the low part of a version 4 UUID is random throughout.
fn entropy() -> u32 {
    let [.., a, b, c, d] = Uuid::new_v4().into_bytes();
    u32::from_be_bytes([a, b, c, d])
}
