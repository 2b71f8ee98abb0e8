//! How messages to subscribers are written for other nodes, and read by someone who trusts nothing.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the version of this layout |
//! | 1 | what the target is, and whether its destination is what subscribers see |
//! | 16, or a text | the session, or the name of the user; not with the other targets |
//! | a text | the destination of the target |
//! | a text or none | the destination that subscribers see |
//! | 2 | how many headers there are |
//! | two texts each | the headers |
//! | the rest | the body |
//!
//! Texts are UTF-8, with 4 bytes for their length.

use bytes::{Buf, BufMut, Bytes};
use bytestring::ByteString;
use stomp_codec::Headers;

use crate::{broker::Target, message::Message, outbox::SessionId};

const VERSION: u8 = 1;

const DESTINATION: u8 = 0;
const USER: u8 = 1;
const SESSION: u8 = 2;
const TEMPORARY: u8 = 3;
/// The destination of the target is what subscribers see.
const SEEN: u8 = 1 << 7;

/// Of a message with more headers nothing is sent or taken: few bytes of headers take much memory, and each is compared with
/// the others.
pub(crate) const MAX_HEADERS: usize = 1000;

/// What stands before the body. `None` if the message has too many headers.
pub(crate) fn head(target: &Target, message: &Message) -> Option<Vec<u8>> {
    let (kind, destination) = match target {
        Target::Destination(destination) => (DESTINATION, destination),
        Target::User { destination, .. } => (USER, destination),
        Target::Session { destination, .. } => (SESSION, destination),
        Target::Temporary(name) => (TEMPORARY, name),
    };
    let headers = message.headers();
    let count = headers.iter().count();
    if count > MAX_HEADERS {
        return None;
    }
    let is_seen = **destination == *message.destination();
    let mut head = Vec::with_capacity(64 + destination.len() + message.size() - message.body().len());
    head.put_u8(VERSION);
    head.put_u8(kind | if is_seen { SEEN } else { 0 });
    match target {
        Target::User { name, .. } => put(&mut head, name),
        Target::Session { id, .. } => head.put_slice(&id.to_bytes()),
        Target::Destination(_) | Target::Temporary(_) => {}
    }
    put(&mut head, destination);
    if !is_seen {
        put(&mut head, message.destination());
    }
    head.put_u16(count as u16);
    for (name, value) in headers.iter() {
        put(&mut head, name);
        put(&mut head, value);
    }
    Some(head)
}

/// `None` if it is none.
pub(crate) fn decode(mut bytes: Bytes) -> Option<(Target, Message)> {
    if bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    let kind = bytes.try_get_u8().ok()?;
    let target = match kind & !SEEN {
        DESTINATION => Target::Destination(get(&mut bytes)?),
        USER => Target::User { name: get(&mut bytes)?, destination: get(&mut bytes)? },
        SESSION => {
            let id = bytes.try_get_u128().ok()?;
            Target::Session { id: SessionId::from_bytes(id.to_be_bytes()), destination: get(&mut bytes)? }
        }
        TEMPORARY => Target::Temporary(get(&mut bytes)?),
        _ => return None,
    };
    let seen = if kind & SEEN == 0 {
        get(&mut bytes)?
    } else {
        match &target {
            Target::Destination(destination)
            | Target::User { destination, .. }
            | Target::Session { destination, .. }
            | Target::Temporary(destination) => destination.clone(),
        }
    };
    let count = usize::from(bytes.try_get_u16().ok()?);
    if count > MAX_HEADERS {
        return None;
    }
    let mut headers = Headers::new();
    for _ in 0..count {
        headers.append(get(&mut bytes)?, get(&mut bytes)?);
    }
    Some((target, Message::new(seen, &headers, bytes)))
}

fn put(bytes: &mut Vec<u8>, text: &str) {
    // What is longer than a message of the bus is refused.
    bytes.put_u32(u32::try_from(text.len()).unwrap_or(u32::MAX));
    bytes.put_slice(text.as_bytes());
}

fn get(bytes: &mut Bytes) -> Option<ByteString> {
    let len = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
    let text = (len <= bytes.len()).then(|| bytes.split_to(len))?;
    ByteString::try_from(text).ok()
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn targets(name: &str, destination: &str) -> [Target; 4] {
        let (name, destination) = (ByteString::from(name), ByteString::from(destination));
        [
            Target::Destination(destination.clone()),
            Target::User { name, destination: destination.clone() },
            Target::Session { id: SessionId::random(), destination: destination.clone() },
            Target::Temporary(destination),
        ]
    }

    fn whole(target: &Target, message: &Message) -> Bytes {
        [&head(target, message).unwrap()[..], message.body()].concat().into()
    }

    proptest! {
        #[test]
        fn a_message_is_read_as_it_was_written(
            name: String,
            destination: String,
            seen: Option<String>,
            headers in vec((any::<String>(), any::<String>()), 0..5),
            body: Vec<u8>,
        ) {
            let headers = Headers::from_iter(headers);
            let seen = seen.unwrap_or_else(|| destination.clone());
            let message = Message::new(seen, &headers, body);
            for target in targets(&name, &destination) {
                let (as_found, found) = decode(whole(&target, &message)).unwrap();
                prop_assert_eq!(&as_found, &target);
                prop_assert_eq!(found.destination(), message.destination());
                prop_assert_eq!(found.headers(), message.headers());
                prop_assert_eq!(found.body(), message.body());
            }
        }

        #[test]
        fn no_bytes_panic(bytes in vec(any::<u8>(), 0..200), kind: u8, place in 0_usize..200) {
            decode(bytes.clone().into());
            decode([&[VERSION, kind & (SEEN | 3)], &bytes[..]].concat().into());
            // Nearly right ones.
            for target in targets("anna", "/queue/a") {
                let message = Message::new("/user/queue/a", &Headers::from_iter([("a", "b")]), "body");
                let mut whole = whole(&target, &message).to_vec();
                decode(Bytes::copy_from_slice(&whole[..place.min(whole.len())]));
                if let Some(byte) = whole.get_mut(place) {
                    *byte = kind;
                }
                decode(whole.into());
            }
        }
    }

    #[test]
    fn too_many_headers_are_neither_written_nor_read() {
        let numbers = (0..=MAX_HEADERS).map(|number| (number.to_string(), "x"));
        let message = Message::new("/a", &numbers.collect(), "");
        let target = Target::Destination("/a".into());
        assert_eq!(head(&target, &message), None);
        let few = Message::new("/a", &Headers::new(), "");
        let mut head = head(&target, &few).unwrap();
        let at = head.len() - 2;
        head[at..].copy_from_slice(&(MAX_HEADERS as u16 + 1).to_be_bytes());
        head.extend(vec![0; 8 * (MAX_HEADERS + 1)]);
        assert!(decode(head.into()).is_none());
    }
}
