//! Where a backend is: its URL, taken apart.

use http::{HeaderValue, Uri, uri::PathAndQuery};

/// A backend's URL, taken apart.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Target {
    pub(super) is_tls: bool,
    /// A name or an address, without the brackets of IPv6.
    pub(super) host: String,
    pub(super) port: u16,
    /// What a client says in `Host`: without the port if that is the scheme's own.
    pub(super) host_header: HeaderValue,
    /// At least `/`.
    pub(super) path: String,
    pub(super) query: Option<String>,
}

/// What is wrong with the URL of a backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum InvalidTarget {
    Scheme,
    Host,
}

impl std::fmt::Display for InvalidTarget {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Scheme => "the URL of a backend begins with `ws:` or `wss:`",
            Self::Host => "the URL of a backend has a host",
        })
    }
}

impl std::error::Error for InvalidTarget {}

impl TryFrom<&Uri> for Target {
    type Error = InvalidTarget;

    fn try_from(url: &Uri) -> Result<Self, InvalidTarget> {
        let is_tls = match url.scheme_str() {
            Some("ws") => false,
            Some("wss") => true,
            _ => return Err(InvalidTarget::Scheme),
        };
        let authority = url.authority().ok_or(InvalidTarget::Host)?;
        let host = authority.host();
        if host.is_empty() {
            return Err(InvalidTarget::Host);
        }
        let default_port = if is_tls { 443 } else { 80 };
        let port = authority.port_u16().unwrap_or(default_port);
        let host_header = if port == default_port { host.to_owned() } else { format!("{host}:{port}") };
        let host_header = HeaderValue::try_from(host_header).map_err(|_| InvalidTarget::Host)?;
        let bare = host.strip_prefix('[').and_then(|host| host.strip_suffix(']')).unwrap_or(host);
        let path = url.path_and_query().map_or("/", PathAndQuery::path);
        Ok(Self {
            is_tls,
            host: bare.to_owned(),
            port,
            host_header,
            path: if path.is_empty() { "/" } else { path }.to_owned(),
            query: url.query().filter(|query| !query.is_empty()).map(str::to_owned),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn target(url: &str) -> Result<Target, InvalidTarget> {
        Target::try_from(&url.parse::<Uri>().unwrap())
    }

    #[test]
    fn is_taken_apart() {
        for (url, is_tls, host, port, header, path, query) in [
            ("ws://a", false, "a", 80, "a", "/", None),
            ("wss://a.example/", true, "a.example", 443, "a.example", "/", None),
            ("ws://a:443", false, "a", 443, "a:443", "/", None),
            ("wss://a:443/b/c?d=e", true, "a", 443, "a", "/b/c", Some("d=e")),
            ("ws://127.0.0.1:9000/ws?", false, "127.0.0.1", 9000, "127.0.0.1:9000", "/ws", None),
            ("ws://[::1]:9000/ws", false, "::1", 9000, "[::1]:9000", "/ws", None),
            ("wss://[::1]/ws", true, "::1", 443, "[::1]", "/ws", None),
        ] {
            let got = target(url).unwrap();
            assert_eq!((got.is_tls, &*got.host, got.port), (is_tls, host, port), "{url}");
            assert_eq!(
                (&got.host_header, &*got.path, got.query.as_deref()),
                (&HeaderValue::from_static(header), path, query),
                "{url}"
            );
        }
    }

    #[test]
    fn is_refused() {
        assert_eq!(target("http://a/"), Err(InvalidTarget::Scheme));
        assert_eq!(target("/ws"), Err(InvalidTarget::Scheme));
    }
}
