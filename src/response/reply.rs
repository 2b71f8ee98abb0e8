//! Constructors of responses: status, content type, body.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{CONTENT_TYPE, X_CONTENT_TYPE_OPTIONS},
};

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// Returns `status` without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// Returns `status` with a body of the given type, which browsers must not guess.
pub(crate) fn body(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// Returns `status` with a plain text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response {
    if text.is_empty() {
        let mut response = empty(status);
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        return response;
    }
    body(status, TEXT, text)
}
