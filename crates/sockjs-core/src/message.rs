//! A message, shared between sessions and quoted once.

use std::sync::{Arc, OnceLock};

use bytes::Bytes;
use bytestring::ByteString;

pub use self::invalid_utf8::InvalidUtf8;
use super::{
    decode::{Limits, decode},
    quote::{is_clean, quote, quote_inside, quote_wtf8, quoted_len},
    wtf8,
};

mod compare;
mod convert;
mod debug;
mod invalid_utf8;

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
/// use sockjs_core::Message;
///
/// let text = Message::from("hello");
/// assert_eq!(text.as_str(), Some("hello"));
/// let binary = Message::binary(vec![0, 1, 2]);
/// assert_eq!(binary.as_str(), None);
/// assert_eq!(binary.as_bytes(), [0, 1, 2]);
/// ```
///
/// # Lone surrogates
///
/// A string in JavaScript may have a lone surrogate, half of a pair of UTF-16 code units, and UTF-8 cannot hold one.
/// With [`LoneSurrogates::Keep`](crate::LoneSurrogates::Keep), and only then, a message with such a half arrives as
/// text whose bytes are [WTF-8](https://simonsapin.github.io/wtf-8/), which is UTF-8 with three bytes for each half:
///
/// - [`as_str`](Self::as_str) returns `None`, and [`is_binary`](Self::is_binary) `false`.
/// - [`concat`](Self::concat) joins two halves that meet into their character. If no others are left, the result is a
///   `str`.
/// - Sent back, a client of a framed transport gets exactly what it sent. The raw WebSocket, whose texts are UTF-8,
///   gets U+FFFD for each half.
#[derive(Clone)]
pub struct Message(Arc<Payload>);

/// What most messages are comes first: the queues ask for lengths and lines several times per message, so the functions
/// that tell them are inlined for [`Clean`](Self::Clean) alone.
enum Payload {
    /// Text without characters to escape, stored as its own line: see [`Message::line`].
    Clean(ByteString),
    /// Any other text; its line is made when it is first sent to a framed transport.
    Text {
        text: ByteString,
        line: OnceLock<Bytes>,
    },
    /// Text that was put together for framed transports: what it was made of is read again if anybody asks for it.
    Line {
        line: Bytes,
        /// Of the text.
        len: usize,
        text: OnceLock<Box<ByteString>>,
    },
    /// Text with lone surrogates.
    Wtf8 {
        text: Bytes,
        line: OnceLock<Bytes>,
    },
    /// Text in parts that may be shared with other messages.
    Joined(Box<Joined>),
    Binary(Bytes),
}

/// Text that is put together when it is first needed: a framed transport needs only the line, others only the text.
struct Joined {
    /// None of them is joined itself, or has a lone surrogate.
    parts: Box<[Message]>,
    text: OnceLock<ByteString>,
    line: OnceLock<Bytes>,
}

impl Message {
    /// Creates binary data, which only the raw WebSocket carries: sent to a session of another transport, it comes
    /// back in an error.
    ///
    /// ```
    /// use sockjs_core::Message;
    ///
    /// let message = Message::binary(&b"\x00\xff"[..]);
    /// assert!(message.is_binary());
    /// ```
    pub fn binary(data: impl Into<Bytes>) -> Self {
        Self(Arc::new(Payload::Binary(data.into())))
    }

    /// Creates text of bytes that are valid UTF-8, without a copy.
    ///
    /// The message keeps all the memory that the bytes share. To a client of the raw WebSocket it is sent from there. A
    /// framed transport needs a quoted copy, which is made once for all sessions and kept beside the bytes; if most
    /// clients are framed, `Message::from(&str)` needs less memory, since a text without escapes is then stored only
    /// once, in its quoted form.
    ///
    /// # Errors
    /// [`InvalidUtf8`] gives the bytes back.
    ///
    /// ```
    /// use sockjs_core::Message;
    /// use bytes::Bytes;
    ///
    /// let message = Message::from_utf8(Bytes::from_static(b"text")).unwrap();
    /// assert_eq!(message, "text");
    /// let error = Message::from_utf8(Bytes::from_static(b"\xff")).unwrap_err();
    /// assert_eq!(error.into_bytes(), b"\xff"[..]);
    /// ```
    pub fn from_utf8(bytes: Bytes) -> Result<Self, InvalidUtf8> {
        match ByteString::try_from(bytes.clone()) {
            Ok(text) => Ok(Self::from_text(text)),
            Err(error) => Err(InvalidUtf8 { bytes, error }),
        }
    }

