//! The only maker of answers that are neither a page nor a transport's.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER},
};

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// `status` without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// `status` with a body of the given type.
pub(crate) fn body(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// `status` with a plain text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response {
    body(status, TEXT, text)
}

/// 404: no such path, transport or session.
pub(crate) fn not_found() -> Response {
    text(StatusCode::NOT_FOUND, "Not found\n")
}

/// 405 as the suite wants it (`verify405`): `Allow`, no content type, no body.
pub(crate) fn method_not_allowed(allow: &'static str) -> Response {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    response
}

/// 413: the body, a message in it or their number is over its limit.
pub(crate) fn too_large(what: &'static str) -> Response {
    text(StatusCode::PAYLOAD_TOO_LARGE, what)
}

/// 503: try again later.
pub(crate) fn overloaded(why: &'static str) -> Response {
    let mut response = text(StatusCode::SERVICE_UNAVAILABLE, why);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
