//! The scheme of a request, which its listener knows, and not its client.

#[cfg(feature = "rustls")]
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderValue, Request, Uri, header::HOST};

/// Takes scheme and host out of the URI of a request that came without TLS: the scheme is the client's word, by an absolute
/// URL in the request line or by `:scheme` of HTTP/2, and proves nothing. The host becomes that of `Host`, in place of
/// what the client says there (RFC 9112, 3.2.2; RFC 9113, 8.3.1). Each version of HTTP then looks alike.
pub(crate) fn say_no_scheme<B>(request: &mut Request<B>) {
    let uri = request.uri();
    // `CONNECT` of HTTP/1.1 has no path: no URL of this server.
    let (Some(authority), Some(path)) = (uri.authority(), uri.path_and_query()) else { return };
    let host = HeaderValue::from_str(authority.as_str());
    let uri = Uri::from(path.clone());
    *request.uri_mut() = uri;
    match host {
        Ok(host) => _ = request.headers_mut().insert(HOST, host),
        Err(_) => _ = request.headers_mut().remove(HOST),
    }
}

/// Says in the URI of a request that its scheme is `https`, as requests over HTTP/2 do: HTTP/1.1 says nothing of it, and
/// whoever compares origins could take a page of `http://HOST` for one of this server.
///
/// A `Host` that is none is removed, since it could not be compared with the scheme that belongs to it.
#[cfg(feature = "rustls")]
pub(crate) fn say_https<B>(request: &mut Request<B>) {
    if request.uri().path_and_query().is_none() {
        // `CONNECT` of HTTP/1.1: no URL of this server.
        return;
    }
    let Some(authority) = request.uri().authority().cloned().or_else(|| host(request)) else {
        request.headers_mut().remove(HOST);
        return;
    };
    let mut uri = std::mem::take(request.uri_mut()).into_parts();
    (uri.scheme, uri.authority) = (Some(Scheme::HTTPS), Some(authority));
    // All of its parts are there and valid.
    *request.uri_mut() = Uri::from_parts(uri).unwrap_or_default();
}

/// The one host of a request.
#[cfg(feature = "rustls")]
fn host<B>(request: &Request<B>) -> Option<Authority> {
    let mut hosts = request.headers().get_all(HOST).iter();
    let host = hosts.next()?;
    if hosts.next().is_some() {
        return None;
    }
    Authority::try_from(host.as_bytes()).ok()
}

#[cfg(test)]
mod tests {
    use axum::http::Method;

    use super::*;

    #[test]
    fn without_tls_the_scheme_is_nobodys_word() {
        for (method, uri, hosts, expected, host) in [
            (Method::GET, "/echo/info?t=1", &["a.test"][..], "/echo/info?t=1", &["a.test"][..]),
            (Method::GET, "https://b.test:8443/x?y", &["a.test"], "/x?y", &["b.test:8443"]),
            (Method::GET, "http://b.test", &["a.test", "c.test"], "/", &["b.test"]),
            (Method::GET, "wss://[::1]/x", &[], "/x", &["[::1]"]),
            // Over HTTP/2, a WebSocket.
            (Method::CONNECT, "https://b.test/x", &[], "/x", &["b.test"]),
            (Method::CONNECT, "b.test:443", &["a.test"], "b.test:443", &["a.test"]),
            (Method::OPTIONS, "*", &["a.test"], "*", &["a.test"]),
        ] {
            let mut request = Request::builder().method(method).uri(uri);
            for host in hosts {
                request = request.header(HOST, *host);
            }
            let mut request = request.body(()).expect("a request");
            say_no_scheme(&mut request);
            assert_eq!(request.uri().to_string(), expected);
            let hosts: Vec<_> = request.headers().get_all(HOST).iter().collect();
            assert_eq!(hosts, host, "{uri}");
        }
    }

    #[cfg(feature = "rustls")]
    fn said(method: Method, uri: &str, hosts: &[&str]) -> (String, bool) {
        let mut request = Request::builder().method(method).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut request = request.body(()).expect("a request");
        say_https(&mut request);
        (request.uri().to_string(), request.headers().contains_key(HOST))
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_request_says_its_scheme() {
        for (uri, hosts, expected) in [
            ("/echo/info?t=1", &["a.test"][..], "https://a.test/echo/info?t=1"),
            ("/", &["a.test:8443"], "https://a.test:8443/"),
            ("/", &["[::1]:8443"], "https://[::1]:8443/"),
            ("/", &["a_b.test:"], "https://a_b.test:/"),
            // An absolute URL takes precedence over `Host`; what it says of the scheme is the client's word.
            ("http://b.test/x", &["a.test"], "https://b.test/x"),
            ("https://b.test/x", &[], "https://b.test/x"),
        ] {
            let (now, has_host) = said(Method::GET, uri, hosts);
            assert_eq!(now, expected);
            assert_eq!(has_host, !hosts.is_empty(), "{uri}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn a_host_that_is_none_is_not_compared() {
        for hosts in [&[][..], &["a b"], &["a.test", "a.test"], &["a/b"], &[""], &["a:b:c"]] {
            assert_eq!(said(Method::GET, "/x", hosts), ("/x".to_owned(), false), "{hosts:?}");
        }
    }

    #[cfg(feature = "rustls")]
    #[test]
    fn what_has_no_path_stays() {
        assert_eq!(said(Method::CONNECT, "a.test:443", &["a.test"]), ("a.test:443".to_owned(), true));
        let (options, _) = said(Method::OPTIONS, "*", &["a.test"]);
        assert!(options == "*" || options.starts_with("https://a.test"), "{options}");
    }
}
