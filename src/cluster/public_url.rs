//! The URL at which clients reach the cluster.

use http::Uri;

/// The beginning of all public URLs: a scheme, a host, and maybe a path, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct PublicUrl(Box<str>);

impl PublicUrl {
    /// `None` unless it is an absolute `http` or `https` URL without a query.
    pub(super) fn parse(url: &str) -> Option<Self> {
        let uri: Uri = url.parse().ok()?;
        let is_web = matches!(uri.scheme_str(), Some("http" | "https"));
        let is_plain = uri.query().is_none() && !url.contains(['#', '@']);
        (is_web && is_plain).then(|| Self(url.trim_end_matches('/').into()))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_public_url_is_absolute() {
        for (url, parsed) in [
            ("https://a.example", Some("https://a.example")),
            ("http://127.0.0.1:8080/", Some("http://127.0.0.1:8080")),
            ("https://a.example/app/", Some("https://a.example/app")),
            ("https://[::1]:1/x", Some("https://[::1]:1/x")),
            ("a.example", None),
            ("/app", None),
            ("", None),
            ("ftp://a.example", None),
            ("https://a.example?x=1", None),
            ("https://a.example/#x", None),
            ("https://ada@a.example", None),
        ] {
            assert_eq!(PublicUrl::parse(url).as_ref().map(PublicUrl::as_str), parsed, "{url}");
        }
    }
}
