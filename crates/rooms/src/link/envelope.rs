//! How messages to sessions are written for other nodes, and read by someone who trusts nothing.
//!
//! | bytes | |
//! |---|---|
//! | 1 | the version of this layout |
//! | 1 | flags: the overflow policy in two bits, and whether a session is left out, the message is binary |
//! | 16 or none | the session that is left out |
//! | the rest | the message |
//!
//! The end of sessions has the flags 255, a code of 2 bytes, and behind it
//!
//! | bytes | |
//! |---|---|
//! | 1 | whose: 0 of those who get messages by this subject, 1 of a user, 2 of some sessions; 4 more if one is left out |
//! | 16 or none | the session that is left out |
//! | none; or 4 and so many | the user as JSON |
//! | none; or 2 and 16 for each | the sessions |
//! | the rest | the reason |

use std::borrow::Cow;

use axum_sockjs::{ConnectionId, Message, Overflow};
use bytes::{Buf, BufMut, Bytes};

use crate::node::{
    delivery::{Except, How},
    end::End,
};

const VERSION: u8 = 1;

const OVERFLOW: u8 = 0b11;
const EXCEPT: u8 = 1 << 2;
const BINARY: u8 = 1 << 3;
const TRANSIENT: u8 = 1 << 4;
const KNOWN: u8 = OVERFLOW | EXCEPT | BINARY | TRANSIENT;
const CLOSE: u8 = 255;
const HERE: u8 = 0;
const USER: u8 = 1;
const TABS: u8 = 2;
const BUT_ONE: u8 = 4;

/// What comes from another node.
#[derive(Debug)]
pub(super) enum Envelope {
    Message(Message, How),
    Close(Whom, End),
}

/// Whose sessions are closed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// Those to whom a message with the same subject would go.
    Here,
    /// A user's, as JSON.
    User(Bytes),
    /// As many as a number of 2 bytes says at the most.
    Tabs(Vec<ConnectionId>),
}

/// What stands before a message.
pub(super) fn head(message: &Message, how: &How) -> Vec<u8> {
    let mut flags = match how.overflow {
        Some(Overflow::Wait) => 1,
        Some(Overflow::Close) => 2,
        Some(Overflow::DropOldest) => 3,
        // A policy that is not known here is left to the other node.
        _ => 0,
    };
    let except = match &how.except {
        Except::Nobody => None,
        Except::Sender(sender) => Some(sender.id()),
        Except::Id(id) => Some(*id),
    };
    flags |= if except.is_some() { EXCEPT } else { 0 };
    flags |= if message.is_binary() { BINARY } else { 0 };
    flags |= if how.is_transient { TRANSIENT } else { 0 };
    let mut head = vec![VERSION, flags];
    if let Some(except) = except {
        head.put_u128(except.as_u128());
    }
    head
}

/// The bytes of a message. Lone surrogates become U+FFFD.
pub(super) fn body(message: &Message) -> Cow<'_, [u8]> {
    if message.is_binary() || message.as_str().is_some() {
        Cow::Borrowed(message.as_bytes())
    } else {
        Cow::Owned(message.to_bytes_lossy().to_vec())
    }
}

pub(super) fn close(whom: &Whom, end: &End) -> Vec<u8> {
    let mut close = vec![VERSION, CLOSE];
    close.put_u16(end.code);
    let whose = match whom {
        Whom::Here => HERE,
        Whom::User(_) => USER,
        Whom::Tabs(_) => TABS,
    };
    close.put_u8(whose | if end.except.is_some() { BUT_ONE } else { 0 });
    if let Some(except) = end.except {
        close.put_u128(except.as_u128());
    }
    match whom {
        Whom::Here => {}
        Whom::User(user) => {
            // A message of the bus is shorter.
            close.put_u32(user.len() as u32);
            close.put_slice(user);
        }
        Whom::Tabs(tabs) => {
            close.put_u16(tabs.len() as u16);
            tabs.iter().for_each(|tab| close.put_u128(tab.as_u128()));
        }
    }
    close.put_slice(end.reason.as_bytes());
    close
}

