//! Reading headers as the bytes that they are.

use http::{HeaderMap, HeaderName, HeaderValue};

/// The lines of a header, but for empty ones, which say nothing.
pub(crate) fn said<'a>(headers: &'a HeaderMap, name: &HeaderName) -> impl Iterator<Item = &'a HeaderValue> {
    headers.get_all(name).iter().filter(|line| !line.is_empty())
}

/// The part of a header that is used, as text. Bytes above 0x7f may stand anywhere in a header
/// ([RFC 9110, section 5.5](https://www.rfc-editor.org/rfc/rfc9110#section-5.5)): a header is taken apart as bytes.
pub(crate) fn readable(part: &[u8]) -> Option<&str> {
    std::str::from_utf8(part).ok()
}

/// The one value of a header.
pub(crate) fn single<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a HeaderValue> {
    let mut lines = headers.get_all(name).iter();
    lines.next().filter(|_| lines.next().is_none())
}

/// The first element of a list, unless that is empty.
pub(crate) fn first_element<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Option<&'a [u8]> {
    let first = headers.get(name)?.as_bytes().split(|&byte| byte == b',').next()?.trim_ascii();
    Some(first).filter(|first| !first.is_empty())
}
