//! Cross-origin headers ([Fetch standard](https://fetch.spec.whatwg.org/#http-cors-protocol)).

use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, VARY,
    },
};

use crate::util::headers::said;

/// The origins that may read a response.
#[derive(Debug)]
pub(crate) enum AllowOrigin {
    /// The origin that the request names, `null` included, with credentials.
    Named(HeaderValue),
    /// Any page whose request has no `Origin`, but never with credentials: browsers reject `*` with those.
    Anyone,
    /// No page of another origin.
    Nobody,
}

impl AllowOrigin {
    /// Copies the origin for a response that may wait for long: the request's own header would keep the connection's
    /// read buffer.
    pub(crate) fn detached(self) -> Self {
        match self {
            Self::Named(origin) => {
                HeaderValue::from_bytes(origin.as_bytes()).map_or(Self::Nobody, Self::Named)
            }
            other => other,
        }
    }

    pub(crate) fn apply(self, response: &mut HeaderMap) {
        response.append(VARY, HeaderValue::from_static("Origin"));
        match self {
            Self::Named(origin) => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            Self::Anyone => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
            Self::Nobody => {}
        }
    }
}

/// Adds the headers of a preflight response besides [`AllowOrigin`]; valid for a year.
pub(crate) fn preflight(request: &HeaderMap, methods: &'static str, response: &mut HeaderMap) {
    let vary = "Access-Control-Request-Method, Access-Control-Request-Headers";
    response.append(VARY, HeaderValue::from_static(vary));
    response.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    response.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("31536000"));
    for asked in said(request, &ACCESS_CONTROL_REQUEST_HEADERS) {
        response.append(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
}
