//! The cookie that is echoed for load balancers.

use std::borrow::Cow;

use http::{HeaderMap, HeaderValue, header::COOKIE};

/// The longest value that is echoed, in bytes, including quotes. Servers' own values have 32 or a little more.
const MAX_VALUE: usize = 256;

/// A cookie by which load balancers keep a session on one server: see [`Cookie::named`](crate::Cookie::named).
///
/// Its value is the one that the request sent, unchanged. If the request sent none, it has its own value, for the
/// balancer to replace. Only this cookie is echoed, and only if its value has 1 to 256 bytes. All bytes must be
/// cookie octets ([RFC 6265, section 4.1.1](https://www.rfc-editor.org/rfc/rfc6265#section-4.1.1)) or above 0x7f; two
/// double quotes may enclose them. If the request has several cookies of this name, the first valid one counts. If it
/// has only invalid ones, no cookie is set, so that the balancer's own value stays.
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

/// The requests of other sites with which a browser sends a cookie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SameSite {
    /// With no requests of other sites.
    Strict,
    /// With links that a user follows to this site, but not with the requests of a SockJS client.
    Lax,
    /// With all requests: a SockJS client in the pages of another site needs this. Browsers require `Secure` for it,
    /// so it is set.
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

    /// Sets the value for clients that have none yet; `dummy` by default.
    ///
    /// # Panics
    /// Panics if the value is empty, longer than 256 bytes, or has characters that a cookie's value may not have.
    #[track_caller]
    pub fn value(mut self, value: impl Into<Cow<'static, str>>) -> Self {
        self.value = value.into();
        let fits = (1..=MAX_VALUE).contains(&self.value.len()) && self.value.bytes().all(is_octet);
        assert!(fits, "a cookie cannot have the value {:?}", self.value);
        self
    }

    /// Sets the path below which browsers send the cookie; `/` by default.
    ///
    /// # Panics
    /// Panics if the path does not begin with `/`, or has a `;` or a control character.
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

    /// Sets whether browsers send the cookie over HTTPS only. By default they do not, unless another attribute
    /// requires it.
    pub fn secure(mut self, secure: bool) -> Self {
        self.secure = secure;
        self
    }

    /// Sets whether the cookie is hidden from scripts; by default it is visible.
    pub fn http_only(mut self, http_only: bool) -> Self {
        self.http_only = http_only;
        self
    }

    /// Sets the requests of other sites with which browsers send the cookie. By default the browser decides, and most
    /// use `Lax`.
    pub fn same_site(mut self, same_site: SameSite) -> Self {
        self.same_site = Some(same_site);
        self
    }

    /// Sets whether browsers keep one cookie for each site that embeds this one (CHIPS). Some browsers require it for
    /// cookies with [`SameSite::None`]. It sets `Secure` too.
    pub fn partitioned(mut self, partitioned: bool) -> Self {
        self.partitioned = partitioned;
        self
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The value of `Set-Cookie` (suite: `JsessionidCookie`); `None` if the request's value cannot be echoed.
    pub(crate) fn for_request(&self, request: &HeaderMap) -> Option<HeaderValue> {
        let Self { name, value, path, secure, http_only, same_site, partitioned } = self;
        let mut brought = self.brought(request).peekable();
        let value = if brought.peek().is_none() {
            value.as_bytes()
        } else {
            brought.find(|value| can_be_echoed(value))?
        };
        let mut cookie = [name.as_bytes(), b"=", value, b"; path=", path.as_bytes()].concat();
        if *secure || *partitioned || *same_site == Some(SameSite::None) {
            cookie.extend_from_slice(b"; Secure");
        }
        if *http_only {
            cookie.extend_from_slice(b"; HttpOnly");
        }
        cookie.extend_from_slice(match same_site {
            Some(SameSite::Strict) => b"; SameSite=Strict",
            Some(SameSite::Lax) => b"; SameSite=Lax",
            Some(SameSite::None) => b"; SameSite=None",
            None => b"",
        });
        if *partitioned {
            cookie.extend_from_slice(b"; Partitioned");
        }
        // All parts were checked, so this never fails.
        HeaderValue::try_from(cookie).ok()
    }

    /// The request's values of this cookie.
    fn brought<'a>(&self, request: &'a HeaderMap) -> impl Iterator<Item = &'a [u8]> {
        request
            .get_all(COOKIE)
            .iter()
            .flat_map(|header| header.as_bytes().split(|&byte| byte == b';'))
            .filter_map(|pair| pair.trim_ascii().strip_prefix(self.name.as_bytes())?.strip_prefix(b"="))
    }
}

