//! The request that opened a connection, as a session keeps it.
//!
//! Imports: nothing.

use axum::extract::OriginalUri;
use bytes::{Bytes, BytesMut};
use http::{HeaderValue, Uri, request::Parts};

/// Copies what shares memory with the buffer that the request was read into: a session would keep that buffer, which has
/// 16 KiB with `axum::serve`.
pub(crate) fn detached(mut opening: Parts) -> Box<Parts> {
    let length = opening.headers.values().map(HeaderValue::len).sum();
    // One allocation for all values.
    let mut copy = BytesMut::with_capacity(length);
    opening.headers.values().for_each(|value| copy.extend_from_slice(value.as_bytes()));
    let mut copy = copy.freeze();
    for value in opening.headers.values_mut() {
        let own: Bytes = copy.split_to(value.len());
        // It is as valid as it was.
        if let Ok(mut own) = HeaderValue::from_maybe_shared(own) {
            own.set_sensitive(value.is_sensitive());
            *value = own;
        }
    }
    detach_uri(&mut opening.uri);
    if let Some(OriginalUri(uri)) = opening.extensions.get_mut() {
        detach_uri(uri);
    }
    Box::new(opening)
}

fn detach_uri(uri: &mut Uri) {
    if let Ok(own) = uri.to_string().parse() {
        *uri = own;
    }
}

#[cfg(test)]
mod tests {
    use http::Request;

    use super::*;

    #[test]
    fn a_copy_says_the_same_and_shares_nothing() {
        let buffer = Bytes::from_static(b"/a?b=c one two  secret");
        let uri = Uri::from_maybe_shared(buffer.slice(..6)).unwrap();
        let value = |range| HeaderValue::from_maybe_shared(buffer.slice(range)).unwrap();
        let mut secret = value(16..22);
        secret.set_sensitive(true);
        let request = Request::get(uri.clone())
            .header("x-a", value(7..10))
            .header("x-a", value(11..14))
            .header("x-empty", value(15..15))
            .header("authorization", secret)
            .extension(OriginalUri(uri))
            .body(());
        let before = request.unwrap().into_parts().0;
        let after = detached(before.clone());
        assert_eq!((&after.headers, &after.uri), (&before.headers, &before.uri));
        assert!(after.headers["authorization"].is_sensitive() && !after.headers["x-a"].is_sensitive());
        let OriginalUri(original) = after.extensions.get().unwrap();
        let texts = after.headers.values().map(HeaderValue::as_bytes);
        let texts = texts.chain([&after.uri, original].map(|uri| uri.path().as_bytes()));
        for text in texts.filter(|text| !text.is_empty()) {
            assert!(!buffer.as_ptr_range().contains(&text.as_ptr()), "{text:?}");
        }
    }
}
