//! Cache headers for browsers and proxies: a year, or never.

use std::time::{Duration, SystemTime};

use http::{
    HeaderMap, HeaderValue,
    header::{CACHE_CONTROL, EXPIRES},
};

/// The exact value that the suite expects (`verify_not_cached`).
const NO_CACHE: HeaderValue =
    HeaderValue::from_static("no-store, no-cache, no-transform, must-revalidate, max-age=0");

pub(crate) const YEAR: Duration = Duration::from_secs(31_536_000);

pub(crate) fn never(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, NO_CACHE);
}

pub(crate) fn for_a_year(headers: &mut HeaderMap) {
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000"));
    let expires = httpdate::fmt_http_date(SystemTime::now() + YEAR);
    // A formatted date is ASCII.
    if let Ok(expires) = HeaderValue::try_from(expires) {
        headers.insert(EXPIRES, expires);
    }
}
