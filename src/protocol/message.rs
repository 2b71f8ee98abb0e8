//! A message, shared between sessions and quoted once.

use std::{
    borrow::Cow,
    fmt,
    sync::{Arc, OnceLock},
};

use bytes::Bytes;
use bytestring::ByteString;

use super::quote::{is_clean, quote, quoted_len};

/// The text before and after a clean message in its line.
const LINE_START: &str = "a[\"";
const LINE_END: &str = "\"]\n";

static EMPTY_LINE: Bytes = Bytes::from_static(b"a[\"\"]\n");

/// A message from or to a client: text, or binary data on the raw WebSocket.
///
/// Clones share the memory, and the wire form of a text is made once for all its sessions. Create text from a string
/// with `From`, and binary data with [`binary`](Self::binary): bytes alone do not say which of the two they are.
///
/// It has no `Display`, since binary data has no text: use [`as_str`](Self::as_str).
///
/// ```
/// use axum_sockjs::Message;
///
/// let text = Message::from("hello");
/// assert_eq!(text.as_str(), Some("hello"));
/// let binary = Message::binary(vec![0, 1, 2]);
/// assert_eq!(binary.as_str(), None);
/// assert_eq!(binary.as_bytes(), [0, 1, 2]);
/// ```
#[derive(Clone)]
pub struct Message(Arc<Payload>);

enum Payload {
    /// Text without characters to escape, stored as its own line: see [`Message::line`].
    Clean(ByteString),
    /// Any other text; its line is made when it is first sent to a framed transport.
    Text {
        text: ByteString,
        line: OnceLock<Bytes>,
    },
    Binary(Bytes),
}

impl Message {
    /// Creates binary data, which only the raw WebSocket carries: sent to a session of another transport, it comes
    /// back in [`SendError::BinaryUnsupported`](crate::SendError::BinaryUnsupported).
    ///
    /// ```
    /// use axum_sockjs::Message;
    ///
    /// let message = Message::binary(&b"\x00\xff"[..]);
    /// assert!(message.is_binary());
    /// ```
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self(Arc::new(Payload::Binary(data.into())))
    }

    /// Creates text from a raw WebSocket, which is more likely to be sent back there than to a framed transport.
    #[cfg(feature = "websocket")]
    pub(crate) fn from_raw(text: &str) -> Self {
        Self::from_text(text.into())
    }

    /// Creates text for which [`is_clean`] is true.
    pub(crate) fn from_clean(text: &str) -> Self {
        let mut line = String::with_capacity(LINE_START.len() + text.len() + LINE_END.len());
        line.push_str(LINE_START);
        line.push_str(text);
        line.push_str(LINE_END);
        Self(Arc::new(Payload::Clean(line.into())))
    }

    /// Creates text for which [`is_clean`] is false or unknown.
    pub(crate) fn from_text(text: ByteString) -> Self {
        Self(Arc::new(Payload::Text { text, line: OnceLock::new() }))
    }

    /// Returns the text, or `None` for binary data.
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &*self.0 {
            Payload::Clean(line) => Some(&line[LINE_START.len()..line.len() - LINE_END.len()]),
            Payload::Text { text, .. } => Some(text),
            Payload::Binary(_) => None,
        }
    }

    /// Returns the binary data, or the text as UTF-8.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &*self.0 {
            Payload::Clean(line) => &line.as_bytes()[LINE_START.len()..line.len() - LINE_END.len()],
            Payload::Text { text, .. } => text.as_bytes(),
            Payload::Binary(data) => data,
        }
    }

    /// Returns whether this is binary data, which only the raw WebSocket supports.
    #[must_use]
    pub fn is_binary(&self) -> bool {
        matches!(*self.0, Payload::Binary(_))
    }

    /// Returns the length in bytes, of the text in UTF-8 or of the binary data.
    #[must_use]
    pub fn len(&self) -> usize {
        self.as_bytes().len()
    }

    /// Returns whether the message has no bytes. An empty message is still a message.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message as its own frame with a line end: `a["…"]` LF, escaped for SockJS.
    ///
    /// Never called for binary data: sending it to a framed transport is an error.
    pub(crate) fn line(&self) -> &Bytes {
        match &*self.0 {
            Payload::Clean(line) => line.as_bytes(),
            Payload::Text { text, line } => line.get_or_init(|| quoted_line(text)),
            Payload::Binary(_) => &EMPTY_LINE,
        }
    }

    /// The quoted text, escaped for SockJS: the part of its line between `a[` and `]`.
    pub(crate) fn quoted(&self) -> &[u8] {
        let line = self.line();
        &line[2..line.len() - 2]
    }

    /// The memory of the message once it has been sent, including its line if `framed`.
    pub(crate) fn held(&self, framed: bool) -> usize {
        match &*self.0 {
            Payload::Clean(line) => line.len(),
            Payload::Text { text, .. } if framed => text.len() + self.line().len(),
            Payload::Text { text, .. } => text.len(),
            Payload::Binary(data) => data.len(),
        }
    }

    /// Returns the text as UTF-8 or the binary data without a copy: the result shares the message's memory.
    ///
    /// That memory lives as long as any of its owners, and may be larger than these bytes: a text without escapes is
    /// stored with its frame, 6 bytes more.
    ///
    /// ```
    /// use axum_sockjs::Message;
    ///
    /// let message = Message::binary(vec![0, 1, 2]);
    /// let bytes = message.to_bytes();
    /// assert_eq!(bytes.as_ptr(), message.as_bytes().as_ptr());
    /// ```
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &*self.0 {
            Payload::Clean(line) => line.as_bytes().slice(LINE_START.len()..line.len() - LINE_END.len()),
            Payload::Text { text, .. } => text.as_bytes().clone(),
            Payload::Binary(data) => data.clone(),
        }
    }
}