    /// Joins messages into one, as if their texts had been one string.
    ///
    /// A part is quoted once, however many messages it becomes a part of: one body to many sessions, for instance,
    /// each with a head of its own. The parts' memory is shared, and the whole is copied when it is first sent or read.
    /// That is faster than quoting the whole from a few hundred bytes on. Pass all parts in one call: joining them one by
    /// one takes quadratic time.
    ///
    /// If a part is binary, the result is binary data: what a raw WebSocket would be sent of each part, one after
    /// another. No parts are the empty text.
    ///
    /// ```
    /// use sockjs_core::Message;
    ///
    /// let body = Message::from("a body");
    /// for id in ["1", "2"] {
    ///     let head = format!("MESSAGE\nsubscription:{id}\n\n");
    ///     let message = Message::concat([head.into(), body.clone(), "\0".into()]);
    ///     assert_eq!(message, format!("MESSAGE\nsubscription:{id}\n\na body\0"));
    /// }
    /// ```
    pub fn concat<I>(parts: I) -> Self
    where
        I: IntoIterator,
        I::Item: Into<Self>,
    {
        let mut parts: Vec<Self> = parts.into_iter().map(Into::into).collect();
        if parts.len() == 1 {
            return parts.remove(0);
        }
        // Joined messages within joined ones could be of any depth.
        if parts.iter().any(|part| matches!(*part.0, Payload::Joined(_))) {
            parts = parts.iter().flat_map(Self::parts).cloned().collect();
        }
        if parts.iter().any(Self::is_binary) {
            return Self::binary(parts.iter().map(Self::to_bytes_lossy).collect::<Vec<_>>().concat());
        }
        if parts.iter().any(|part| matches!(*part.0, Payload::Wtf8 { .. })) {
            return Self::from_wtf8(wtf8::concat(parts.iter().map(Self::as_bytes)));
        }
        if parts.iter().all(|part| matches!(*part.0, Payload::Clean(_))) {
            let length = parts.iter().map(Self::len).sum();
            return Self::from_clean_parts(length, parts.iter().filter_map(Self::as_str));
        }
        let (text, line) = (OnceLock::new(), OnceLock::new());
        Self(Arc::new(Payload::Joined(Box::new(Joined { parts: parts.into(), text, line }))))
    }

    /// Puts a text between two messages that it shares with others, and copies all of it at once into what is sent: with
    /// `is_framed` into the quoted form, which framed transports send, and otherwise into the text, which a raw WebSocket
    /// sends.
    ///
    /// It is the message that [`concat`](Self::concat) makes of the three, in two allocations instead of several that
    /// last until it has been sent: for one body to many sessions whose transport is known. `before` and `after` are
    /// quoted once, and not kept. The other form is made if it is needed after all.
    ///
    /// ```
    /// use sockjs_core::Message;
    ///
    /// let (before, body) = (Message::from("id:"), Message::from("\n\na body"));
    /// for id in ["1", "2"] {
    ///     assert_eq!(Message::between(&before, id, &body, true), format!("id:{id}\n\na body"));
    /// }
    /// ```
    #[must_use]
    pub fn between(before: &Self, text: &str, after: &Self, is_framed: bool) -> Self {
        let is_other = |part: &Self| matches!(*part.0, Payload::Binary(_) | Payload::Wtf8 { .. });
        if is_other(before) || is_other(after) {
            return Self::concat([before.clone(), text.into(), after.clone()]);
        }
        if !is_framed {
            let (start, end) = (before.as_str().unwrap_or_default(), after.as_str().unwrap_or_default());
            let mut whole = String::with_capacity(start.len() + text.len() + end.len());
            [start, text, end].iter().for_each(|part| whole.push_str(part));
            return Self::from_text(whole.into());
        }
        let (start, end) = (before.line(), after.line());
        let (start, end) = (&start[..start.len() - LINE_END.len()], &end[LINE_START.len()..]);
        // A number or a name, for which the machinery of quoting takes more time than all the rest.
        let is_word = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
        let quotes = "\"\"".len();
        let length = if is_word { text.len() } else { quoted_len(text) - quotes };
        let mut line = Vec::with_capacity(start.len() + length + end.len());
        line.extend_from_slice(start);
        if is_word {
            line.extend_from_slice(text.as_bytes());
        } else {
            quote_inside(text, &mut line);
        }
        line.extend_from_slice(end);
        let len = before.len() + text.len() + after.len();
        Self(Arc::new(Payload::Line { line: line.into(), len, text: OnceLock::new() }))
    }

