//! Which pages may use an endpoint: a request's headers in, a verdict out.
//!
//! Browsers tell a server where a request comes from in three ways, which are asked in this order:
//!
//! 1. `Sec-Fetch-Site` ([Fetch Metadata](https://www.w3.org/TR/fetch-metadata/)), of every browser since 2023,
//!    to HTTPS and to localhost: the browser itself says whether page and server have one origin, whatever a
//!    proxy has made of `Host`;
//! 2. `Origin` ([RFC 6454](https://www.rfc-editor.org/rfc/rfc6454)), with cross-origin XHR, every WebSocket and
//!    nearly every `POST`;
//! 3. `Referer`, with what is left: script elements, frames, the forms of old browsers.
//!
//! No page can set any of them, and what is not a browser can set all of them. So a verdict protects users
//! from foreign pages, and nothing else.

mod refusals;
#[cfg(test)]
mod tests;

use std::{borrow::Cow, fmt, sync::Arc};

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, COOKIE, FORWARDED, HOST, ORIGIN, REFERER},
    uri::Scheme,
};

pub(crate) use self::refusals::Refusals;

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// `Origin`, as version 8 of WebSocket calls it (Firefox 7, Chrome 14).
const SEC_WEBSOCKET_ORIGIN: HeaderName = HeaderName::from_static("sec-websocket-origin");
const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// Which pages may use an endpoint, by the origin that they come from: see
/// [`Options::origins`](crate::Options::origins).
///
/// The endpoint's own origin is always let in, and so is what says nothing of where it comes from, unless a page
/// could hide behind that.
///
/// ```
/// use axum_sockjs::{InvalidOrigin, Options, Origins};
///
/// # fn main() -> Result<(), InvalidOrigin> {
/// let options = Options::new().origins(Origins::list([
///     "https://www.example.com",
///     "https://*.example.org",
///     "http://localhost:*",
/// ])?);
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Origins(Policy);

#[derive(Clone)]
enum Policy {
    Same,
    List(Arc<[Pattern]>),
    Custom(Arc<CustomOrigins>),
    Any,
}

type CustomOrigins = dyn Fn(&str, &HeaderMap) -> bool + Send + Sync;

impl Origins {
    /// The endpoint's own origin only: the default.
    ///
    /// That is what the browser calls `same-origin` in `Sec-Fetch-Site`. Without that header, it is an origin
    /// with the host and the port of `Host` (on HTTP/2, of `:authority`). The scheme is compared where the request
    /// says `https`, as HTTP/2 over TLS does; else nobody here knows whether TLS has been ended in front: see
    /// [`Options::scheme`](crate::Options::scheme) and
    /// [`Options::trust_forwarded`](crate::Options::trust_forwarded).
    ///
    /// Clients that are no browsers may write their `Origin` with a slash behind it (`https://HOST/`) or without a
    /// scheme (`HOST`, `HOST:PORT`), and mean the same.
    #[must_use]
    pub fn same() -> Self {
        Self(Policy::Same)
    }

    /// These origins, beside the endpoint's own.
    ///
    /// | pattern | stands for |
    /// |---|---|
    /// | `https://www.example.com` | this origin, at the scheme's default port |
    /// | `https://*.example.com` | all names below `example.com`, at any depth; not `example.com` itself |
    /// | `http://localhost:*` | any port |
    /// | `http://[::1]:8080` | an address |
    /// | `capacitor://localhost` | an app or an extension, under its own scheme |
    ///
    /// Case does not matter, a trailing dot does: to browsers, `example.com.` is another host.
    ///
    /// # Errors
    /// If one of them is not such a pattern, [`InvalidOrigin`] says which and why.
    pub fn list<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, InvalidOrigin> {
        let patterns: Result<_, _> =
            patterns.into_iter().map(|pattern| Pattern::parse(pattern.as_ref())).collect();
        Ok(Self(Policy::List(patterns?)))
    }

