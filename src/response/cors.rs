//! Cross-origin headers ([Fetch standard](https://fetch.spec.whatwg.org/#http-cors-protocol)).

use http::{
    HeaderMap, HeaderValue,
    header::{
        ACCESS_CONTROL_ALLOW_CREDENTIALS, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS,
        ACCESS_CONTROL_ALLOW_ORIGIN, ACCESS_CONTROL_MAX_AGE, ACCESS_CONTROL_REQUEST_HEADERS, ORIGIN, VARY,
    },
};

/// Who may read an answer: whom the request's `Origin` names.
#[derive(Debug)]
pub(crate) struct AllowOrigin(Option<HeaderValue>);

impl AllowOrigin {
    pub(crate) fn of(request: &HeaderMap) -> Self {
        Self(request.get(ORIGIN).cloned())
    }

    /// Names the origin, `null` included, with credentials. Without an `Origin` anyone may read, but never
    /// with credentials: browsers refuse `*` with those.
    pub(crate) fn apply(self, response: &mut HeaderMap) {
        response.append(VARY, HeaderValue::from_static("Origin"));
        match self.0 {
            Some(origin) => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, origin);
                response.insert(ACCESS_CONTROL_ALLOW_CREDENTIALS, HeaderValue::from_static("true"));
            }
            None => {
                response.insert(ACCESS_CONTROL_ALLOW_ORIGIN, HeaderValue::from_static("*"));
            }
        }
    }
}

/// What a preflight request is told beside [`AllowOrigin`]; good for a year.
pub(crate) fn preflight(request: &HeaderMap, methods: &'static str, response: &mut HeaderMap) {
    let vary = "Access-Control-Request-Method, Access-Control-Request-Headers";
    response.append(VARY, HeaderValue::from_static(vary));
    response.insert(ACCESS_CONTROL_ALLOW_METHODS, HeaderValue::from_static(methods));
    response.insert(ACCESS_CONTROL_MAX_AGE, HeaderValue::from_static("31536000"));
    let asked = request.get(ACCESS_CONTROL_REQUEST_HEADERS);
    if let Some(asked) = asked.filter(|asked| !asked.is_empty()) {
        response.insert(ACCESS_CONTROL_ALLOW_HEADERS, asked.clone());
    }
}