fn quoted_line(text: &str) -> Bytes {
    let mut line = Vec::with_capacity("a[".len() + quoted_len(text) + "]\n".len());
    line.extend_from_slice(b"a[");
    quote(text, &mut line);
    line.extend_from_slice(b"]\n");
    // The length was an estimate if there are characters to escape outside of ASCII.
    line.into_boxed_slice().into()
}

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.as_str() {
            Some(text) => f.debug_tuple("Text").field(&text).finish(),
            None => f.debug_tuple("Binary").field(&self.as_bytes()).finish(),
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
        if is_clean(text) { Self::from_clean(text) } else { Self::from_text(text.into()) }
    }
}

impl From<String> for Message {
    fn from(text: String) -> Self {
        if is_clean(&text) { Self::from_clean(&text) } else { Self::from_text(text.into()) }
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

/// Shares the memory: see [`Message::to_bytes`].
impl From<Message> for Bytes {
    fn from(message: Message) -> Self {
        message.to_bytes()
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
    fn clean_text_is_kept_as_its_line() {
        for text in ["", "a", "hé😀", "\u{7f}\u{2027}\u{ffef}"] {
            let message = Message::from(text);
            assert_eq!(message.as_str(), Some(text));
            assert_eq!(message.len(), text.len());
            assert_eq!(message.line(), format!("a[\"{text}\"]\n").as_bytes());
            let (line, bytes) = (message.line().as_ptr_range(), message.as_bytes().as_ptr_range());
            assert!(line.start <= bytes.start && bytes.end <= line.end);
            assert_eq!(message, Message::from_text(text.into()));
            assert_eq!(message.line(), Message::from_text(text.into()).line());
        }
    }

    #[test]
    fn other_text_is_kept_beside_its_line() {
        for text in ["\"", "a\n", "\u{2028}", "\u{ffff}b"] {
            let message = Message::from(text.to_owned());
            assert_eq!(message.as_str(), Some(text));
            let line: Vec<u8> = [b"a[", message.quoted(), b"]\n"].concat();
            assert_eq!(message.line(), &line);
        }
    }

    #[test]
    fn text_and_binary_differ() {
        assert_ne!(Message::from("ab"), Message::binary("ab"));
        assert_eq!(Message::from("ab"), Message::from(String::from("ab")));
        assert_eq!(Message::from("ab"), "ab");
        assert!(Message::from("").is_empty() && !Message::from("").is_binary());
    }

    #[test]
    fn bytes_are_shared_with_the_message() {
        for message in [Message::from("clean"), Message::from("a \"quote\""), Message::binary(vec![0, 0xff])] {
            let bytes = message.to_bytes();
            assert_eq!(bytes, message.as_bytes());
            assert_eq!(bytes.as_ptr(), message.as_bytes().as_ptr());
            let kept = message.as_bytes().as_ptr();
            let bytes = Bytes::from(message);
            assert_eq!(bytes.as_ptr(), kept);
        }
    }

    #[test]
    fn a_message_is_one_pointer() {
        assert_eq!(size_of::<Message>(), size_of::<usize>());
        assert_eq!(size_of::<Option<Message>>(), size_of::<usize>());
    }
}