    /// The origins that a function of yours allows, beside the endpoint's own.
    ///
    /// It gets the origin as the browser wrote it, `null` included, and the request's headers. (Any page can
    /// make its origin `null`, with a sandboxed iframe: to allow that is to allow all.) It runs on every
    /// request of another origin, so it has to be quick.
    ///
    /// ```
    /// use axum::http::HeaderMap;
    /// use axum_sockjs::Origins;
    ///
    /// let partners = ["https://a.example", "https://b.example"];
    /// let origins = Origins::custom(move |origin: &str, _: &HeaderMap| partners.contains(&origin));
    /// ```
    #[must_use]
    pub fn custom(allows: impl Fn(&str, &HeaderMap) -> bool + Send + Sync + 'static) -> Self {
        Self(Policy::Custom(Arc::new(allows)))
    }

    /// Every origin, as most SockJS servers have it: for endpoints to which it makes no difference who a
    /// browser's user is, or whose users prove it by something that other pages do not have, such as a token
    /// in a message.
    ///
    /// Where cookies, client certificates or the network (a server on localhost or an intranet) prove it, any
    /// page that a user visits can then act as that user.
    #[must_use]
    pub fn any() -> Self {
        Self(Policy::Any)
    }

    pub(crate) fn is_any(&self) -> bool {
        matches!(self.0, Policy::Any)
    }

    /// Judges a request.
    pub(crate) fn judge(&self, request: &Asking<'_>) -> Result<(), Refused> {
        if self.is_any() {
            return Ok(());
        }
        let site = Site::of(request.headers);
        if site == Some(Site::Own) {
            return Ok(());
        }
        // A browser that calls a request cross-origin knows better than we do.
        let may_be_own = site != Some(Site::Foreign);
        if may_be_own && request.comes_from_host() {
            return Ok(());
        }
        let origin = match Source::of(request.headers) {
            Source::Origin(origin) => origin,
            Source::Unknown => {
                let harmless = match site {
                    Some(site) => site == Site::User,
                    None => request.silent.is_harmless(request.headers),
                };
                return if harmless { Ok(()) } else { Err(Refused(None)) };
            }
            Source::Unreadable(what) => return Err(Refused(Some(what.into_owned()))),
        };
        if may_be_own && request.is_own(&origin) || self.allows(&origin, request.headers) {
            Ok(())
        } else {
            Err(Refused(Some(origin.into_owned())))
        }
    }

    /// Whether an origin is one of those that this lets in beside the endpoint's own.
    fn allows(&self, origin: &str, headers: &HeaderMap) -> bool {
        match &self.0 {
            Policy::Same => false,
            Policy::List(patterns) => {
                Origin::parse(origin).is_some_and(|origin| patterns.iter().any(|p| p.matches(&origin)))
            }
            Policy::Custom(allows) => {
                (origin == NULL || Origin::parse(origin).is_some()) && allows(origin, headers)
            }
            Policy::Any => true,
        }
    }

    /// The content security policy that keeps a page of the endpoint out of the frames of foreign pages;
    /// none where all may frame it.
    ///
    /// A function's answer depends on the request, which names the page that frames this one in `Referer`.
    pub(crate) fn frame_ancestors(&self, headers: &HeaderMap) -> Option<HeaderValue> {
        let mut policy = "frame-ancestors 'self'".to_owned();
        match &self.0 {
            Policy::Any => return None,
            Policy::Same => {}
            Policy::List(patterns) => {
                for pattern in patterns.iter() {
                    policy.push(' ');
                    policy.push_str(&pattern.to_string());
                }
            }
            Policy::Custom(allows) => {
                let framing = said(headers, &REFERER).next().and_then(origin_of_url);
                if let Some(origin) = framing.filter(|origin| allows(origin, headers)) {
                    policy.push(' ');
                    policy.push_str(origin);
                }
            }
        }
        // Patterns and origins are made of characters that a header may have; see `is_host`.
        HeaderValue::try_from(policy).ok()
    }
}

/// The default, [`Origins::same`].
impl Default for Origins {
    fn default() -> Self {
        Self::same()
    }
}