    /// The parts of a joined message, or the message itself.
    fn parts(&self) -> &[Self] {
        match &*self.0 {
            Payload::Joined(joined) => &joined.parts,
            _ => std::slice::from_ref(self),
        }
    }

    /// Creates text from WTF-8, which may have surrogates or not.
    pub(crate) fn from_wtf8(text: Vec<u8>) -> Self {
        match String::from_utf8(text) {
            Ok(text) => Self::from(text),
            Err(error) => {
                Self(Arc::new(Payload::Wtf8 { text: error.into_bytes().into(), line: OnceLock::new() }))
            }
        }
    }

    /// Creates text that is more likely to be sent to a raw WebSocket than to a framed transport, such as one that came
    /// from there: for authors of transports.
    ///
    /// Unlike `From<&str>`, this does not search it for characters to escape, and stores it as it is.
    #[must_use]
    pub fn from_raw_text(text: &str) -> Self {
        Self::from_text(text.into())
    }

    /// Creates text for which [`is_clean`] is true.
    pub(crate) fn from_clean(text: &str) -> Self {
        Self::from_clean_parts(text.len(), [text])
    }

    fn from_clean_parts<'a>(length: usize, parts: impl IntoIterator<Item = &'a str>) -> Self {
        let mut line = String::with_capacity(LINE_START.len() + length + LINE_END.len());
        line.push_str(LINE_START);
        line.extend(parts);
        line.push_str(LINE_END);
        Self(Arc::new(Payload::Clean(line.into())))
    }

    /// Creates text for which [`is_clean`] is false or unknown.
    pub(crate) fn from_text(text: ByteString) -> Self {
        Self(Arc::new(Payload::Text { text, line: OnceLock::new() }))
    }

    /// Returns the text, or `None` for binary data and for text with [lone surrogates](Self#lone-surrogates).
    #[inline]
    #[must_use]
    pub fn as_str(&self) -> Option<&str> {
        match &*self.0 {
            Payload::Clean(line) => Some(&line[LINE_START.len()..line.len() - LINE_END.len()]),
            Payload::Text { text, .. } => Some(text),
            Payload::Joined(joined) => Some(joined.text()),
            Payload::Line { line, text, .. } => Some(text_of_line(line, text)),
            Payload::Wtf8 { .. } | Payload::Binary(_) => None,
        }
    }

    /// Returns the binary data, or the text as UTF-8: as WTF-8 if it has [lone surrogates](Self#lone-surrogates).
    #[inline]
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        match &*self.0 {
            Payload::Clean(line) => &line.as_bytes()[LINE_START.len()..line.len() - LINE_END.len()],
            Payload::Text { text, .. } => text.as_bytes(),
            Payload::Joined(joined) => joined.text().as_bytes(),
            Payload::Line { line, text, .. } => text_of_line(line, text).as_bytes(),
            Payload::Wtf8 { text: bytes, .. } | Payload::Binary(bytes) => bytes,
        }
    }

    /// Returns whether this is binary data, which only the raw WebSocket supports.
    #[inline]
    #[must_use]
    pub fn is_binary(&self) -> bool {
        matches!(*self.0, Payload::Binary(_))
    }

    /// Returns the length in bytes, of the text in UTF-8 or of the binary data: that of
    /// [`as_bytes`](Self::as_bytes).
    #[inline]
    #[must_use]
    pub fn len(&self) -> usize {
        match &*self.0 {
            Payload::Clean(line) => line.len() - LINE_START.len() - LINE_END.len(),
            _ => self.len_if_not_clean(),
        }
    }

    fn len_if_not_clean(&self) -> usize {
        match &*self.0 {
            Payload::Joined(joined) => joined.len(),
            Payload::Line { len, .. } => *len,
            _ => self.as_bytes().len(),
        }
    }

    /// Returns whether the message has no bytes. An empty message is still a message.
    #[inline]
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The message as its own frame with a line end: `a["…"]` LF, escaped for SockJS.
    ///
    /// Never called for binary data: sending it to a framed transport is an error.
    #[inline]
    pub(crate) fn line(&self) -> &Bytes {
        match &*self.0 {
            Payload::Clean(line) => line.as_bytes(),
            _ => self.line_if_not_clean(),
        }
    }

    fn line_if_not_clean(&self) -> &Bytes {
        match &*self.0 {
            Payload::Clean(line) => line.as_bytes(),
            Payload::Text { text, line } => line.get_or_init(|| quoted_line(text)),
            Payload::Wtf8 { text, line } => line.get_or_init(|| wtf8_line(text)),
            Payload::Joined(joined) => joined.line(),
            Payload::Line { line, .. } => line,
            Payload::Binary(_) => &EMPTY_LINE,
        }
    }

    /// Returns the text as the JSON string that stands for it in a frame, with the escapes of
    /// [`quote`](crate::quote::quote): for authors of transports.
    ///
    /// It is made when it is first needed, once for all clones; call this to have it made where there is time. Binary
    /// data has none, and gives an empty string.
    ///
    /// ```
    /// assert_eq!(sockjs_core::Message::from("say \"hello\"").quoted(), br#""say \"hello\"""#);
    /// ```
    #[inline]
    pub fn quoted(&self) -> &[u8] {
        let line = self.line();
        &line[2..line.len() - 2]
    }

    /// Returns how many bytes of memory the message takes once it has been sent, to a framed transport or to a raw
    /// WebSocket: for authors of transports, who bound their queues by it.
    ///
    /// These are the bytes of the text or data, and with `is_framed` those of its frame, which this makes if it is not
    /// yet there; a text without escapes is stored once. What an allocation costs beside its bytes is not counted.
    #[inline]
    #[must_use]
    pub fn memory(&self, is_framed: bool) -> usize {
        match &*self.0 {
            Payload::Clean(line) => line.len(),
            _ => self.memory_if_not_clean(is_framed),
        }
    }

    fn memory_if_not_clean(&self, is_framed: bool) -> usize {
        match &*self.0 {
            Payload::Clean(line) => line.len(),
            Payload::Text { text, .. } if is_framed => text.len() + self.line().len(),
            Payload::Text { text, .. } => text.len(),
            Payload::Wtf8 { text, .. } if is_framed => text.len() + self.line().len(),
            Payload::Wtf8 { text, .. } => text.len(),
            Payload::Line { line, .. } if is_framed => line.len(),
            Payload::Line { line, len, .. } => line.len() + len,
            Payload::Joined(joined) => {
                let parts: usize = joined.parts.iter().map(|part| part.memory(is_framed)).sum();
                parts + if is_framed { joined.line().len() } else { joined.len() }
            }
            Payload::Binary(data) => data.len(),
        }
    }

    /// Returns what a raw WebSocket is sent: the binary data, or the text as UTF-8, with U+FFFD for each
    /// [lone surrogate](Self#lone-surrogates).
    ///
    /// The result shares the message's memory like that of [`to_bytes`](Self::to_bytes), unless surrogates are replaced.
    #[must_use]
    pub fn to_bytes_lossy(&self) -> Bytes {
        match &*self.0 {
            Payload::Wtf8 { text, .. } => wtf8::to_utf8(text).into(),
            _ => self.to_bytes(),
        }
    }

    /// Returns the bytes of [`as_bytes`](Self::as_bytes) without a copy: the result shares the message's memory.
    ///
    /// That memory lives as long as any of its owners, and may be larger than these bytes: a text without escapes is
    /// stored with its frame, 6 bytes more.
    ///
    /// ```
    /// use sockjs_core::Message;
    ///
    /// let message = Message::binary(vec![0, 1, 2]);
    /// let bytes = message.to_bytes();
    /// assert_eq!(bytes.as_ptr(), message.as_bytes().as_ptr());
    /// ```
    #[inline]
    #[must_use]
    pub fn to_bytes(&self) -> Bytes {
        match &*self.0 {
            Payload::Clean(line) => line.as_bytes().slice(LINE_START.len()..line.len() - LINE_END.len()),
            Payload::Text { text, .. } => text.as_bytes().clone(),
            Payload::Joined(joined) => joined.text().as_bytes().clone(),
            Payload::Line { line, text, .. } => text_of_line(line, text).as_bytes().clone(),
            Payload::Wtf8 { text: bytes, .. } | Payload::Binary(bytes) => bytes.clone(),
        }
    }
}

