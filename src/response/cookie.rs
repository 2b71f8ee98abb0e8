//! The cookie that is echoed for load balancers.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The longest value that is echoed, in bytes; servers' own are 32 or a little more.
const MAX_VALUE: usize = 256;

/// A cookie for load balancers that keep a session on one server by it: see
/// [`Cookie::named`](crate::Cookie::named).
///
/// It has the value that the request brought, or else one of its own, for the balancer to replace. Only this
/// one cookie is ever echoed, and only if its value is 256 bytes at most, all of them cookie octets
/// ([RFC 6265, section 4.1.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1)).
///
/// ```
/// use axum_sockjs::{Cookie, Options, SameSite};
///
/// // for pages of another site
/// let cookie = Cookie::named("node").value("a").http_only(true).same_site(SameSite::None).partitioned(true);
/// let options = Options::new().cookie(cookie);
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[must_use]
pub struct AffinityCookie {
    name: Cow<'static, str>,
    value: Cow<'static, str>,
    path: Cow<'static, str>,
    secure: bool,
    http_only: bool,
    same_site: Option<SameSite>,
    partitioned: bool,
}

/// With which requests of other sites a browser sends a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// With none.
    Strict,
    /// When a user follows a link here; not with the requests of a SockJS client.
    Lax,
    /// With all: what a SockJS client needs in the pages of another site. Browsers want it `Secure`, and so it
    /// is.
    None,
}

impl AffinityCookie {
    #[track_caller]
    pub(crate) fn new(name: Cow<'static, str>) -> Self {
        let is_token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
        assert!(
            !name.is_empty() && name.bytes().all(is_token),
            "a cookie's name must be a token, not {name:?}"
        );
        Self {
            name,
            value: "dummy".into(),
            path: "/".into(),
            secure: false,
            http_only: false,
            same_site: None,
            partitioned: false,
        }
    }

    /// The value for who has none yet; `dummy` by default.
    ///
    /// # Panics
    /// If it is empty, over 256 bytes, or has other characters than a cookie's value may have.
    #[track_caller]
    pub fn value(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.value = value.into();
        assert!(is_value(&self.value), "a cookie cannot have the value {:?}", self.value);
        self
    }

    /// The path below which browsers send it; `/` by default.
    ///
    /// # Panics
    /// If it does not begin with `/`, or has a `;` or a control character.
    #[track_caller]
    pub fn path(mut self, path: impl Into<Cow<'static, str>>) -> Self {
        self.path = path.into();
        let fits = |b: u8| (b' '..=b'~').contains(&b) && b != b';';
        assert!(
            self.path.starts_with('/') && self.path.bytes().all(fits),
            "a cookie cannot have the path {:?}",
            self.path
        );
        self
    }

    /// Whether browsers send it by HTTPS only; by default not, unless another attribute needs it.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Whether scripts cannot see it; by default they can.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// With which requests of other sites browsers send it; by default that is theirs to choose, and most
    /// take `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Whether browsers keep one for each site that embeds this one (CHIPS), as some want it of cookies with
    /// [`SameSite::None`]. Makes it `Secure`.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// What `Set-Cookie` says (suite: `JsessionidCookie`).
    pub(crate) fn for_request(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let Self { name, value, path, secure, http_only, same_site, partitioned } = self;
        let value = self.brought(request).unwrap_or(value);
        let mut cookie = format!("{name}={value}; path={path}");
        if *secure || *partitioned || *same_site == Some(SameSite::None) {
            cookie.push_str("; Secure");
        }
        if *http_only {
            cookie.push_str("; HttpOnly");
        }
        cookie.push_str(match same_site {
            Some(SameSite::Strict) => "; SameSite=Strict",
            Some(SameSite::Lax) => "; SameSite=Lax",
            Some(SameSite::None) => "; SameSite=None",
            None => "",
        });
        if *partitioned {
            cookie.push_str("; Partitioned");
        }
        // All of it was checked, so this never fails.
        HeaderValue::try_from(cookie).ok()
    }

    /// The value that a request brought.
    fn brought<'a>(&self, request: &'a HeaderMap) -> Option<&'a str> {
        request
            .get_all(COOKIE)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(';'))
            .filter_map(|pair| pair.trim().strip_prefix(&*self.name)?.strip_prefix('='))
            .find(|value| is_value(value))
    }
}

fn is_value(value: &str) -> bool {
    !value.is_empty()
        && value.len() <= MAX_VALUE
        && value.bytes().all(|b| matches!(b, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Cookie;

    fn answer_of(cookie: &AffinityCookie, cookies: &[&str]) -> HeaderValue {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, cookie.parse().unwrap());
        }
        cookie.for_request(&headers).unwrap()
    }

    fn answer(cookies: &[&str]) -> HeaderValue {
        answer_of(&Cookie::jsessionid(), cookies)
    }

    #[test]
    fn echoes_jsessionid_and_nothing_else() {
        assert_eq!(answer(&[]), "JSESSIONID=dummy; path=/");
        assert_eq!(answer(&["JSESSIONID=abcdef"]), "JSESSIONID=abcdef; path=/");
        assert_eq!(answer(&["a=b; JSESSIONID=x.node1; c=d"]), "JSESSIONID=x.node1; path=/");
        assert_eq!(answer(&["a=b", "JSESSIONID=second"]), "JSESSIONID=second; path=/");
        assert_eq!(answer(&["secret=1; XJSESSIONID=2; JSESSIONIDX=3"]), "JSESSIONID=dummy; path=/");
    }

    #[test]
    fn refuses_values_that_are_no_cookie_value() {
        for bad in ["", "a b", "a,b", "\"a\"", "a\\b", &"x".repeat(257)] {
            assert_eq!(answer(&[&format!("JSESSIONID={bad}")]), "JSESSIONID=dummy; path=/", "{bad}");
        }
    }

    #[test]
    fn has_the_attributes_that_it_was_given() {
        let node = || Cookie::named("node").value("a");
        for (cookie, expected) in [
            (node(), "node=a; path=/"),
            (node().path("/chat"), "node=a; path=/chat"),
            (node().secure(true).http_only(true), "node=a; path=/; Secure; HttpOnly"),
            (node().same_site(SameSite::Strict), "node=a; path=/; SameSite=Strict"),
            (node().same_site(SameSite::Lax), "node=a; path=/; SameSite=Lax"),
            (node().same_site(SameSite::None), "node=a; path=/; Secure; SameSite=None"),
            (node().partitioned(true), "node=a; path=/; Secure; Partitioned"),
        ] {
            assert_eq!(answer_of(&cookie, &["JSESSIONID=b"]), expected);
            assert_eq!(answer_of(&cookie, &["node=b"]), expected.replace("node=a", "node=b"));
        }
    }

    #[test]
    fn impossible_cookies_are_refused_when_they_are_set() {
        let refused = |cookie: fn() -> AffinityCookie| std::panic::catch_unwind(cookie).is_err();
        assert!(refused(|| Cookie::named("")) && refused(|| Cookie::named("a b")));
        assert!(refused(|| Cookie::named("a=b")) && refused(|| Cookie::named("a\r\nb")));
        assert!(refused(|| Cookie::jsessionid().value("a; Domain=b")));
        assert!(refused(|| Cookie::jsessionid().path("/; Domain=b")));
        assert!(refused(|| Cookie::jsessionid().path("a")));
    }
}