impl fmt::Debug for Origins {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Policy::Same => f.write_str("same origin"),
            Policy::List(patterns) => {
                f.write_str("same origin")?;
                patterns.iter().try_for_each(|pattern| write!(f, ", {pattern}"))
            }
            Policy::Custom(_) => f.write_str("same origin, custom"),
            Policy::Any => f.write_str("any"),
        }
    }
}

/// A pattern that [`Origins::list`] cannot take.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidOrigin {
    pattern: String,
    why: &'static str,
}

impl fmt::Display for InvalidOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} is no pattern of an origin: {}", self.pattern, self.why)
    }
}

impl std::error::Error for InvalidOrigin {}

/// What is judged of a request.
#[derive(Debug)]
pub(crate) struct Asking<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Whether what proxies say of the browser's request is to be believed.
    pub(crate) trust_forwarded: bool,
    /// The endpoint's own scheme, where the application has said it: `http` or `https`.
    pub(crate) scheme: Option<&'a Scheme>,
    pub(crate) silent: Silent,
}

/// Who asks for a URL without saying where the request comes from.
///
/// A browser can be made to leave `Referer` out (`Referrer-Policy: no-referrer`), sends no `Origin` with a `GET` for
/// an image, a script or `fetch` with `no-cors`, and no `Sec-Fetch-Site` to plain HTTP. From the least strict to the
/// strictest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Silent {
    /// No browser, or one that does nothing by it.
    NoPage,
    /// A page, if it carries what the browser sends along for its user; without, it acts in nobody's name. Its
    /// headers tell no more: a page may set `Accept` to what an `EventSource` sends.
    PageWithCredentials,
    /// A page that hides.
    Page,
}

impl Silent {
    fn is_harmless(self, headers: &HeaderMap) -> bool {
        match self {
            Self::NoPage => true,
            Self::PageWithCredentials => {
                !headers.contains_key(COOKIE) && !headers.contains_key(AUTHORIZATION)
            }
            Self::Page => false,
        }
    }
}

impl Asking<'_> {
    /// Whether an origin is that of the URL that was asked for: as browsers write it, or as only other clients do,
    /// with a slash behind it or without a scheme.
    fn is_own(&self, origin: &str) -> bool {
        let Some(own) = Own::of(self) else { return false };
        if let Some(origin) = Origin::parse(origin.strip_suffix('/').unwrap_or(origin)) {
            return own.is(&origin);
        }
        // A host may have any name, but any page can have this origin.
        !origin.eq_ignore_ascii_case(NULL)
            && split_authority(origin).is_some_and(|(host, port)| {
                let with = |scheme| Origin { scheme, host, port: port.or(default_port(scheme)) };
                own.is(&with("http")) || own.is(&with("https"))
            })
    }

    /// The usual case of it, found with less work: `Origin` is `Host`, to the letter.
    fn comes_from_host(&self) -> bool {
        if self.trust_forwarded || self.uri.authority().is_some() {
            return false;
        }
        let (Some(origin), Some(host)) = (single(self.headers, &ORIGIN), single(self.headers, &HOST)) else {
            return false;
        };
        let (scheme, authority) = match origin.as_bytes().strip_prefix(b"http") {
            Some([b's', b':', b'/', b'/', authority @ ..]) => ("https", authority),
            Some([b':', b'/', b'/', authority @ ..]) => ("http", authority),
            _ => return false,
        };
        authority == host.as_bytes()
            && self.scheme.is_none_or(|own| own.as_str().eq_ignore_ascii_case(scheme))
            && readable(authority).and_then(split_authority).is_some()
    }
}

/// How much of a header goes into a line of the log, in characters.
const MAX_SHOWN: usize = 200;

/// A request was refused; with where it comes from, if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<String>);

impl fmt::Display for Refused {
    /// For a log: escaped, and of bounded length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(origin) => {
                origin.chars().take(MAX_SHOWN).try_for_each(|c| write!(f, "{}", c.escape_debug()))
            }
            None => f.write_str("(hidden)"),
        }
    }
}

