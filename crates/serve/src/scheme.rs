//! The scheme of a request that came over TLS.

use axum::http::{
    Request, Uri,
    header::HOST,
    uri::{Authority, Scheme},
};

/// Says in the URI of a request that its scheme is `https`, as requests over HTTP/2 do: HTTP/1.1 says nothing of it, and
/// whoever compares origins could take a page of `http://HOST` for one of this server.
///
/// A `Host` that is none is removed, since it could not be compared with the scheme that belongs to it.
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

    fn said(method: Method, uri: &str, hosts: &[&str]) -> (String, bool) {
        let mut request = Request::builder().method(method).uri(uri);
        for host in hosts {
            request = request.header(HOST, *host);
        }
        let mut request = request.body(()).expect("a request");
        say_https(&mut request);
        (request.uri().to_string(), request.headers().contains_key(HOST))
    }

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

    #[test]
    fn a_host_that_is_none_is_not_compared() {
        for hosts in [&[][..], &["a b"], &["a.test", "a.test"], &["a/b"], &[""], &["a:b:c"]] {
            assert_eq!(said(Method::GET, "/x", hosts), ("/x".to_owned(), false), "{hosts:?}");
        }
    }

    #[test]
    fn what_has_no_path_stays() {
        assert_eq!(said(Method::CONNECT, "a.test:443", &["a.test"]), ("a.test:443".to_owned(), true));
        let (options, _) = said(Method::OPTIONS, "*", &["a.test"]);
        assert!(options == "*" || options.starts_with("https://a.test"), "{options}");
    }
}
