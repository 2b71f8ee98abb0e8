//! The URL of a backend.

use http::Uri;

/// A `ws:` or `wss:` URL with a host.
pub(crate) fn backend_url(text: &str) -> Result<Uri, String> {
    let shown = without_userinfo(text);
    let wrong = |why: &str| Err(format!("`{shown}` is no URL of a backend: {why}"));
    if text.contains('#') {
        return wrong("a fragment (`#…`) is never sent");
    }
    let Ok(url) = text.parse::<Uri>() else { return wrong("such as `ws://127.0.0.1:9000/path`") };
    let Some(authority) = url.authority() else {
        return wrong("a scheme and a host are missing, as in `ws://HOST`");
    };
    if authority.as_str().contains('@') {
        return wrong("a name and password go into `set_headers`, as `Authorization = \"Basic …\"`");
    }
    match url.scheme_str() {
        Some("ws" | "wss") => {}
        Some("http") => return wrong("the scheme of a WebSocket is `ws`"),
        Some("https") => return wrong("the scheme of a WebSocket over TLS is `wss`"),
        Some(_) => return wrong("the scheme must be `ws` or `wss`"),
        None => return wrong("the scheme is missing, as in `ws://HOST`"),
    }
    let host = authority.host();
    if host.is_empty() || host == "[]" {
        return wrong("the host is missing");
    }
    // What is behind the host and is no port.
    let rest = &authority.as_str()[host.len()..];
    match rest.strip_prefix(':').map(str::parse::<u16>) {
        None if rest.is_empty() => Ok(url),
        Some(Ok(1..)) => Ok(url),
        _ => wrong("the port must be from 1 to 65535"),
    }
}

/// What an error may show: a password may be in what stands before the host.
fn without_userinfo(text: &str) -> String {
    match text.rsplit_once('@') {
        Some((_, rest)) => format!("…@{}", rest.escape_debug()),
        None => text.escape_debug().to_string(),
    }
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
}