/// How a browser says that a request and its page relate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Site {
    /// `same-origin`.
    Own,
    /// `same-site` (a sibling's, another port's) or `cross-site`.
    Foreign,
    /// `none`: there is no page, the user has asked for it.
    User,
}

impl Site {
    /// `None` if there is not exactly one value, or an unknown one.
    fn of(headers: &HeaderMap) -> Option<Self> {
        match single(headers, &SEC_FETCH_SITE)?.as_bytes() {
            b"same-origin" => Some(Self::Own),
            b"same-site" | b"cross-site" => Some(Self::Foreign),
            b"none" => Some(Self::User),
            _ => None,
        }
    }
}

/// What pages whose origin is hidden have in its place.
const NULL: &str = "null";

/// Where a request says that it comes from.
enum Source<'a> {
    /// As `Origin` has it, or the beginning of `Referer`.
    Origin(Cow<'a, str>),
    /// Two origins, or none that can be read.
    Unreadable(Cow<'a, str>),
    Unknown,
}

impl<'a> Source<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        for name in [ORIGIN, SEC_WEBSOCKET_ORIGIN] {
            let mut lines = said(headers, &name);
            let Some(first) = lines.next() else { continue };
            let text = String::from_utf8_lossy(first.as_bytes());
            return match lines.next() {
                None => Self::Origin(text),
                Some(_) => Self::Unreadable(format!("several, the first {text}").into()),
            };
        }
        match said(headers, &REFERER).next() {
            None => Self::Unknown,
            Some(referer) => match origin_of_url(referer) {
                Some(origin) => Self::Origin(origin.into()),
                // The rest of an address may be nobody's business.
                None => Self::Unreadable("unreadable Referer".into()),
            },
        }
    }
}

/// The origin at the beginning of a URL, as browsers send it in `Referer`; what stands behind may be any bytes.
fn origin_of_url(url: &HeaderValue) -> Option<&str> {
    let url = url.as_bytes();
    let authority = url.windows(3).position(|bytes| bytes == b"://")? + 3;
    let length = url[authority..].iter().position(|byte| b"/?#".contains(byte));
    let origin = readable(&url[..length.map_or(url.len(), |length| authority + length)])?;
    Origin::parse(origin).map(|_| origin)
}

/// The lines of a header, but for empty ones, which say nothing.
pub(crate) fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter().filter(|line| !line.is_empty())
}

/// The part of a header that is used, as text. Bytes above 0x7f may stand anywhere in a header
/// ([RFC 9110, section 5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5)): a header is taken apart as bytes.
fn readable(part: &[u8]) -> Option<&str> {
    std::str::from_utf8(part).ok()
}

/// The one value of a header.
fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// An origin, as in [RFC 6454, section 6.2](https://www.rfc-editor.org/rfc/rfc6454#section-6.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Origin<'a> {
    scheme: &'a str,
    host: &'a str,
    /// `None` where the scheme knows no ports.
    port: Option<u16>,
}

impl<'a> Origin<'a> {
    fn parse(text: &'a str) -> Option<Self> {
        let (scheme, authority) = text.split_once("://")?;
        let (host, port) = split_authority(authority)?;
        is_scheme(scheme).then(|| Self { scheme, host, port: port.or(default_port(scheme)) })
    }
}

/// The origin of the URL that was asked for, as far as it is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Own<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: &'a str,
    /// `None` is the default port of the scheme.
    pub(crate) port: Option<u16>,
}

