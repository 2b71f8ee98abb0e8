//! The cookie that an endpoint sets.

use std::{borrow::Cow, fmt, sync::Arc};

use http::{HeaderMap, HeaderValue};

use super::affinity_cookie::AffinityCookie;

/// The cookie for load balancers that keep a session on one server by it.
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

    /// `JSESSIONID`, as SockJS servers name it: the value that the request brought, as it came, or for a request
    /// without this cookie `dummy`, for the balancer to replace. What cannot be echoed is left alone: see
    /// [`AffinityCookie`].
    pub fn jsessionid() -> AffinityCookie {
        Self::named("JSESSIONID")
    }

    /// The same under another name; either takes the attributes that it is to have.
    ///
    /// # Panics
    /// If the name is not a token of RFC 6265: letters, digits and `!#$%&'*+-.^_|~` or a backtick.
    #[track_caller]
    pub fn named(name: impl Into<Cow<'static, str>>) -> AffinityCookie {
        AffinityCookie::new(name.into())
    }

    /// A cookie of your own, from the request's headers: the whole value of `Set-Cookie`, or none.
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
