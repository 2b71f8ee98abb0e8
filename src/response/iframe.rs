//! The iframe page, through which old browsers reach another origin.

use axum::response::Response;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CONTENT_SECURITY_POLICY, ETAG},
};

use super::{cache, etag::ETag, reply};

/// The page for one client URL, created once per endpoint.
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

    /// Answers if any page may frame this one: with the page, or 304 for a browser that has it (suite: `IframePage`).
    pub(crate) fn respond(&self, request: &HeaderMap) -> Response {
        let mut response =
            if self.etag.is_known(request) { reply::empty(StatusCode::NOT_MODIFIED) } else { self.page() };
        cache::for_a_year(response.headers_mut());
        response.headers_mut().insert(ETAG, self.etag.header());
        response
    }

    /// Answers if only some pages may frame this one. The response is not cached, since each request is checked, and
    /// since browsers would keep the policy of the cached page.
    pub(crate) fn respond_within(&self, frame_ancestors: HeaderValue) -> Response {
        let mut response = self.page();
        cache::never(response.headers_mut());
        response.headers_mut().insert(CONTENT_SECURITY_POLICY, frame_ancestors);
        response
    }

    fn page(&self) -> Response {
        let html = HeaderValue::from_static("text/html; charset=UTF-8");
        reply::body(StatusCode::OK, html, self.html.clone())
    }
}

fn escape_attribute(url: &str) -> String {
    url.replace('&', "&amp;").replace('"', "&quot;").replace('<', "&lt;").replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Sites use this hash in their policies: changing it is a breaking change.
    #[test]
    fn the_documented_hash_is_the_inline_scripts() {
        use sha2::Digest as _;

        let html = include_str!("../../static/iframe.html");
        let script = html.split("<script>").nth(1).and_then(|rest| rest.split("</script>").next()).unwrap();
        let hash = data_encoding::BASE64.encode(&sha2::Sha256::digest(script));
        assert!(include_str!("../docs/mounting.md").contains(&format!("'sha256-{hash}'")), "{hash}");
    }

    #[test]
    fn the_client_url_cannot_leave_its_attribute() {
        let page = IframePage::new("/a?b=c&d=\"><script>");
        let html = std::str::from_utf8(&page.html).unwrap();
        assert!(html.contains("src=\"/a?b=c&amp;d=&quot;&gt;&lt;script&gt;\""), "{html}");
    }
}