impl Joined {
    fn len(&self) -> usize {
        self.parts.iter().map(Message::len).sum()
    }

    fn text(&self) -> &ByteString {
        self.text.get_or_init(|| {
            let mut text = String::with_capacity(self.len());
            text.extend(self.parts.iter().filter_map(Message::as_str));
            text.into()
        })
    }

    /// The quoted parts between one pair of quotation marks: see [`Message::line`].
    fn line(&self) -> &Bytes {
        self.line.get_or_init(|| {
            let quoted = || self.parts.iter().map(|part| &part.quoted()[1..part.quoted().len() - 1]);
            let length = LINE_START.len() + quoted().map(<[u8]>::len).sum::<usize>() + LINE_END.len();
            let mut line = Vec::with_capacity(length);
            line.extend_from_slice(LINE_START.as_bytes());
            quoted().for_each(|part| line.extend_from_slice(part));
            line.extend_from_slice(LINE_END.as_bytes());
            line.into()
        })
    }
}

/// The text of which a line was made.
fn text_of_line<'a>(line: &Bytes, text: &'a OnceLock<Box<ByteString>>) -> &'a ByteString {
    text.get_or_init(|| {
        // It was quoted here, so that it can be read.
        let array = line.get(1..).and_then(|array| std::str::from_utf8(array).ok());
        let messages =
            array.and_then(|array| decode(array, Limits::new(usize::MAX)).ok()).unwrap_or_default();
        Box::new(messages.first().and_then(Message::as_str).unwrap_or_default().into())
    })
}