/// `None` if it is none.
pub(super) fn decode(mut bytes: Bytes) -> Option<Envelope> {
    if bytes.try_get_u8().ok()? != VERSION {
        return None;
    }
    let flags = bytes.try_get_u8().ok()?;
    if flags == CLOSE {
        return decode_close(bytes);
    }
    if flags & !KNOWN != 0 {
        return None;
    }
    let except = if flags & EXCEPT == 0 {
        Except::Nobody
    } else {
        Except::Id(ConnectionId::from_u128(bytes.try_get_u128().ok()?))
    };
    let overflow = match flags & OVERFLOW {
        0 => None,
        1 => Some(Overflow::Wait),
        2 => Some(Overflow::Close),
        _ => Some(Overflow::DropOldest),
    };
    let message = if flags & BINARY == 0 { Message::from_utf8(bytes).ok()? } else { Message::binary(bytes) };
    Some(Envelope::Message(message, How { except, overflow, is_transient: flags & TRANSIENT != 0 }))
}

fn decode_close(mut bytes: Bytes) -> Option<Envelope> {
    let code = bytes.try_get_u16().ok()?;
    let whose = bytes.try_get_u8().ok()?;
    let except = match whose & BUT_ONE {
        0 => None,
        _ => Some(ConnectionId::from_u128(bytes.try_get_u128().ok()?)),
    };
    let whom = match whose & !BUT_ONE {
        HERE => Whom::Here,
        USER => {
            let len = usize::try_from(bytes.try_get_u32().ok()?).ok()?;
            Whom::User((len <= bytes.len()).then(|| bytes.split_to(len))?)
        }
        TABS => {
            let count = bytes.try_get_u16().ok()?;
            let tabs = (0..count).map(|_| bytes.try_get_u128().ok().map(ConnectionId::from_u128));
            Whom::Tabs(tabs.collect::<Option<_>>()?)
        }
        _ => return None,
    };
    let reason = String::from_utf8(bytes.into()).ok()?.into();
    Some(Envelope::Close(whom, End { code, reason, except }))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use proptest::prelude::*;

    use super::*;

    fn there_and_back(message: &Message, how: &How) -> (Message, How) {
        let bytes = [&head(message, how)[..], &body(message)].concat();
        let Some(Envelope::Message(message, how)) = decode(bytes.into()) else { panic!("{message:?}") };
        (message, how)
    }

    #[test]
    fn a_message_is_read_as_it_was_written() {
        for message in [Message::from(""), Message::from("tëxt \"\u{2028}"), Message::binary(vec![0, 255])] {
            for overflow in [None, Some(Overflow::Wait), Some(Overflow::Close), Some(Overflow::DropOldest)] {
                for is_transient in [false, true] {
                    let how = How { except: Except::Nobody, overflow, is_transient };
                    let (found, as_found) = there_and_back(&message, &how);
                    assert_eq!(found, message);
                    assert_eq!((as_found.overflow, as_found.is_transient), (overflow, is_transient));
                    assert!(matches!(as_found.except, Except::Nobody));
                }
            }
        }
        let id = ConnectionId::from_u128(7);
        let (_, how) = there_and_back(&"".into(), &How { except: Except::Id(id), ..How::default() });
        assert!(matches!(how.except, Except::Id(found) if found == id));
    }

    #[test]
    fn the_end_of_sessions_is_read_as_it_was_written() {
        let ids = [7, u128::MAX].map(ConnectionId::from_u128);
        for except in [None, Some(ids[0])] {
            for whom in [Whom::Here, Whom::User("\"ada\"".into()), Whom::Tabs(ids.to_vec())] {
                let end = End { code: 4001, reason: "bye".into(), except };
                let written = close(&whom, &end);
                let Some(Envelope::Close(found, as_found)) = decode(written.clone().into()) else { panic!() };
                assert_eq!((found, as_found), (whom, end));
                for len in 0..written.len() - "bye".len() {
                    assert!(decode(written[..len].to_vec().into()).is_none(), "{len}");
                }
            }
        }
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>, flags: u8) {
            decode(bytes.clone().into());
            for flags in [flags, flags & KNOWN, CLOSE] {
                decode([&[VERSION, flags], &bytes[..]].concat().into());
            }
            for whose in [HERE, USER, TABS] {
                decode([&[VERSION, CLOSE, 0, 0, whose | flags & BUT_ONE], &bytes[..]].concat().into());
            }
        }
    }
}
