//! The origin of a request, and the origin that it was sent to.

use std::borrow::Cow;

use http::{
    HeaderMap, HeaderName, HeaderValue, Uri,
    header::{AUTHORIZATION, COOKIE, FORWARDED, HOST, ORIGIN, REFERER},
    uri::Scheme,
};

use super::parse::{NULL, Origin, default_port, parse_port, split_authority};
use crate::util::headers::{first_element, readable, said, single};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
/// The name of `Origin` in version 8 of WebSocket (Firefox 7, Chrome 14).
pub(super) const SEC_WEBSOCKET_ORIGIN: HeaderName = HeaderName::from_static("sec-websocket-origin");
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");
pub(crate) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const X_FORWARDED_PORT: HeaderName = HeaderName::from_static("x-forwarded-port");

/// The input of the origin check: the request, and the endpoint's settings.
#[derive(Debug)]
pub(crate) struct OriginContext<'a> {
    pub(crate) uri: &'a Uri,
    pub(crate) headers: &'a HeaderMap,
    /// Whether a proxy's headers about the browser's request are trusted.
    pub(crate) trust_forwarded: bool,
    /// The endpoint's own scheme, if the application has set it: `http` or `https`.
    pub(crate) scheme: Option<&'a Scheme>,
    pub(crate) missing: MissingOrigin,
}

/// The rule for a request without an origin, from the least to the most strict.
///
/// A page can make its browser omit `Referer` (`Referrer-Policy: no-referrer`). Browsers send no `Origin` with a
/// `GET` for an image, a script or `fetch` with `no-cors`, and no `Sec-Fetch-Site` over plain HTTP.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum MissingOrigin {
    /// No page in today's browsers can make the request, or it changes nothing.
    Allowed,
    /// A page can make the request, and with its user's credentials it would act in that user's name. Other headers
    /// do not help: a page may set `Accept` to the value of an `EventSource`.
    AllowedWithoutCredentials,
    /// A page that hides its origin can make the request.
    Refused,
}

impl MissingOrigin {
    pub(super) fn allows(self, headers: &HeaderMap) -> bool {
        match self {
            Self::Allowed => true,
            Self::AllowedWithoutCredentials => {
                !headers.contains_key(COOKIE) && !headers.contains_key(AUTHORIZATION)
            }
            Self::Refused => false,
        }
    }
}

impl OriginContext<'_> {
    /// Whether an origin is that of the requested URL, as browsers write it, or as only other clients do: with a
    /// trailing slash or without a scheme.
    pub(super) fn is_own(&self, origin: &str) -> bool {
        let Some(own) = Own::of(self) else { return false };
        if let Some(origin) = Origin::parse(origin.strip_suffix('/').unwrap_or(origin)) {
            return own.is(&origin);
        }
        // A host could have this name, but any page can have this origin.
        !origin.eq_ignore_ascii_case(NULL)
            && split_authority(origin).is_some_and(|(host, port)| {
                let with = |scheme| Origin { scheme, host, port: port.or(default_port(scheme)) };
                own.is(&with("http")) || own.is(&with("https"))
            })
    }

    /// A faster check for the usual case: `Origin` equals `Host` exactly.
    pub(super) fn comes_from_host(&self) -> bool {
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

/// The relation between a request and its page, as the browser states it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Site {
    /// `same-origin`.
    Own,
    /// `same-site` (a sibling domain, another port) or `cross-site`.
    Foreign,
    /// `none`: no page, the user made the request.
    User,
}

impl Site {
    /// `None` unless there is exactly one known value.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        match single(headers, &SEC_FETCH_SITE)?.as_bytes() {
            b"same-origin" => Some(Self::Own),
            b"same-site" | b"cross-site" => Some(Self::Foreign),
            b"none" => Some(Self::User),
            _ => None,
        }
    }
}

/// The origin that a request states.
pub(super) enum Source<'a> {
    /// The value of `Origin`, or the beginning of `Referer`.
    Origin(Cow<'a, str>),
    /// Several origins, or an unreadable one.
    Unreadable(Cow<'a, str>),
    Unknown,
}

impl<'a> Source<'a> {
    pub(super) fn of(headers: &'a HeaderMap) -> Self {
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
                // The rest of a URL may be private.
                None => Self::Unreadable("unreadable Referer".into()),
            },
        }
    }
}

/// The origin at the beginning of a URL, as browsers send it in `Referer`; the rest may be any bytes.
pub(super) fn origin_of_url(url: &HeaderValue) -> Option<&str> {
    let url = url.as_bytes();
    let authority = url.windows(3).position(|bytes| bytes == b"://")? + 3;
    let length = url[authority..].iter().position(|byte| b"/?#".contains(byte));
    let origin = readable(&url[..length.map_or(url.len(), |length| authority + length)])?;
    Origin::parse(origin).map(|_| origin)
}

/// The origin of the requested URL, as far as it is known.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Own<'a> {
    pub(crate) scheme: Option<&'a str>,
    pub(crate) host: &'a str,
    /// `None` is the default port of the scheme.
    pub(crate) port: Option<u16>,
}

impl<'a> Own<'a> {
    /// `None` if the request does not state it, or not readably.
    pub(crate) fn of(request: &OriginContext<'a>) -> Option<Self> {
        let Forwarded { host, port: forwarded_port, proto } =
            if request.trust_forwarded { Forwarded::of(request.headers) } else { Forwarded::default() };
        let authority = match host {
            Some(host) => host,
            // HTTP/2 has no `Host`, and an absolute URL in the request line takes precedence over `Host` (RFC 9112,
            // 3.2.2).
            None => match request.uri.authority() {
                Some(authority) => authority.as_str().as_bytes(),
                None => single(request.headers, &HOST)?.as_bytes(),
            },
        };
        // A proxy may have terminated TLS but hardly added it, so `http` proves nothing. Once a proxy reports the
        // browser's request, its own request does not matter.
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
        // A page of an app or an extension is never the server's own, whatever its host is called.
        default_port.is_some()
            // Some proxies write `wss` for an origin of `https`.
            && self.scheme.is_none_or(|scheme| self::default_port(scheme) == default_port)
            && self.host.eq_ignore_ascii_case(origin.host)
            && self.port.or(default_port) == origin.port
    }
}

/// The first proxy's report of the browser's request; empty values are ignored.
#[derive(Debug, Default)]
struct Forwarded<'a> {
    host: Option<&'a [u8]>,
    /// The port for a host without one. The host of `Forwarded` includes its port.
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

    /// Parses the first element of `Forwarded` ([RFC 7239](https://www.rfc-editor.org/rfc/rfc7239)).
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

/// Splits at separators outside quotes.
fn split_unquoted(text: &[u8], separator: u8) -> impl Iterator<Item = &[u8]> {
    let mut quoted = false;
    text.split(move |&byte| {
        quoted ^= byte == b'"';
        byte == separator && !quoted
    })
}
