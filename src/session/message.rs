//! One message, shared and quoted once.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use bytestring::ByteString;

use crate::protocol::quote::quote;

/// A message from or to a client: text, or on the raw WebSocket also binary data.
///
/// A clone costs no copy, and the form in which the text goes over the wire is made once, however many
/// sessions it is sent to. Make one from a string (text) or from bytes (binary) with `From`.
///
/// ```
/// use axum_sockjs::Message;
///
/// let text = Message::from("hello");
/// assert_eq!(text.as_str(), Some("hello"));
/// let binary = Message::from(vec![0_u8, 1, 2]);
/// assert_eq!(binary.as_str(), None);
/// assert_eq!(binary.as_bytes(), [0, 1, 2]);
/// ```
#[derive(Clone)]
pub struct Message(Arc<Inner>);

struct Inner {
    payload: Payload,
    /// The text as a SockJS JSON string; made when it first goes to a framed transport.
    quoted: OnceLock<Box<[u8]>>,
}

enum Payload {
    Text(ByteString),
    Binary(Bytes),
}

impl Message {
    fn new(payload: Payload) -> Self {
        Self(Arc::new(Inner { payload, quoted: OnceLock::new() }))
    }

    pub(crate) fn from_text(text: ByteString) -> Self {
        Self::new(Payload::Text(text))
    }

    /// The text, or `None` for binary data.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &self.0.payload {
            Payload::Text(text) => Some(text),
            Payload::Binary(_) => None,
        }
    }

    /// The binary data, or the text as UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &self.0.payload {
            Payload::Text(text) => text.as_bytes(),
            Payload::Binary(data) => data,
        }
    }

    /// Whether this is binary data, which only the raw WebSocket carries.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        matches!(self.0.payload, Payload::Binary(_))
    }

    /// The length of the text in UTF-8 or of the binary data, in bytes.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Whether the message has no bytes at all. An empty message is still a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The text between quotes, escaped for SockJS. Binary data never comes here: sending it to a framed
    /// transport is an error.
    pub(crate) fn quoted(&self) -> &[u8] {
        self.0.quoted.get_or_init(|| {
            let mut quoted = Vec::new();
            quote(self.as_str().unwrap_or_default(), &mut quoted);
            quoted.into_boxed_slice()
        })
    }

    /// The memory's owner, for the WebSocket library to write from without a copy.
    #[cfg(feature = "websocket")]
    pub(crate) fn to_bytes(&self) -> Bytes {
        match &self.0.payload {
            Payload::Text(text) => text.as_bytes().clone(),
            Payload::Binary(data) => data.clone(),
        }
    }
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.payload {
            Payload::Text(text) => f.debug_tuple("Text").field(text).finish(),
            Payload::Binary(data) => f.debug_tuple("Binary").field(data).finish(),
        }
    }
}

impl PartialEq for Message {
    fn eq(&self, other: &Self) -> bool {
        self.is_binary() == other.is_binary() && self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Message {}

impl PartialEq<str> for Message {
    fn eq(&self, other: &str) -> bool {
        self.as_str() == Some(other)
    }
}

impl PartialEq<&str> for Message {
    fn eq(&self, other: &&str) -> bool {
        self == *other
    }
}

impl PartialEq<String> for Message {
    fn eq(&self, other: &String) -> bool {
        self == other.as_str()
    }
}

impl From<&str> for Message {
    fn from(text: &str) -> Self {
        Self::from_text(text.into())
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        Self::from_text(text.into())
    }
}

impl From<&String> for Message {
    fn from(text: &String) -> Self {
        Self::from(text.as_str())
    }
}

impl From<Cow<'_, str>> for Message {
    fn from(text: Cow<'_, str>) -> Self {
        match text {
            Cow::Borrowed(text) => Self::from(text),
            Cow::Owned(text) => Self::from(text),
        }
    }
}

impl From<Arc<str>> for Message {
    fn from(text: Arc<str>) -> Self {
        Self::from(&*text)
    }
}

impl From<Bytes> for Message {
    fn from(data: Bytes) -> Self {
        Self::new(Payload::Binary(data))
    }
}

impl From<Vec<u8>> for Message {
    fn from(data: Vec<u8>) -> Self {
        Self::from(Bytes::from(data))
    }
}

impl From<&[u8]> for Message {
    fn from(data: &[u8]) -> Self {
        Self::from(Bytes::copy_from_slice(data))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quoted_once_for_all_clones() {
        let message = Message::from("a\"b");
        let clone = message.clone();
        assert_eq!(message.quoted(), b"\"a\\\"b\"");
        assert!(std::ptr::eq(message.quoted(), clone.quoted()));
    }

    #[test]
    fn text_and_binary_differ() {
        assert_ne!(Message::from("ab"), Message::from(&b"ab"[..]));
        assert_eq!(Message::from("ab"), Message::from(String::from("ab")));
        assert_eq!(Message::from("ab"), "ab");
        assert!(Message::from("").is_empty() && !Message::from("").is_binary());
    }

    #[test]
    fn a_message_is_one_pointer() {
        assert_eq!(size_of::<Message>(), size_of::<usize>());
        assert_eq!(size_of::<Option<Message>>(), size_of::<usize>());
    }
}
