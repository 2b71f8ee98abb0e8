//! The cookie that an endpoint sets on session URLs.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, HeaderValue};

use super::affinity_cookie::AffinityCookie;

/// The cookie by which load balancers keep a session on one server.
#[derive(Clone)]
pub struct Cookie(Policy);

#[derive(Clone)]
enum Policy {
    Off,
    Affinity(AffinityCookie),
    Custom(Arc<CustomCookie>),
}

type CustomCookie = dyn Fn(&HeaderMap) -> Option<HeaderValue> + Send + Sync;

impl Cookie {
    /// No cookie: the default.
    #[must_use]
    pub fn off() -> Self {
        Self(Policy::Off)
    }

    /// The cookie `JSESSIONID`, as in other SockJS servers. It has the value that the request sent, unchanged. If the
    /// request sent none, the value is `dummy`, for the balancer to replace. If the value cannot be echoed, no cookie
    /// is set: see [`AffinityCookie`].
    pub fn jsessionid() -> AffinityCookie {
        Self::named("JSESSIONID")
    }

    /// The same cookie under another name. [`AffinityCookie`] has methods for the attributes of both.
    ///
    /// # Panics
    /// Panics if the name is not a token of RFC 6265: letters, digits and `!#$%&'*+-.^_|~` or a backtick.
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>) -> AffinityCookie {
        AffinityCookie::new(name.into())
    }

    /// A custom cookie, computed from the request's headers: the function returns the complete value of `Set-Cookie`,
    /// or `None`.
    ///
    /// ```
    /// use axum::http::HeaderValue;
    /// use axum_sockjs::Cookie;
    ///
    /// let cookie = Cookie::custom(|_headers| {
    ///     Some(HeaderValue::from_static("node=a; Path=/; Secure; HttpOnly; SameSite=None"))
    /// });
    /// ```
    #[must_use]
    pub fn custom(cookie: impl Fn(&HeaderMap) -> Option<HeaderValue> + Send + Sync + 'static) -> Self {
        Self(Policy::Custom(Arc::new(cookie)))
    }

    pub(crate) fn is_on(&self) -> bool {
        !matches!(self.0, Policy::Off)
    }

    pub(crate) fn for_request(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        match &self.0 {
            Policy::Off => None,
            Policy::Affinity(cookie) => cookie.for_request(headers),
            Policy::Custom(cookie) => cookie(headers),
        }
    }
}

impl From<AffinityCookie> for Cookie {
    fn from(cookie: AffinityCookie) -> Self {
        Self(Policy::Affinity(cookie))
    }
}

impl fmt::Debug for Cookie {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Policy::Off => f.write_str("off"),
            Policy::Affinity(cookie) => f.write_str(cookie.name()),
            Policy::Custom(_) => f.write_str("custom"),
        }
    }
}
