//! The iframe page, by which old browsers reach another origin.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_TYPE, ETAG, IF_NONE_MATCH},
};

use super::{cache, reply};

/// The page for one client URL, made once per endpoint.
#[derive(Debug, Clone)]
pub(crate) struct IframePage {
    html: Bytes,
    etag: HeaderValue,
}

impl IframePage {
    pub(crate) fn new(client_url: &str) -> Self {
        let html = include_str!("../../static/iframe.html")
            .replace("{{ client_url }}", &escape_attribute(client_url));
        let etag = HeaderValue::try_from(format!("\"{:016x}\"", fnv1a(html.as_bytes())))
            .unwrap_or(HeaderValue::from_static("\"sockjs\""));
        Self { html: html.into(), etag }
    }

    /// The page, or 304 for a browser that has it (suite: `IframePage`).
    pub(crate) fn respond(&self, request: &HeaderMap) -> Response {
        let mut response = if self.is_known(request) {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let mut response = Response::new(Body::from(self.html.clone()));
            response.headers_mut().insert(CONTENT_TYPE, HeaderValue::from_static("text/html; charset=UTF-8"));
            response
        };
        cache::for_a_year(response.headers_mut());
        response.headers_mut().insert(ETAG, self.etag.clone());
        response
    }

    /// Weak comparison, as [RFC 9110, section 13.1.2](https://www.rfc-editor.org/rfc/rfc9110#section-13.1.2) says.
    fn is_known(&self, request: &HeaderMap) -> bool {
        request
            .get_all(IF_NONE_MATCH)
            .iter()
            .filter_map(|header| header.to_str().ok())
            .flat_map(|header| header.split(','))
            .map(str::trim)
            .any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == self.etag.as_bytes())
    }
}

fn escape_attribute(url: &str) -> String {
    url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

/// FNV-1a: the same page has the same tag in every process and on every node.
fn fnv1a(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, &byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_client_url_cannot_leave_its_attribute() {
        let page = IframePage::new("/a?b=c&d=\"><script>");
        let html = std::str::from_utf8(&page.html).unwrap();
        assert!(html.contains("src=\"/a?b=c&amp;d=&quot;&gt;&lt;script&gt;\""), "{html}");
    }

    #[test]
    fn tags_match_in_lists_weakly_and_by_star() {
        let page = IframePage::new("/sockjs.js");
        let etag = page.etag.to_str().unwrap().to_owned();
        let known = |value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(IF_NONE_MATCH, value.parse().unwrap());
            page.is_known(&headers)
        };
        assert!(known(&etag) && known(&format!("\"x\", W/{etag}")) && known("*"));
        assert!(!known("\"x\"") && !known(""));
        assert_ne!(IframePage::new("/other.js").etag, page.etag);
    }
}
