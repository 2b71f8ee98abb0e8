//! The iframe page, by which old browsers reach another origin.

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, HeaderValue, StatusCode, header::ETAG};

use super::{cache, etag::ETag, reply};

/// The page for one client URL, made once per endpoint.
#[derive(Debug, Clone)]
pub(crate) struct IframePage {
    html: Bytes,
    etag: ETag,
}

impl IframePage {
    pub(crate) fn new(client_url: &str) -> Self {
        let html = include_str!("../../static/iframe.html")
            .replace("{{ client_url }}", &escape_attribute(client_url));
        Self { etag: ETag::of(html.as_bytes()), html: html.into() }
    }

    /// The page, or 304 for a browser that has it (suite: `IframePage`).
    pub(crate) fn respond(&self, request: &HeaderMap) -> Response {
        let mut response = if self.etag.is_known(request) {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let html = HeaderValue::from_static("text/html; charset=UTF-8");
            reply::body(StatusCode::OK, html, self.html.clone())
        };
        cache::for_a_year(response.headers_mut());
        response.headers_mut().insert(ETAG, self.etag.header());
        response
    }
}

fn escape_attribute(url: &str) -> String {
    url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
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
}
