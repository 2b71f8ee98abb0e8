//! The policy for the origins that may use an endpoint.

use std::{fmt, sync::Arc};

use http::{
    HeaderMap, HeaderValue,
    header::{ORIGIN, REFERER},
};

use super::{
    parse::{NULL, Origin},
    pattern::{InvalidOrigin, Pattern},
    request::{OriginContext, Site, Source, origin_of_url},
};
use crate::{response::cors::AllowOrigin, util::headers::said};

/// The origins whose pages may use an endpoint: see [`Options::origins`](crate::Options::origins).
///
/// The endpoint's own origin is always allowed. A request without an origin is allowed too, unless a page could hide
/// behind that.
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
    /// Allows only the endpoint's own origin: the default.
    ///
    /// Browsers call it `same-origin` in `Sec-Fetch-Site`. Without that header, it is an origin with the host and
    /// port of `Host` (on HTTP/2, of `:authority`). The scheme is compared if the request says `https`, as HTTP/2
    /// over TLS does. Otherwise the server cannot know whether TLS ended in front of it: see
    /// [`Options::scheme`](crate::Options::scheme) and [`Options::trust_forwarded`](crate::Options::trust_forwarded).
    ///
    /// Clients that are not browsers may write their `Origin` with a trailing slash (`https://HOST/`) or without a
    /// scheme (`HOST`, `HOST:PORT`); both mean the same.
    #[must_use]
    pub fn same() -> Self {
        Self(Policy::Same)
    }

    /// Allows these origins and the endpoint's own.
    ///
    /// | pattern | matches |
    /// |---|---|
    /// | `https://www.example.com` | this origin, at the scheme's default port |
    /// | `https://*.example.com` | all names below `example.com`, at any depth; not `example.com` itself |
    /// | `http://localhost:*` | any port |
    /// | `http://[::1]:8080` | an address |
    /// | `capacitor://localhost` | an app or an extension, under its own scheme |
    ///
    /// Case does not matter. A trailing dot does: to browsers, `example.com.` is another host.
    ///
    /// # Errors
    /// Returns [`InvalidOrigin`], which names the invalid pattern and the reason.
    pub fn list<P: AsRef<str>>(patterns: impl IntoIterator<Item = P>) -> Result<Self, InvalidOrigin> {
        let patterns: Result<_, _> =
            patterns.into_iter().map(|pattern| Pattern::parse(pattern.as_ref())).collect();
        Ok(Self(Policy::List(patterns?)))
    }

    /// Allows the origins that your function accepts, and the endpoint's own.
    ///
    /// The function gets the origin as the browser wrote it, including `null`, and the request's headers. (Any page
    /// can make its origin `null` with a sandboxed iframe, so allowing `null` allows all pages.) It runs on every
    /// request of another origin, so it must be fast.
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

    /// Allows every origin, as most SockJS servers do. Use it for endpoints to which the identity of a browser's user
    /// does not matter, or whose users prove their identity by something that other pages do not have, such as a
    /// token in a message.
    ///
    /// If cookies, client certificates or the network (a server on localhost or an intranet) prove the identity, any
    /// page that a user visits can act as that user.
    #[must_use]
    pub fn any() -> Self {
        Self(Policy::Any)
    }

    pub(crate) fn is_any(&self) -> bool {
        matches!(self.0, Policy::Any)
    }

    /// The origins that may read the response to an allowed request.
    pub(crate) fn allow_origin(&self, request: &HeaderMap) -> AllowOrigin {
        match said(request, &ORIGIN).next() {
            Some(origin) => AllowOrigin::Named(origin.clone()),
            None if self.is_any() => AllowOrigin::Anyone,
            None => AllowOrigin::Nobody,
        }
    }

    /// Whether a request may use the endpoint.
    pub(crate) fn check(&self, request: &OriginContext<'_>) -> Result<(), Refused> {
        if self.is_any() {
            return Ok(());
        }
        let site = Site::of(request.headers);
        if site == Some(Site::Own) {
            return Ok(());
        }
        // The browser knows better than this server that a request is cross-origin.
        let may_be_own = site != Some(Site::Foreign);
        if may_be_own && request.comes_from_host() {
            return Ok(());
        }
        let origin = match Source::of(request.headers) {
            Source::Origin(origin) => origin,
            Source::Unknown => {
                let harmless = match site {
                    Some(site) => site == Site::User,
                    None => request.missing.allows(request.headers),
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

    /// Whether the policy allows an origin other than the endpoint's own.
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

    /// The content security policy that keeps foreign pages from framing a page of the endpoint; `None` if all may
    /// frame it.
    ///
    /// A custom function gets the request, whose `Referer` names the framing page.
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
        // Patterns and origins have only characters that are valid in a header; see `is_host`.
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

/// The longest part of a header in a log line, in characters.
pub(super) const MAX_SHOWN: usize = 200;

/// A rejected request, with its origin if that is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refused(pub(crate) Option<String>);

impl fmt::Display for Refused {
    /// For a log: escaped and of bounded length.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0 {
            Some(origin) => {
                origin.chars().take(MAX_SHOWN).try_for_each(|c| write!(f, "{}", c.escape_debug()))
            }
            None => f.write_str("(hidden)"),
        }
    }
}