/// Whether a value is valid in a header and no reader can mistake a part of it for its end.
fn can_be_echoed(value: &[u8]) -> bool {
    let inner = value.strip_prefix(b"\"").and_then(|rest| rest.strip_suffix(b"\"")).unwrap_or(value);
    !inner.is_empty() && value.len() <= MAX_VALUE && inner.iter().all(|&b| is_octet(b) || b > 0x7f)
}

fn is_octet(byte: u8) -> bool {
    matches!(byte, 0x21 | 0x23..=0x2b | 0x2d..=0x3a | 0x3c..=0x5b | 0x5d..=0x7e)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::options::cookie::Cookie;

    fn answer_of(cookie: &AffinityCookie, cookies: &[&[u8]]) -> Option<HeaderValue> {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(COOKIE, HeaderValue::from_bytes(cookie).unwrap());
        }
        cookie.for_request(&headers)
    }

    fn answer(cookies: &[&[u8]]) -> Option<HeaderValue> {
        answer_of(&Cookie::jsessionid(), cookies)
    }

    #[test]
    fn echoes_jsessionid_and_nothing_else() {
        let cases: &[(&[&[u8]], &[u8])] = &[
            (&[], b"dummy"),
            (&[b"JSESSIONID=abcdef"], b"abcdef"),
            (&[b"a=b; JSESSIONID=x.node1; c=d"], b"x.node1"),
            (&[b"a=b", b"JSESSIONID=second"], b"second"),
            (&[b"secret=1; XJSESSIONID=2; JSESSIONIDX=3; JSESSIONID"], b"dummy"),
            // Unchanged.
            (&[b"JSESSIONID=\"abc.n1\""], b"\"abc.n1\""),
            (&[b"JSESSIONID=caf\xe9.n1"], b"caf\xe9.n1"),
            (&[b"JSESSIONID=\"Z\xc3\xbcrich\""], b"\"Z\xc3\xbcrich\""),
            // Other cookies do not matter.
            (&[b"city=Z\xc3\xbcrich; JSESSIONID=abc.n1"], b"abc.n1"),
            (&[b"city=Z\xfcrich", b"\xff=\xfe; JSESSIONID=abc.n1; \xe9"], b"abc.n1"),
            (&[b"\xa0JSESSIONID=1; city=\xe9"], b"dummy"),
            // The first valid one counts.
            (&[b"JSESSIONID=a b; JSESSIONID=; JSESSIONID=c; JSESSIONID=d"], b"c"),
            (&[b"JSESSIONID=\"a", b"JSESSIONID=\"b\""], b"\"b\""),
        ];
        for (cookies, value) in cases {
            let expected = [&b"JSESSIONID="[..], value, b"; path=/"].concat();
            let answer = answer(cookies).map(|answer| answer.as_bytes().to_vec());
            assert_eq!(answer, Some(expected), "{cookies:?}");
        }
        let longest = format!("JSESSIONID={}", "x".repeat(256));
        assert_eq!(answer(&[longest.as_bytes()]).unwrap(), format!("{longest}; path=/"));
    }

    #[test]
    fn what_cannot_be_echoed_is_left_alone() {
        let long = "x".repeat(257);
        let quoted = format!("\"{}\"", "x".repeat(255));
        let values = [
            "", "a b", "a,b", "a\\b", "\"", "\"\"", "\"a", "a\"", "\"a\"\"", "\"a b\"", "a\tb", &long,
            &quoted,
        ];
        for bad in values {
            let cookie = format!("a=b; JSESSIONID={bad}; c=d");
            assert_eq!(answer(&[cookie.as_bytes()]), None, "{bad}");
            assert_eq!(answer(&[b"JSESSIONID=", cookie.as_bytes()]), None, "{bad}");
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
            assert_eq!(answer_of(&cookie, &[b"JSESSIONID=b"]).unwrap(), expected);
            assert_eq!(answer_of(&cookie, &[b"node=b"]).unwrap(), expected.replace("node=a", "node=b"));
        }
    }

    #[test]
    fn impossible_cookies_are_refused_when_they_are_set() {
        let refused = |cookie: fn() -> AffinityCookie| std::panic::catch_unwind(cookie).is_err();
        assert!(refused(|| Cookie::named("")) && refused(|| Cookie::named("a b")));
        assert!(refused(|| Cookie::named("a=b")) && refused(|| Cookie::named("a\r\nb")));
        assert!(refused(|| Cookie::jsessionid().value("a; Domain=b")));
        assert!(
            refused(|| Cookie::jsessionid().value("")) && refused(|| Cookie::jsessionid().value("\u{e9}"))
        );
        assert!(refused(|| Cookie::jsessionid().path("/; Domain=b")));
        assert!(refused(|| Cookie::jsessionid().path("a")));
    }
}
