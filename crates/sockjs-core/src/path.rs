//! Parsing of paths below the prefix of an endpoint, for servers.
//!
//! ```
//! use sockjs_core::path::{Path, parse};
//!
//! assert_eq!(parse("/info"), Some(Path::Info));
//! let path = "/000/abcdefgh/xhr_send";
//! let Some(Path::Session { session, transport }) = parse(path) else { panic!() };
//! assert_eq!((session.of(path), transport), ("abcdefgh", "xhr_send"));
//! assert_eq!(parse("/000/a.b/xhr_send"), None);
//! ```

/// The longest session or server id, in bytes of the raw path.
///
/// sockjs-client uses 8 and 3 bytes; the limit keeps a peer from storing kilobytes as an id. It is this crate's own: the
/// protocol has none.
pub const MAX_ID: usize = 128;

/// A parsed path below the prefix.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Path<'a> {
    /// The prefix itself, with or without a slash.
    Greeting,
    /// `/info`.
    Info,
    /// `/iframe.html` and `/iframe-VERSION.html`.
    Iframe,
    /// `/websocket`.
    RawWebSocket,
    /// `/sockjs.min.js`, or `/sockjs-VERSION.min.js` with the version of the file.
    Client {
        /// The version in the name.
        version: Option<&'a str>,
    },
    /// `/SERVER/SESSION/TRANSPORT`; only load balancers use the server part, which is ignored.
    Session {
        /// The session id.
        session: Span,
        /// What stands behind the session id, whatever it is: a [`path`](crate::Transport::path) or
        /// [`send_path`](crate::Transport::send_path) of a transport is to be expected.
        transport: &'a str,
    },
}

/// The position of a part of a path, so that storing it needs no allocation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span {
    start: usize,
    end: usize,
}

impl Span {
    /// Returns the text of this part, or nothing if `path` is another one that has no such part.
    #[inline]
    #[must_use]
    pub fn of(self, path: &str) -> &str {
        path.get(self.start..self.end).unwrap_or_default()
    }

    /// Returns the same part of a path that has `prefix` more bytes at its beginning.
    #[inline]
    #[must_use]
    pub fn behind(self, prefix: usize) -> Self {
        Self { start: self.start + prefix, end: self.end + prefix }
    }
}

/// Parses the raw path without percent-decoding: an encoded dot or slash is a part of an id, and the raw id is the
/// key of the session. `None` means 404.
#[must_use]
pub fn parse(path: &str) -> Option<Path<'_>> {
    let rest = match path {
        "" | "/" => return Some(Path::Greeting),
        _ => path.strip_prefix('/')?,
    };
    let mut parts = Parts { rest: Some(rest) };
    match (parts.next()?, parts.next(), parts.next(), parts.next()) {
        ("info", None, ..) => Some(Path::Info),
        ("websocket", None, ..) => Some(Path::RawWebSocket),
        ("sockjs.min.js", None, ..) => Some(Path::Client { version: None }),
        (page, None, ..) if is_iframe(page) => Some(Path::Iframe),
        (script, None, ..) => {
            let version = script.strip_prefix("sockjs-")?.strip_suffix(".min.js")?;
            Some(Path::Client { version: Some(version) })
        }
        (server, Some(session), Some(transport), None) if is_id(server) && is_id(session) => {
            let start = "/".len() + server.len() + "/".len();
            Some(Path::Session { session: Span { start, end: start + session.len() }, transport })
        }
        _ => None,
    }
}

/// The parts between slashes. `str::split` uses a search that is faster only for longer texts.
struct Parts<'a> {
    rest: Option<&'a str>,
}

impl<'a> Parts<'a> {
    fn next(&mut self) -> Option<&'a str> {
        let rest = self.rest.take()?;
        let Some(end) = rest.bytes().position(|b| b == b'/') else { return Some(rest) };
        self.rest = Some(&rest[end + 1..]);
        Some(&rest[..end])
    }
}

fn is_id(part: &str) -> bool {
    !part.is_empty() && part.len() <= MAX_ID && part.bytes().all(|b| b != b'.')
}

fn is_iframe(page: &str) -> bool {
    let Some(version) = page.strip_prefix("iframe").and_then(|rest| rest.strip_suffix(".html")) else {
        return false;
    };
    version.is_empty()
        || version.starts_with('-')
            && version.bytes().all(|b| matches!(b, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'_' | b'.'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn known_paths() {
        assert_eq!(parse(""), Some(Path::Greeting));
        assert_eq!(parse("/"), Some(Path::Greeting));
        assert_eq!(parse("/info"), Some(Path::Info));
        assert_eq!(parse("/websocket"), Some(Path::RawWebSocket));
        assert_eq!(parse("/sockjs.min.js"), Some(Path::Client { version: None }));
        assert_eq!(parse("/sockjs-0f.min.js"), Some(Path::Client { version: Some("0f") }));
        for page in ["/iframe.html", "/iframe-a.html", "/iframe-.html", "/iframe-0.1.2abc-dirty.2144.html"] {
            assert_eq!(parse(page), Some(Path::Iframe), "{page}");
        }
        let path = "/abcdefgh_i-j%20/abc%2F_i%2e/xhr";
        let Some(Path::Session { session, transport }) = parse(path) else { panic!("{path}") };
        assert_eq!((session.of(path), transport), ("abc%2F_i%2e", "xhr"));
        assert_eq!(session.behind(5).of(&format!("/echo{path}")), "abc%2F_i%2e");
    }

    #[test]
    fn everything_else_is_unknown() {
        for path in [
            "//",
            "///",
            "/a",
            "/a.html",
            "/a/a",
            "/a/a/",
            "/a/",
            "/info/",
            "/websocket/",
            "/a/a/xhr/",
            "//xhr",
            "///xhr",
            "/a./a/xhr",
            "/a/a./xhr",
            "/././/xhr",
            "/a/a/b/xhr",
            "/iframe.htm",
            "/iframe",
            "/IFRAME.HTML",
            "/iframe.HTML",
            "/iframe.xml",
            "/iframe-/.html",
            "/iframe-A.html",
            "/iframe0.html",
            "info",
        ] {
            let parsed = parse(path);
            // "/a/a/" names no transport: the table of routes has no empty suffix.
            assert!(matches!(parsed, None | Some(Path::Session { transport: "", .. })), "{path}: {parsed:?}");
        }
    }

    #[test]
    fn ids_have_a_length_limit() {
        let id = "x".repeat(MAX_ID);
        assert!(parse(&format!("/{id}/{id}/xhr")).is_some());
        assert!(parse(&format!("/{id}x/{id}/xhr")).is_none());
        assert!(parse(&format!("/{id}/{id}x/xhr")).is_none());
    }

    proptest! {
        #[test]
        fn never_panics_and_never_accepts_a_dot_in_an_id(path in "(/[a-z.%;é]{0,3}){0,5}") {
            if let Some(Path::Session { session, .. }) = parse(&path) {
                let session = session.of(&path);
                prop_assert!(!session.is_empty() && !session.contains(['.', '/']));
            }
        }
    }
}