impl<'a> Own<'a> {
    /// `None` if the request does not say, or not readably.
    pub(crate) fn of(request: &Asking<'a>) -> Option<Self> {
        let Forwarded { host, port: forwarded_port, proto } =
            if request.trust_forwarded { Forwarded::of(request.headers) } else { Forwarded::default() };
        let authority = match host {
            Some(host) => host,
            // HTTP/2 has no other; and a request line with a whole URL goes before `Host` (RFC 9112, 3.2.2).
            None => match request.uri.authority() {
                Some(authority) => authority.as_str().as_bytes(),
                None => single(request.headers, &HOST)?.as_bytes(),
            },
        };
        // A proxy may have ended the TLS, but hardly begun it: `http` says nothing. And what a proxy asks for is
        // its own business once it says what the browser has asked for.
        let asked =
            request.uri.scheme_str().filter(|scheme| host.is_none() && default_port(scheme) == Some(443));
        let scheme = match proto {
            Some(proto) => Some(readable(proto)?),
            None => asked.or(request.scheme.map(Scheme::as_str)),
        };
        let (host, port) = split_authority(readable(authority)?)?;
        let port = match (port, forwarded_port) {
            (None, Some(digits)) => Some(parse_port(readable(digits)?)?),
            _ => port,
        };
        Some(Self { scheme, host, port })
    }

    fn is(&self, origin: &Origin<'_>) -> bool {
        let default_port = default_port(origin.scheme);
        // A page of an app or an extension is never the server's, whatever its host is called.
        default_port.is_some()
            // Some proxies call it `wss` where the origin says `https`.
            && self.scheme.is_none_or(|scheme| self::default_port(scheme) == default_port)
            && self.host.eq_ignore_ascii_case(origin.host)
            && self.port.or(default_port) == origin.port
    }
}

/// What the first proxy has said of the browser's request; what is empty, it has not said.
#[derive(Debug, Default)]
struct Forwarded<'a> {
    host: Option<&'a [u8]>,
    /// The port that goes with a host that names none. The standard's host has its port with it.
    port: Option<&'a [u8]>,
    proto: Option<&'a [u8]>,
}

impl<'a> Forwarded<'a> {
    fn of(headers: &'a HeaderMap) -> Self {
        let mut forwarded =
            headers.get(FORWARDED).map(|value| Self::parse(value.as_bytes())).unwrap_or_default();
        if forwarded.host.is_none() {
            forwarded.host = first_element(headers, &X_FORWARDED_HOST);
            forwarded.port = first_element(headers, &X_FORWARDED_PORT);
        }
        forwarded.proto = forwarded.proto.or_else(|| first_element(headers, &X_FORWARDED_PROTO));
        forwarded
    }

    /// The first element of `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)).
    fn parse(value: &'a [u8]) -> Self {
        let mut forwarded = Self::default();
        let first = split_unquoted(value, b',').next().unwrap_or_default();
        for pair in split_unquoted(first, b';').map(<[u8]>::trim_ascii) {
            let Some(equals) = pair.iter().position(|&byte| byte == b'=') else { continue };
            let (name, value) = (&pair[..equals], &pair[equals + 1..]);
            let value =
                value.strip_prefix(b"\"").and_then(|value| value.strip_suffix(b"\"")).unwrap_or(value);
            let value = Some(value).filter(|value| !value.is_empty());
            match name {
                _ if name.eq_ignore_ascii_case(b"host") => forwarded.host = value,
                _ if name.eq_ignore_ascii_case(b"proto") => forwarded.proto = value,
                _ => {}
            }
        }
        forwarded
    }
}

/// The first element of a list, unless that is empty.
pub(crate) fn first_element<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let first = headers.get(name)?.as_bytes().split(|&byte| byte == b',').next()?.trim_ascii();
    Some(first).filter(|first| !first.is_empty())
}

/// Splits where no quotes are open.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    text.split(move |&byte| {
        quoted ^= byte == b'"';
        byte == separator && !quoted
    })
}

/// What stands for origins in a list.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Pattern {
    scheme: Box<str>,
    host: Box<str>,
    /// The host is what the names end with, behind a dot.
    below: bool,
    port: PortPattern,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum PortPattern {
    Any,
    /// As in [`Origin::port`].
    Is(Option<u16>),
}

