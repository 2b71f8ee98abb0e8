//! `/info`, which a client requests before it chooses a transport.

use axum::response::Response;
use http::{HeaderValue, StatusCode};
use serde_json::json;

use super::{cache, reply};
use crate::util::random;

/// The response to `GET /info`, except for the random number.
pub(crate) struct InfoPage {
    start: Box<str>,
}

impl InfoPage {
    pub(crate) fn new(websocket: bool, cookie_needed: bool, base_url: Option<&str>) -> Self {
        let mut info = json!({
            "websocket": websocket,
            "origins": ["*:*"],
            "cookie_needed": cookie_needed,
        });
        if let (Some(base_url), Some(info)) = (base_url, info.as_object_mut()) {
            info.insert("base_url".to_owned(), base_url.into());
        }
        let mut start = info.to_string();
        // More fields follow in the object.
        start.truncate(start.len() - 1);
        start.push_str(",\"entropy\":");
        Self { start: start.into() }
    }

    /// Suite: `InfoTest`.
    ///
    /// `base_url` is that of this request, where it depends on the request.
    pub(crate) fn respond(&self, base_url: Option<&str>) -> Response {
        let entropy = u32::from_be_bytes(random::bytes());
        let content_type = HeaderValue::from_static("application/json; charset=UTF-8");
        let body = match base_url {
            None => format!("{}{entropy}}}", self.start),
            Some(url) => format!("{}{entropy},\"base_url\":{}}}", self.start, json!(url)),
        };
        let mut response = reply::body(StatusCode::OK, content_type, body);
        cache::never(response.headers_mut());
        response
    }
}
