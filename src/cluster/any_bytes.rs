//! What must hold of tags and headers, whatever bytes they are.

use data_encoding::BASE64URL_NOPAD;
use http::{HeaderValue, Method};

use super::{
    forwarded::{Context, Forwarded, Sealed},
    link::frame,
    node_id::NodeId,
    secret::{NONCE, Secret},
    tag,
};

/// Any bytes as what came from outside, which no key opens; and as what a node with the secret has sealed.
pub(crate) fn check(data: &[u8]) {
    let secrets = [Secret::new(b"one"), Secret::new(b"other")];
    let context = Context { method: &Method::GET, path: "/~/a/b/xhr", query: None };
    for text in [String::from_utf8_lossy(data).into_owned(), BASE64URL_NOPAD.encode(data)] {
        assert_eq!(tag::open(&secrets, &text), None);
        let path = format!("/{text}");
        assert!(tag::of_path(&path).is_none_or(|tag| path[2..].starts_with(tag) && !tag.contains('/')));
        if let Some(sealed) = HeaderValue::from_str(&text).ok().and_then(|value| Sealed::parse(&value)) {
            assert_eq!(sealed.open(&secrets[0].forwarded_by(&sealed.node), &context), None);
        }
    }

    let nonce = [7; NONCE];
    let mut sealed = nonce.to_vec();
    sealed.extend_from_slice(data);
    secrets[1].tags.seal(nonce, b"", &mut sealed, NONCE);
    if let Some(node) = tag::open(&secrets, &BASE64URL_NOPAD.encode(&sealed)) {
        let mut again = Vec::new();
        node.encode(&mut again);
        assert_eq!(again, data, "a node has one name");
    }
    if let Some((node, rest)) = NodeId::decode(data) {
        let mut again = Vec::new();
        node.encode(&mut again);
        assert_eq!([&again, rest].concat(), data);
    }
    frame::check(data);
    if let Some(forwarded) = Forwarded::decode(data) {
        let mut again = Vec::new();
        forwarded.encode(&mut again);
        let read = Forwarded::decode(&again).expect("what was written is read");
        assert!(
            read == forwarded || forwarded.authority.is_some_and(|authority| authority.as_str().len() > 500)
        );
    }
}
