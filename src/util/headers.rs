//! Reads headers as bytes.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The non-empty lines of a header; empty ones count as missing.
pub(crate) fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter().filter(|line| !line.is_empty())
}

/// A used part of a header as text. Headers are split as bytes, because bytes above 0x7f may occur anywhere in them
/// ([RFC 9110, section 5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5)).
pub(crate) fn readable(part: &[u8]) -> Option<&str> {
    std::str::from_utf8(part).ok()
}

/// The value of a header that has exactly one line.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// The first element of a list, unless it is empty.
pub(crate) fn first_element<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let first = headers.get(name)?.as_bytes().split(|&byte| byte == b',').next()?.trim_ascii();
    Some(first).filter(|first| !first.is_empty())
}
