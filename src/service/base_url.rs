//! The URL for the transports that `/info` answers on a node of a cluster.

use axum::extract::OriginalUri;
use http::request::Parts;

use super::{dispatch::Service, head::Head};
use crate::{
    cluster::tag::MARK,
    origin::request::{MissingOrigin, Own},
};

impl Service {
    /// The URL below which this node has its sessions, as the client sees it. `None` without a cluster, and where the
    /// public URL is not known.
    pub(super) fn base_url(&self, head: &Head) -> Option<String> {
        let options = self.options();
        let cluster = options.cluster.as_ref()?;
        let parts = &head.parts;
        let public = || match cluster.public_url() {
            Some(url) => Some(url.as_str().to_owned()),
            None => origin(&Own::of(&options.origin_context(parts, MissingOrigin::Allowed))?),
        };
        let url = match options.base_url.as_deref() {
            Some(path) if path.starts_with('/') => public().map(|origin| origin + path),
            Some(url) => Some(url.to_owned()),
            None => public().map(|origin| origin + prefix(parts, head.mount())),
        };
        let Some(url) = url else {
            self.endpoint.cluster_log.unknown_url();
            return None;
        };
        // The client uses this URL in place of its own, whose query the application's extractors need.
        Some(tagged(&url, cluster.tag(), parts.uri.query().map_or("", without_time)))
    }
}

/// A URL with a tag behind its path, and with `query` in addition to its own.
fn tagged(url: &str, tag: &str, query: &str) -> String {
    let (path, own) = url.split_once('?').unwrap_or((url, ""));
    let mut tagged = format!("{}/{MARK}{tag}", path.trim_end_matches('/'));
    for (mark, query) in [('?', own), (if own.is_empty() { '?' } else { '&' }, query)] {
        if !query.is_empty() {
            tagged.push(mark);
            tagged.push_str(query);
        }
    }
    tagged
}

/// An origin as the client needs it: absolute, and of HTTP.
fn origin(own: &Own<'_>) -> Option<String> {
    let scheme = match own.scheme?.to_ascii_lowercase().as_str() {
        "http" | "ws" => "http",
        "https" | "wss" => "https",
        _ => return None,
    };
    Some(match own.port {
        Some(port) => format!("{scheme}://{}:{port}", own.host),
        None => format!("{scheme}://{}", own.host),
    })
}

/// The path of the endpoint as this node's router got it.
fn prefix(parts: &Parts, mount: usize) -> &str {
    let path = parts.uri.path();
    let below = path.get(mount..).unwrap_or_default();
    let original =
        parts.extensions.get::<OriginalUri>().map_or(path, |OriginalUri(original)| original.path());
    // Without an `OriginalUri`, whatever has removed a prefix has not said which.
    original.strip_suffix(below).unwrap_or_default()
}

/// A query without the `t=…` that sockjs-client appends against caches.
fn without_time(query: &str) -> &str {
    let (rest, last) = match query.rsplit_once('&') {
        Some((rest, last)) => (rest, last),
        None => ("", query),
    };
    let is_time = last
        .strip_prefix("t=")
        .is_some_and(|time| !time.is_empty() && time.bytes().all(|digit| digit.is_ascii_digit()));
    if is_time { rest } else { query }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tag_belongs_to_the_path() {
        for (url, query, with_tag) in [
            ("https://a.example/x", "", "https://a.example/x/~tag"),
            ("https://a.example/x/", "token=a", "https://a.example/x/~tag?token=a"),
            ("https://a.example/x?b=c", "", "https://a.example/x/~tag?b=c"),
            ("https://a.example/x/?b=c", "token=a", "https://a.example/x/~tag?b=c&token=a"),
            ("https://a.example?", "token=a", "https://a.example/~tag?token=a"),
        ] {
            assert_eq!(tagged(url, "tag", query), with_tag, "{url}");
        }
    }

    #[test]
    fn only_the_clients_own_time_is_removed() {
        for (query, rest) in [
            ("t=1700000000000", ""),
            ("token=a&t=1700000000000", "token=a"),
            ("t=5&t=1700000000000", "t=5"),
            ("token=a", "token=a"),
            ("t=5&token=a", "t=5&token=a"),
            ("t=x", "t=x"),
            ("t=", "t="),
            ("token=a&t=1&", "token=a&t=1&"),
            ("at=5", "at=5"),
        ] {
            assert_eq!(without_time(query), rest, "{query}");
        }
    }
}