fn wtf8_line(text: &[u8]) -> Bytes {
    let mut line = b"a[".to_vec();
    quote_wtf8(text, &mut line);
    line.extend_from_slice(b"]\n");
    line.into_boxed_slice().into()
}

fn quoted_line(text: &str) -> Bytes {
    // Copying takes a third of the time that quoting takes. Most other texts show early that they are not clean.
    if is_clean(text) {
        return [LINE_START, text, LINE_END].concat().into();
    }
    let mut line = Vec::with_capacity("a[".len() + quoted_len(text) + "]\n".len());
    line.extend_from_slice(b"a[");
    quote(text, &mut line);
    line.extend_from_slice(b"]\n");
    // The length was an estimate if there are characters to escape outside of ASCII.
    line.into_boxed_slice().into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::{
        super::wtf8::tests::{encoded, units},
        *,
    };

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
        for message in [Message::from("clean"), Message::from("a \"quote\""), Message::binary(vec![0, 0xff])]
        {
            let bytes = message.to_bytes();
            assert_eq!(bytes, message.as_bytes());
            assert_eq!(bytes.as_ptr(), message.as_bytes().as_ptr());
            let kept = message.as_bytes().as_ptr();
            let bytes = Bytes::from(message);
            assert_eq!(bytes.as_ptr(), kept);
        }
    }

    #[test]
    fn bytes_become_text_without_a_copy() {
        for text in ["clean", "a \"quote\"", ""] {
            let bytes = Bytes::copy_from_slice(text.as_bytes());
            let message = Message::from_utf8(bytes.clone()).unwrap();
            assert_eq!(message, text);
            assert_eq!(message.as_bytes().as_ptr(), bytes.as_ptr());
            assert_eq!(message.line(), Message::from(text).line());
        }
        let error = Message::from_utf8(Bytes::from_static(b"a\xed\xa0\x80")).unwrap_err();
        assert_eq!(error.utf8_error().valid_up_to(), 1);
        assert_eq!(error.to_string(), error.utf8_error().to_string());
        assert_eq!(error.into_bytes(), b"a\xed\xa0\x80"[..]);
    }

    #[test]
    fn a_part_is_quoted_once() {
        let body = Message::from("a\nbody");
        let quoted = body.quoted().as_ptr();
        for head in ["1\n", "2\n"] {
            let whole = Message::concat([head.into(), body.clone()]);
            assert_eq!(whole.quoted(), format!("\"{}\\na\\nbody\"", &head[..1]).as_bytes());
            assert_eq!(whole, format!("{head}a\nbody"));
        }
        assert_eq!(body.quoted().as_ptr(), quoted);
    }

    #[test]
    fn a_whole_of_parts_is_as_if_made_at_once() {
        assert_eq!(Message::concat([""; 0]), "");
        let one = Message::from("a");
        assert_eq!(Message::concat([one.clone()]).as_bytes().as_ptr(), one.as_bytes().as_ptr());
        // Clean texts are stored as one.
        let clean = Message::concat(["a", "", "é"]);
        assert!(matches!(*clean.0, Payload::Clean(_)) && clean == "aé" && clean.len() == 3);
        // What is joined can be joined again, without an end.
        let mut long = Message::from("\n");
        for _ in 0..1000 {
            long = Message::concat([long, "x".into()]);
        }
        assert_eq!(long, format!("\n{}", "x".repeat(1000)));
        assert_eq!(long.parts().len(), 1001);
        assert_eq!(long.to_bytes().as_ptr(), long.as_bytes().as_ptr());
    }

    #[test]
    fn the_memory_of_a_whole_is_its_own_and_that_of_its_parts() {
        let parts = [Message::from("a\n"), "b".into()];
        let whole = Message::concat(parts.clone());
        let of_parts = |is_framed| parts.iter().map(|part| part.memory(is_framed)).sum::<usize>();
        for _ in 0..2 {
            assert_eq!(whole.memory(true), of_parts(true) + whole.line().len());
            assert_eq!(whole.memory(false), of_parts(false) + 3);
            // It does not depend on what has been made so far.
            assert_eq!(whole.as_str(), Some("a\nb"));
        }
    }

    #[test]
    fn a_text_between_others_takes_only_the_form_that_is_sent() {
        let (before, after) = (Message::from("a\n"), Message::from("c"));
        let between = |is_framed| Message::between(&before, "b", &after, is_framed);
        let line = br#"a["a\nbc"]"#.len() + 1;
        assert_eq!((between(true).memory(true), between(false).memory(false)), (line, 4));
        assert_eq!((between(true).memory(false), between(true).len()), (line + 4, 4));
        // Where one is not text, they are joined as ever.
        let half = Message::from_wtf8(encoded(&[0xd83d]));
        let other_half = Message::from_wtf8(encoded(&[0xde00]));
        assert_eq!(Message::between(&half, "", &other_half, true), "😀");
        assert_eq!(Message::between(&before, "b", &Message::binary("c"), true), Message::binary("a\nbc"));
    }

    #[test]
    fn a_binary_part_makes_the_whole_binary() {
        let lone = Message::from_wtf8(encoded(&[0x61, 0xd800]));
        let whole = Message::concat(["head\n".into(), lone, Message::binary(vec![0, 0xff])]);
        assert!(whole.is_binary());
        assert_eq!(whole.as_bytes(), b"head\na\xef\xbf\xbd\x00\xff");
        assert!(!Message::concat(["a", "b"]).is_binary());
        assert_eq!(Message::concat([Message::binary("a"), Message::binary("b")]), Message::binary("ab"));
    }

    #[test]
    fn halves_of_a_character_are_text() {
        let [first, second] = [0xd83d, 0xde00].map(|unit| Message::from_wtf8(encoded(&[unit])));
        assert_eq!(format!("{first:?} {second:?}"), r#"Text("\u{d83d}") Text("\u{de00}")"#);
        assert_eq!((first.as_str(), first.is_binary(), first.len()), (None, false, 3));
        assert_ne!(first, Message::binary(first.to_bytes()));
        assert_ne!(first, Message::from("\u{fffd}"));
        assert_eq!(first.line(), &b"a[\"\\ud83d\"]\n"[..]);
        assert_eq!(first.memory(false) + first.line().len(), first.memory(true));
        let whole = Message::concat(["\n".into(), first, second.clone()]);
        assert_eq!(whole.as_str(), Some("\n😀"));
        assert_eq!(Message::concat([whole, second]).line(), &"a[\"\\n😀\\ude00\"]\n".as_bytes());
    }

    proptest! {
        #[test]
        fn quoting_parts_is_quoting_the_whole(
            parts in proptest::collection::vec("([a-z]{0,40}|[\\x00-\\x7f]{0,4}|[é😀\u{2028}\u{fffe}]{0,3}){0,3}", 0..5),
            groups in proptest::collection::vec(1_usize..3, 5),
        ) {
            let whole = Message::from(parts.concat());
            let joined = Message::concat(&parts);
            prop_assert_eq!(joined.line(), whole.line());
            prop_assert_eq!(joined.len(), whole.len());
            prop_assert_eq!(&joined, &whole);
            if let [before, text, after] = &parts[..] {
                for is_framed in [false, true] {
                    let between = Message::between(&before.into(), text, &after.into(), is_framed);
                    prop_assert_eq!(between.line(), whole.line());
                    prop_assert_eq!(between.len(), whole.len());
                    prop_assert_eq!(between.to_bytes(), whole.to_bytes());
                    prop_assert_eq!(&between, &whole);
                    let twice = Message::from(parts.concat().repeat(2));
                    let joined = Message::concat([between, joined.clone()]);
                    prop_assert_eq!(joined.line(), twice.line());
                }
            }
            // The order of joining makes no difference.
            let (mut rest, mut nested) = (&parts[..], Vec::new());
            for size in groups {
                let (group, others) = rest.split_at(size.min(rest.len()));
                nested.push(Message::concat(group));
                rest = others;
            }
            let nested = Message::concat(nested);
            prop_assert_eq!(nested.line(), whole.line());
            prop_assert_eq!(nested, whole);
        }

        #[test]
        fn joining_texts_of_code_units_is_joining_the_units(parts in proptest::collection::vec(units(), 0..5)) {
            let whole = Message::from_wtf8(encoded(&parts.concat()));
            let joined = Message::concat(parts.iter().map(|units| Message::from_wtf8(encoded(units))));
            prop_assert_eq!(joined.line(), whole.line());
            prop_assert_eq!(joined.to_bytes_lossy(), String::from_utf16_lossy(&parts.concat()));
            prop_assert_eq!(joined.as_str().map(str::to_owned), String::from_utf16(&parts.concat()).ok());
            prop_assert_eq!(joined, whole);
        }
    }

    #[test]
    fn a_message_is_one_pointer() {
        assert_eq!(size_of::<Message>(), size_of::<usize>());
        assert_eq!(size_of::<Option<Message>>(), size_of::<usize>());
    }
}
