//! The owner's name in URLs: sealed, so that only nodes can make one, and only nodes can read it.

use data_encoding::BASE64URL_NOPAD;

use super::{
    node_id::{MAX_NODE_ID, NodeId},
    secret::{MAC, NONCE, Seal, Secret},
};
use crate::util::random;

/// What a segment of a path with a tag begins with.
pub(crate) const MARK: char = '~';

/// The path below an endpoint that is the node itself.
pub(crate) const CHECK_PATH: &str = "/~";

/// The longest tag, in characters.
const MAX_TAG: usize = (NONCE + MAX_NODE_ID + MAC).div_ceil(3) * 4;

/// The tag at the beginning of a path below an endpoint, without its mark, if there is any. It may be forged.
pub(crate) fn of_path(path: &str) -> Option<&str> {
    let tagged = path.strip_prefix('/')?.strip_prefix(MARK)?;
    tagged.split('/').next()
}

/// The length of the segment of a path that is this tag, with its slash and its mark.
pub(crate) fn segment(tag: &str) -> usize {
    "/".len() + MARK.len_utf8() + tag.len()
}

/// Makes a node's tag. A node needs one for each of its starts, so a random nonce is good enough.
pub(super) fn seal(key: &Seal, node: &NodeId) -> String {
    let nonce: [u8; NONCE] = random::bytes();
    let mut tag = Vec::with_capacity(NONCE + MAX_NODE_ID + MAC);
    tag.extend_from_slice(&nonce);
    node.encode(&mut tag);
    key.seal(nonce, b"", &mut tag, NONCE);
    BASE64URL_NOPAD.encode(&tag)
}

/// Reads a tag that a node has made with one of these secrets.
pub(super) fn open(secrets: &[Secret], tag: &str) -> Option<NodeId> {
    if tag.len() > MAX_TAG {
        return None;
    }
    let bytes = BASE64URL_NOPAD.decode(tag.as_bytes()).ok()?;
    let (nonce, sealed) = bytes.split_first_chunk()?;
    let text = secrets.iter().find_map(|secret| secret.tags.open(*nonce, b"", sealed))?;
    let (node, rest) = NodeId::decode(&text)?;
    rest.is_empty().then_some(node)
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use proptest::prelude::*;

    use super::*;

    fn secret(text: &str) -> Secret {
        Secret::new(text.as_bytes())
    }

    fn node() -> impl Strategy<Value = NodeId> {
        let address = prop_oneof![
            any::<(std::net::Ipv4Addr, u16)>().prop_map(SocketAddr::from),
            any::<(std::net::Ipv6Addr, u16)>().prop_map(SocketAddr::from),
        ];
        (address, any::<u64>()).prop_map(|(address, boot)| NodeId { address, boot })
    }

    #[test]
    fn the_tag_of_a_path_is_its_first_segment() {
        for (path, tag) in [
            ("/~abc/000/id/xhr", Some("abc")),
            ("/~abc", Some("abc")),
            ("/~", Some("")),
            ("/~/info", Some("")),
            ("/000/~abc/xhr", None),
            ("~abc", None),
            ("//~abc", None),
            ("", None),
        ] {
            assert_eq!(of_path(path), tag, "{path}");
            let below = tag.map(|tag| &path[segment(tag)..]);
            assert!(
                below.is_none_or(|below| below.is_empty() || below.starts_with('/')),
                "{path}: {below:?}"
            );
        }
    }

    #[test]
    fn a_tag_is_short_and_fits_into_a_path() {
        for (address, length) in [("10.1.2.3:80", 58), ("[2001:db8::1]:8080", 74)] {
            let node = NodeId { address: address.parse().unwrap(), boot: 7 };
            let tag = seal(&secret("a").tags, &node);
            assert_eq!(tag.len(), length);
            assert!(tag.len() <= MAX_TAG);
            assert!(tag.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_".contains(&byte)), "{tag}");
        }
    }

    proptest! {
        #[test]
        fn nodes_read_what_nodes_write(node in node()) {
            let (old, new, other) = (secret("old"), secret("new"), secret("other"));
            let by_old = seal(&old.tags, &node);
            let by_new = seal(&new.tags, &node);
            // Before, amid and after a rotation.
            prop_assert_eq!(open(&[old], &by_old), Some(node));
            let both = [new, secret("old")];
            prop_assert_eq!(open(&both, &by_old), Some(node));
            prop_assert_eq!(open(&both, &by_new), Some(node));
            prop_assert_eq!(open(&both[..1], &by_old), None);
            prop_assert_eq!(open(&[other], &by_new), None);
            prop_assert_ne!(seal(&both[0].tags, &node), by_new, "a nonce is used once");
        }

        #[test]
        fn a_changed_tag_does_not_open(node in node(), at in any::<prop::sample::Index>(), other in "[A-Za-z0-9_-]") {
            let secrets = [secret("a")];
            let tag = seal(&secrets[0].tags, &node);
            let at = at.index(tag.len());
            prop_assert_eq!(open(&secrets, &tag[..at]), None);
            prop_assert_eq!(open(&secrets, &format!("{tag}{other}")), None);
            let changed = format!("{}{other}{}", &tag[..at], &tag[at + 1..]);
            prop_assert_eq!(open(&secrets, &changed), (changed == tag).then_some(node));
        }

        #[test]
        fn what_no_node_has_made_does_not_open(tag in "[A-Za-z0-9_~%.=-]{0,80}") {
            prop_assert_eq!(open(&[secret("a")], &tag), None);
        }
    }
}
