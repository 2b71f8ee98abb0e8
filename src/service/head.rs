//! The head of a request: the path below the endpoint's prefix, and a URL without the session id.

use axum::extract::OriginalUri;
use http::{Uri, request::Parts, uri::PathAndQuery};
use sockjs_core::path::Span;

#[cfg(feature = "cluster")]
use super::hop::Hop;

/// The head of a request.
pub(crate) struct Head {
    pub(crate) parts: Parts,
    mount: Mount,
    /// The length of the segment that names the owner of sessions, `/~TAG`.
    tag: usize,
    #[cfg(feature = "cluster")]
    pub(super) hop: Hop,
}

/// Where an endpoint is in the URL space.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Mount {
    /// The endpoint's own prefix is already removed from the path.
    Nested,
    /// The endpoint's own prefix is the beginning of the path, of this length.
    Prefix(usize),
    /// The endpoint is one URL, whatever it is, without a session id.
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "only the raw WebSocket is one URL"))]
    Route,
}

impl Head {
    pub(crate) fn new(parts: Parts, mount: Mount) -> Self {
        Self {
            parts,
            mount,
            tag: 0,
            #[cfg(feature = "cluster")]
            hop: Hop::default(),
        }
    }

    /// The path below the endpoint's prefix; `None` if it cannot be a path of the endpoint.
    pub(crate) fn path(&self) -> Option<&str> {
        let path = self.parts.uri.path().get(self.mount()..)?;
        if has_doubled_slash(&self.parts, path) {
            return None;
        }
        path.get(self.tag..)
    }

    /// The length of what stands before that path: the endpoint's own prefix, and the owner's tag.
    pub(crate) fn prefix(&self) -> usize {
        self.mount() + self.tag
    }

    /// The length of the endpoint's own prefix in the path.
    pub(super) fn mount(&self) -> usize {
        match self.mount {
            Mount::Prefix(length) => length,
            Mount::Nested | Mount::Route => 0,
        }
    }

    /// A part of the whole path.
    pub(crate) fn text(&self, span: Span) -> &str {
        span.of(self.parts.uri.path())
    }

    /// The head for extractors: as behind `nest_service`, but without the session id.
    pub(crate) fn into_redacted(mut self) -> Parts {
        match self.mount {
            Mount::Nested => hide_session_id(&mut self.parts, None),
            Mount::Prefix(length) => hide_session_id(&mut self.parts, Some(length)),
            Mount::Route => {}
        }
        self.parts
    }

    pub(crate) fn redacted(&self) -> Parts {
        Self::new(self.parts.clone(), self.mount).into_redacted()
    }

    /// Sets the length of the segment with the owner's tag.
    #[cfg(feature = "cluster")]
    pub(super) fn set_tag(&mut self, length: usize) {
        self.tag = length;
    }

    /// Whether the endpoint is one URL.
    pub(super) fn is_route(&self) -> bool {
        matches!(self.mount, Mount::Route)
    }
}

/// Whether axum has removed one of two slashes after the prefix: it nests `//info` as `/info`, and only the original
/// URL shows the difference (suite: `test_notFound`).
fn has_doubled_slash(parts: &Parts, path: &str) -> bool {
    parts.extensions.get::<OriginalUri>().is_some_and(|OriginalUri(original)| {
        original.path().strip_suffix(path).is_some_and(|prefix| prefix.ends_with('/'))
    })
}

/// Removes `/SERVER/SESSION/TRANSPORT` from the URLs that extractors can see: anyone with the session id can read and
/// send, and the application cannot leak an id that it never sees.
fn hide_session_id(parts: &mut Parts, prefix: Option<usize>) {
    let outer = std::mem::take(&mut parts.uri);
    parts.uri = with_path(&outer, "/");
    let inner = outer.path().get(prefix.unwrap_or(0)..).unwrap_or_default();
    let original = match parts.extensions.get::<OriginalUri>() {
        Some(OriginalUri(original)) => original,
        None if prefix.is_some() => &outer,
        None => return,
    };
    let prefix = original.path().strip_suffix(inner).filter(|prefix| !prefix.is_empty()).unwrap_or("/");
    let original = with_path(original, prefix);
    parts.extensions.insert(OriginalUri(original));
}

/// Returns `uri` with another path and the same query.
fn with_path(uri: &Uri, path: &str) -> Uri {
    let path_and_query = match uri.query() {
        Some(query) => format!("{path}?{query}"),
        None => path.to_owned(),
    };
    let mut uri = uri.clone().into_parts();
    // A part of a valid path that begins with a slash is valid.
    uri.path_and_query = PathAndQuery::try_from(path_and_query).ok();
    Uri::from_parts(uri).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parts() -> Parts {
        http::Request::new(()).into_parts().0
    }

    #[test]
    fn doubled_slashes_are_seen() {
        let doubled = |original: &str, nested: &str| {
            let mut parts = parts();
            parts.uri = nested.parse().unwrap();
            parts.extensions.insert(OriginalUri(original.parse().unwrap()));
            has_doubled_slash(&parts, nested)
        };
        assert!(doubled("/echo//", "/") && doubled("/echo//info", "/info"));
        assert!(!doubled("/echo", "/") && !doubled("/echo/", "/") && !doubled("/echo/info", "/info"));
        assert!(!doubled("/", "/") && !doubled("/info", "/info") && !doubled("//info", "//info"));
    }

    #[test]
    fn no_extractor_sees_the_session_id() {
        let mut parts = parts();
        parts.uri = "/000/secret/xhr?t=1".parse().unwrap();
        parts.extensions.insert(OriginalUri("http://host/a/b/000/secret/xhr?t=1".parse().unwrap()));
        hide_session_id(&mut parts, None);
        assert_eq!(parts.uri, "/?t=1");
        assert_eq!(parts.extensions.get::<OriginalUri>().unwrap().0, "http://host/a/b?t=1");
    }

    #[test]
    fn no_extractor_sees_the_session_id_behind_a_layer() {
        for (original, outer, prefix, shown) in [
            (None, "/000/secret/xhr?t=1", None, None),
            (None, "/000/secret/xhr?t=1", Some(0), Some("/?t=1")),
            (None, "/b/000/secret/xhr?t=1", Some(2), Some("/b?t=1")),
            (Some("/a/b/000/secret/xhr?t=1"), "/b/000/secret/xhr?t=1", Some(2), Some("/a/b?t=1")),
        ] {
            let mut parts = parts();
            parts.uri = outer.parse().unwrap();
            if let Some(original) = original {
                parts.extensions.insert(OriginalUri(original.parse().unwrap()));
            }
            hide_session_id(&mut parts, prefix);
            assert_eq!(parts.uri, "/?t=1");
            let original = parts.extensions.get::<OriginalUri>().map(|OriginalUri(uri)| uri.to_string());
            assert_eq!(original.as_deref(), shown);
        }
    }
}
