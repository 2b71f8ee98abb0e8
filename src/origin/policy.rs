//! Which origins an endpoint lets in.

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

    /// Who may read the answer to a request that was let in.
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

/// How much of a header goes into a line of the log, in characters.
pub(super) const MAX_SHOWN: usize = 200;

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
