//! The client script, served by the endpoint.

use std::{fmt, io, path::Path};

use axum::response::Response;
use bytes::Bytes;
use http::{
    HeaderMap, HeaderValue, StatusCode,
    header::{CACHE_CONTROL, ETAG},
};

use super::{cache, etag::ETag, rejection::Rejection, reply};

/// A build of sockjs-client that the endpoint serves, so that pages and the iframe page always load the same version:
/// see [`Options::client_script`](crate::Options::client_script).
///
/// Use `dist/sockjs.min.js` of the npm package `sockjs-client`.
#[derive(Clone)]
pub struct ClientScript {
    script: Bytes,
    etag: ETag,
}

impl ClientScript {
    /// Creates it from the script, for instance from `include_bytes!`.
    pub fn from_bytes(script: impl Into<Bytes>) -> Self {
        let script = script.into();
        Self { etag: ETag::of(&script), script }
    }

    /// Reads the script from a file, once, immediately.
    ///
    /// # Errors
    /// Returns the error of reading the file.
    pub fn from_file(path: impl AsRef<Path>) -> io::Result<Self> {
        Ok(Self::from_bytes(std::fs::read(path)?))
    }

    /// Returns the version of this exact content, as in the path `/sockjs-VERSION.min.js`.
    #[must_use]
    pub fn version(&self) -> &str {
        self.etag.as_str()
    }

    /// Returns the script, or 304 for a browser that has it. A path with a version may be cached for a year. Without
    /// a version, browsers must revalidate each time: otherwise a page and its iframe could differ after an update.
    pub(crate) fn respond(&self, version: Option<&str>, request: &HeaderMap) -> Result<Response, Rejection> {
        if version.is_some_and(|version| version != self.version()) {
            return Err(Rejection::NotFound);
        }
        let mut response = if self.etag.is_known(request) {
            reply::empty(StatusCode::NOT_MODIFIED)
        } else {
            let javascript = HeaderValue::from_static("text/javascript; charset=UTF-8");
            reply::body(StatusCode::OK, javascript, self.script.clone())
        };
        let headers = response.headers_mut();
        if version.is_some() {
            cache::for_a_year(headers);
        } else {
            headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, no-cache"));
        }
        headers.insert(ETAG, self.etag.header());
        Ok(response)
    }
}

impl fmt::Debug for ClientScript {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "ClientScript({})", self.version())
    }
}