impl Pattern {
    fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = |why| InvalidOrigin { pattern: text.to_owned(), why };
        if text == "*" {
            return Err(invalid("`Origins::any` lets every origin in"));
        }
        if text == NULL {
            return Err(invalid("any page can send it; `Origins::any` or `Origins::custom` lets it in"));
        }
        let Some((scheme, authority)) = text.split_once("://").filter(|(scheme, _)| is_scheme(scheme)) else {
            return Err(invalid("it has to begin with a scheme, as in https://www.example.com"));
        };
        if authority.contains(['/', '?', '#', '@']) {
            return Err(invalid(
                "it has a scheme, a host and perhaps a port, and nothing behind, not even a slash",
            ));
        }
        if !authority.is_ascii() {
            return Err(invalid("browsers write the name in ASCII (xn--…)"));
        }
        let (authority, any_port) = match authority.strip_suffix(":*") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let (authority, below) = match authority.strip_prefix("*.") {
            Some(authority) => (authority, true),
            None => (authority, false),
        };
        let Some((host, port)) = split_authority(authority).filter(|(_, port)| !(any_port && port.is_some()))
        else {
            return Err(invalid(
                "the host is not one, or the port; `*` may only stand before a dot or as the port",
            ));
        };
        Ok(Self {
            scheme: scheme.to_ascii_lowercase().into(),
            host: host.to_ascii_lowercase().into(),
            below,
            port: if any_port { PortPattern::Any } else { PortPattern::Is(port.or(default_port(scheme))) },
        })
    }

    fn matches(&self, origin: &Origin<'_>) -> bool {
        let host = if self.below {
            // Hosts are ASCII: every byte is a character.
            let name = origin.host.len().checked_sub(self.host.len()).filter(|&length| length > 1);
            name.and_then(|length| {
                let (name, host) = origin.host.split_at(length);
                name.ends_with('.').then_some(host)
            })
        } else {
            Some(origin.host)
        };
        self.scheme.eq_ignore_ascii_case(origin.scheme)
            && host.is_some_and(|host| self.host.eq_ignore_ascii_case(host))
            && match self.port {
                PortPattern::Any => true,
                PortPattern::Is(port) => port == origin.port,
            }
    }
}

/// As it was written, but for case and default ports; also a source of a content security policy.
impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { scheme, host, below, port } = self;
        write!(f, "{scheme}://{}{host}", if *below { "*." } else { "" })?;
        match port {
            PortPattern::Any => f.write_str(":*"),
            PortPattern::Is(Some(port)) if default_port(scheme) != Some(*port) => write!(f, ":{port}"),
            PortPattern::Is(_) => Ok(()),
        }
    }
}

/// Splits `host:port`; an empty port is none.
fn split_authority(authority: &str) -> Option<(&str, Option<u16>)> {
    // The colons of an address of IPv6 stand in brackets.
    let end = if authority.starts_with('[') {
        authority.find(']')? + 1
    } else {
        authority.bytes().position(|b| b == b':').unwrap_or(authority.len())
    };
    let (host, port) = authority.split_at(end);
    let port = match port.strip_prefix(':') {
        None if port.is_empty() => None,
        None => return None,
        Some("") => None,
        Some(digits) => Some(parse_port(digits)?),
    };
    is_host(host).then_some((host, port))
}

fn parse_port(digits: &str) -> Option<u16> {
    digits.bytes().all(|b| b.is_ascii_digit()).then(|| digits.parse().ok())?
}

/// Whether this can be a name or an address. Only such characters as are safe in every header.
fn is_host(host: &str) -> bool {
    match host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        Some(address) => {
            !address.is_empty() && address.bytes().all(|b| b.is_ascii_hexdigit() || matches!(b, b':' | b'.'))
        }
        None => {
            let is_letter = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            !host.is_empty() && !host.starts_with('.') && host.bytes().all(is_letter)
        }
    }
}

fn is_scheme(scheme: &str) -> bool {
    scheme.starts_with(|c: char| c.is_ascii_alphabetic())
        && scheme.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'+' | b'-' | b'.'))
}

pub(crate) fn default_port(scheme: &str) -> Option<u16> {
    // Some clients that are no browsers write their WebSocket's scheme.
    if ["http", "ws"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        Some(80)
    } else if ["https", "wss"].iter().any(|known| scheme.eq_ignore_ascii_case(known)) {
        Some(443)
    } else {
        None
    }
}
