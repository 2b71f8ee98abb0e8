//! The URL of a backend.

use http::Uri;

/// A `ws:` or `wss:` URL with a host. An error shows of it what is no secret.
pub(super) fn backend_url(text: &str) -> Result<Uri, String> {
    judged(text).map_err(|why| format!("`{}` is no URL of a backend: {why}", shown(text)))
}

/// The same, or only why it is none.
pub(crate) fn judged(text: &str) -> Result<Uri, &'static str> {
    if text.contains('#') {
        return Err("a fragment (`#…`) is never sent");
    }
    let url = text.parse::<Uri>().map_err(|_| "such as `ws://127.0.0.1:9000/path`")?;
    let authority = url.authority().ok_or("a scheme and a host are missing, as in `ws://HOST`")?;
    if authority.as_str().contains('@') {
        return Err("a name and password go into `set_headers`, as `Authorization = \"Basic …\"`");
    }
    match url.scheme_str() {
        Some("ws" | "wss") => {}
        Some("http") => return Err("the scheme of a WebSocket is `ws`"),
        Some("https") => return Err("the scheme of a WebSocket over TLS is `wss`"),
        Some(_) => return Err("the scheme must be `ws` or `wss`"),
        None => return Err("the scheme is missing, as in `ws://HOST`"),
    }
    let host = authority.host();
    if host.is_empty() || host == "[]" {
        return Err("the host is missing");
    }
    // What is behind the host and is no port.
    let rest = &authority.as_str()[host.len()..];
    match rest.strip_prefix(':').map(str::parse::<u16>) {
        None if rest.is_empty() => Ok(url),
        Some(Ok(1..)) => Ok(url),
        _ => Err("the port must be from 1 to 65535"),
    }
}

/// What an error may show of a URL: neither what stands before the host, which may be a password, nor the query, which
/// may be a token.
pub(crate) fn shown(url: &str) -> String {
    let (before, rest) = match url.rsplit_once('@') {
        // It may be part of a query too.
        Some((before, _)) if before.contains(['?', '#']) => return "…".to_owned(),
        Some((_, rest)) => ("…@", rest),
        None => ("", url),
    };
    match rest.split_once(['?', '#']) {
        Some((rest, _)) => format!("{before}{}?…", rest.escape_debug()),
        None => format!("{before}{}", rest.escape_debug()),
    }
}

/// Whether a text has a part that `shown` hides.
pub(crate) fn may_be_secret(url: &str) -> bool {
    url.contains(['@', '?'])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_a_websocket_at_a_host() {
        for good in
            ["ws://127.0.0.1:9000/ws", "wss://chat.example.com", "ws://[::1]:9000/a/b?x=1", "ws://backend:80"]
        {
            assert!(backend_url(good).is_ok(), "{good}: {:?}", backend_url(good));
        }
        for (bad, word) in [
            ("", "such as"),
            ("http://a", "is `ws`"),
            ("https://a", "is `wss`"),
            ("ftp://a", "must be"),
            ("WS://a", "must be"),
            ("/ws", "a scheme and a host"),
            ("a:80", "the scheme is missing"),
            ("ws://", "such as"),
            ("ws://:80/", "host"),
            ("ws://a:0", "port"),
            ("ws://a:70000", "port"),
            ("ws://a:x/", "port"),
            ("ws://a:/", "port"),
            ("ws://a b/", "such as"),
            ("ws://a/#b", "fragment"),
        ] {
            let error = backend_url(bad).map_err(|error| assert!(error.contains(word), "{bad}: {error}"));
            assert!(error.is_err(), "{bad}: {error:?}");
        }
        let error = backend_url("ws://ada:S3CRET@a/").unwrap_err();
        assert!(error.contains("set_headers") && !error.contains("S3CRET"), "{error}");
    }

    #[test]
    fn neither_password_nor_token_is_shown() {
        for (url, expected) in [
            ("http://a/b", "http://a/b"),
            ("http://a/b?token=S3CRET", "http://a/b?…"),
            ("http://a/b#S3CRET", "http://a/b?…"),
            ("ws://ada:S3CRET@a/b", "…@a/b"),
            ("ws://ada:S3CRET@a/b?S3CRET", "…@a/b?…"),
            ("ws://a:S3?CRET@a", "…"),
            ("ws://a/?x=a@S3CRET", "…"),
            ("ws://a:S3@CRET@a\n", "…@a\\n"),
        ] {
            assert_eq!(shown(url), expected, "{url}");
        }
    }
}
