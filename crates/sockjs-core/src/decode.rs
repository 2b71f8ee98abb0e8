//! Decoding of what a client sends: a JSON array of strings.
//!
//! A request for sending has such an array as its body, and a framed WebSocket as a text message. [`ArrayDecoder`] reads
//! a body in pieces; [`decode`] and [`decode_text`] read a whole one.
//!
//! ```
//! use sockjs_core::decode::{DecodeError, Limits, decode};
//!
//! let limits = Limits::new(64 * 1024).with_messages(1000);
//! assert_eq!(decode(r#"["a", "b\u0021"]"#, limits)?, ["a", "b!"]);
//! assert_eq!(decode(r#"["a", 1]"#, limits), Err(DecodeError::Malformed));
//! # Ok::<(), DecodeError>(())
//! ```

use std::fmt;

use super::{
    message::Message,
    quote::{SPECIAL, SPECIAL_OR_LEAD, has_mangled},
    wtf8,
};

/// What happens to a lone surrogate in a received message: half of a pair of UTF-16 code units, without the other.
///
/// JavaScript can send one, and does where it cuts a text by code units. UTF-8, and so a `str`, cannot hold it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum LoneSurrogates {
    /// It stays in the message, which is then text that is no `str`: see
    /// [`Message`](crate::Message#lone-surrogates). For peers that cut a text into several messages, which
    /// [`Message::concat`](crate::Message::concat) joins again.
    Keep,
    /// It becomes U+FFFD.
    #[default]
    Replace,
    /// The message is refused, and with it all that came in the same frame or batch:
    /// [`DecodeError::LoneSurrogate`].
    Refuse,
}

/// The reason for rejecting a payload or a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DecodeError {
    /// Not of the required form: for a payload, a JSON array of strings in UTF-8.
    Malformed,
    /// A lone surrogate, with [`LoneSurrogates::Refuse`].
    LoneSurrogate,
    /// A message is longer than the limit, in bytes of UTF-8 after unquoting.
    MessageTooLong,
    /// The array holds more messages than the limit.
    TooManyMessages,
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Malformed => "malformed",
            Self::LoneSurrogate => "a message has a lone surrogate",
            Self::MessageTooLong => "a message is too long",
            Self::TooManyMessages => "there are too many messages",
        })
    }
}

impl std::error::Error for DecodeError {}

/// The limits of one batch, and of its texts.
///
/// ```
/// use sockjs_core::{LoneSurrogates, decode::Limits};
///
/// let limits = Limits::new(64 * 1024).with_messages(1000).with_lone_surrogates(LoneSurrogates::Keep);
/// assert_eq!(limits.messages, 1000);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The longest message, in bytes of UTF-8 after unquoting.
    pub message_bytes: usize,
    /// The most messages of one batch. Each takes about a hundred bytes beside its text, and three bytes are enough to
    /// send an empty one.
    pub messages: usize,
    /// What becomes of lone surrogates.
    pub lone_surrogates: LoneSurrogates,
}

impl Limits {
    /// Creates limits with a longest message, in bytes of UTF-8 after unquoting. There is no limit on the number of
    /// messages, and lone surrogates are [replaced](LoneSurrogates::Replace).
    #[must_use]
    pub const fn new(message_bytes: usize) -> Self {
        Self { message_bytes, messages: usize::MAX, lone_surrogates: LoneSurrogates::Replace }
    }

    /// Sets the most messages of one batch.
    #[must_use]
    pub const fn with_messages(self, messages: usize) -> Self {
        Self { messages, ..self }
    }

    /// Sets what becomes of lone surrogates.
    #[must_use]
    pub const fn with_lone_surrogates(self, lone_surrogates: LoneSurrogates) -> Self {
        Self { lone_surrogates, ..self }
    }
}

/// Decodes a JSON array of strings, completely or not at all.
///
/// Every JSON string is accepted, but for lone surrogates if the limits say so.
///
/// # Errors
/// [`DecodeError`] where the payload is no such array or is beyond the limits.
pub fn decode(payload: &str, limits: Limits) -> Result<Vec<Message>, DecodeError> {
    let mut array = ArrayDecoder::new(limits);
    let Batch { messages, length } = array.take(payload, true)?;
    if length < payload.len() { Err(DecodeError::TooManyMessages) } else { Ok(messages) }
}

/// Decodes a JSON array of strings that arrives in pieces, batch by batch.
///
/// The decoder keeps no bytes: what [`take`](Self::take) leaves of a piece belongs before the next one.
///
/// ```
/// use sockjs_core::decode::{ArrayDecoder, Limits};
///
/// let mut array = ArrayDecoder::new(Limits::new(1024));
/// let mut piece = String::from(r#"["a", "b"#);
/// let batch = array.take(&piece, false)?;
/// assert_eq!(batch.messages, ["a"]);
/// piece.drain(..batch.length);
/// piece.push_str(r#"c"]"#);
/// assert_eq!(array.take(&piece, true)?.messages, ["bc"]);
/// # Ok::<(), sockjs_core::decode::DecodeError>(())
/// ```
#[derive(Debug)]
pub struct ArrayDecoder {
    limits: Limits,
    expects: Expects,
}

/// The next expected token, besides white space.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expects {
    Array,
    StringOrEnd,
    String,
    CommaOrEnd,
    Nothing,
}

/// The messages at the beginning of a piece.
#[derive(Debug)]
#[non_exhaustive]
pub struct Batch {
    /// The messages, in their order.
    pub messages: Vec<Message>,
    /// The number of bytes that they take; the rest belongs before the next piece.
    pub length: usize,
}

impl ArrayDecoder {
    /// Creates a decoder that expects the beginning of an array.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        Self { limits, expects: Expects::Array }
    }

    /// Decodes the complete messages at the beginning of a piece, up to the limit of a batch. `is_last` means that
    /// nothing follows the piece.
    ///
    /// The messages of a batch at its limit may not be all of the piece: call this again with the rest. A piece that is
    /// not the last and has no complete message gives an empty batch; the caller bounds how long such a piece may become.
    ///
    /// # Errors
    /// [`DecodeError`] as from [`decode`]. The decoder is of no use then.
    pub fn take(&mut self, piece: &str, is_last: bool) -> Result<Batch, DecodeError> {
        let mut reader = Reader::new(piece, self.limits);
        let mut messages = Vec::new();
        let mut length = 0;
        loop {
            let next = reader.peek();
            self.expects = match (self.expects, next) {
                (Expects::StringOrEnd | Expects::String, Some(b'"')) => {
                    if messages.len() == self.limits.messages {
                        break;
                    }
                    match reader.string() {
                        Ok(message) => messages.push(message),
                        Err(ReadError::Incomplete) if !is_last => break,
                        Err(error) => return Err(error.into()),
                    }
                    Expects::CommaOrEnd
                }
                (Expects::CommaOrEnd, Some(b',')) => reader.skip(Expects::String),
                (Expects::StringOrEnd | Expects::CommaOrEnd, Some(b']')) => reader.skip(Expects::Nothing),
                (Expects::Array, Some(b'[')) => reader.skip(Expects::StringOrEnd),
                (Expects::Nothing, None) => {
                    length = reader.at;
                    break;
                }
                (_, None) if !is_last => {
                    length = reader.at;
                    break;
                }
                _ => return Err(DecodeError::Malformed),
            };
            length = reader.at;
        }
        if messages.is_empty() && self.limits.messages == 0 && length < piece.len() {
            return Err(DecodeError::TooManyMessages);
        }
        Ok(Batch { messages, length })
    }
}

/// The reason why a string could not be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ReadError {
    Malformed,
    LoneSurrogate,
    TooLong,
    /// The piece ends within the string.
    Incomplete,
}

impl From<ReadError> for DecodeError {
    fn from(error: ReadError) -> Self {
        match error {
            ReadError::Malformed | ReadError::Incomplete => Self::Malformed,
            ReadError::LoneSurrogate => Self::LoneSurrogate,
            ReadError::TooLong => Self::MessageTooLong,
        }
    }
}

/// Like [`decode`], for a WebSocket, where a single JSON string is one message.
///
/// # Errors
/// Those of [`decode`]. An empty text is malformed too, although old clients send one to keep a connection alive.
pub fn decode_text(payload: &str, limits: Limits) -> Result<Vec<Message>, DecodeError> {
    if Reader::new(payload, limits).peek() == Some(b'"') {
        decode_one(payload, limits)
    } else {
        decode(payload, limits)
    }
}

/// Decodes a JSON string as a batch of one message.
pub(crate) fn decode_one(payload: &str, limits: Limits) -> Result<Vec<Message>, DecodeError> {
    let mut reader = Reader::new(payload, limits);
    reader.expect(b'"')?;
    let message = reader.string()?;
    reader.end()?;
    if limits.messages == 0 { Err(DecodeError::TooManyMessages) } else { Ok(vec![message]) }
}

/// Decodes one string of a script, of any length: a JSON string that may have the escape `\'` too, as Spring writes it.
/// A lone surrogate becomes U+FFFD.
pub(crate) fn decode_script(payload: &str) -> Result<Message, DecodeError> {
    let mut reader = Reader { is_script: true, ..Reader::new(payload, Limits::new(usize::MAX)) };
    reader.expect(b'"')?;
    let string = reader.string()?;
    reader.end()?;
    Ok(string)
}

/// Decodes the code and the reason of a close frame: an array of exactly these two. No limit applies to the reason,
/// whose lone surrogates become U+FFFD: a peer should see that it is closed.
pub(crate) fn decode_close(payload: &str) -> Result<(u16, String), DecodeError> {
    let mut reader = Reader::new(payload, Limits::new(usize::MAX));
    reader.expect(b'[')?;
    reader.at += 1;
    let code = reader.code()?;
    reader.expect(b',')?;
    reader.at += 1;
    reader.expect(b'"')?;
    let reason = reader.string()?;
    reader.expect(b']')?;
    reader.at += 1;
    reader.end()?;
    Ok((code, reason.as_str().unwrap_or_default().to_owned()))
}

/// A JSON parser for one shape ([RFC 8259](https://www.rfc-editor.org/rfc/rfc8259)).
///
/// A general parser is slower for this shape. It also leaves open whether a string is
/// [clean](super::quote::is_clean), which this one already half knows.
struct Reader<'a> {
    payload: &'a str,
    limits: Limits,
    /// Whether JavaScript's `\'` is an escape too.
    is_script: bool,
    at: usize,
    /// The buffer for strings with escapes, so that a message gets memory of its exact size.
    unescaped: String,
    /// The lone surrogates of that string, unless they are just replaced: where in `unescaped` U+FFFD stands for each.
    surrogates: Vec<(usize, u16)>,
}

impl<'a> Reader<'a> {
    fn new(payload: &'a str, limits: Limits) -> Self {
        Self { payload, limits, is_script: false, at: 0, unescaped: String::new(), surrogates: Vec::new() }
    }

    /// The next byte that is not white space.
    fn peek(&mut self) -> Option<u8> {
        loop {
            match self.payload.as_bytes().get(self.at) {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                byte => return byte.copied(),
            }
        }
    }

    /// Checks the next byte that is not white space.
    fn expect(&mut self, byte: u8) -> Result<(), ReadError> {
        if self.peek() == Some(byte) { Ok(()) } else { Err(ReadError::Malformed) }
    }

    /// Checks that only white space is left.
    fn end(&mut self) -> Result<(), ReadError> {
        if self.peek().is_none() { Ok(()) } else { Err(ReadError::Malformed) }
    }

    /// Reads a number of digits alone.
    fn code(&mut self) -> Result<u16, ReadError> {
        self.peek();
        let rest = &self.payload[self.at..];
        let digits = &rest[..rest.bytes().take_while(u8::is_ascii_digit).count()];
        self.at += digits.len();
        // JSON has no leading zeros.
        if digits.len() > 1 && digits.starts_with('0') {
            return Err(ReadError::Malformed);
        }
        digits.parse().map_err(|_| ReadError::Malformed)
    }

    /// Skips a byte and returns the next state.
    fn skip<T>(&mut self, then: T) -> T {
        self.at += 1;
        then
    }

    /// Reads a string from its opening quote.
    fn string(&mut self) -> Result<Message, ReadError> {
        let max_bytes = self.limits.message_bytes;
        self.at += 1;
        let start = self.at;
        let bytes = self.payload.as_bytes();
        self.at += SPECIAL_OR_LEAD.prefix_without(&bytes[start..]);
        let lead = self.at;
        if let Some(0xe2 | 0xef) = bytes.get(lead) {
            self.at += SPECIAL.prefix_without(&bytes[lead..]);
        }
        match bytes.get(self.at) {
            Some(b'"') => {
                let text = &self.payload[start..self.at];
                let clean = !has_mangled(&bytes[lead..self.at]);
                self.at += 1;
                within(max_bytes, text)?;
                // Copies the text: a shared slice would keep the payload's buffer alive.
                Ok(if clean { Message::from_clean(text) } else { Message::from_text(text.into()) })
            }
            Some(b'\\') => {
                self.unescape(start)?;
                within(max_bytes, &self.unescaped)?;
                match self.limits.lone_surrogates {
                    _ if self.surrogates.is_empty() => Ok(Message::from_text(self.unescaped.as_str().into())),
                    LoneSurrogates::Refuse => Err(ReadError::LoneSurrogate),
                    LoneSurrogates::Keep | LoneSurrogates::Replace => {
                        Ok(Message::from_wtf8(wtf8::with_surrogates(&self.unescaped, &self.surrogates)))
                    }
                }
            }
            // A control character.
            Some(_) => Err(ReadError::Malformed),
            None => Err(ReadError::Incomplete),
        }
    }

    /// Reads the rest of a string that began at `start`, from its first escape on, and assembles it in `unescaped`.
    fn unescape(&mut self, start: usize) -> Result<(), ReadError> {
        let bytes = self.payload.as_bytes();
        self.unescaped.clear();
        self.surrogates.clear();
        // No string of this payload is longer.
        self.unescaped.reserve(self.payload.len() - start);
        self.unescaped.push_str(&self.payload[start..self.at]);
        loop {
            self.at = SPECIAL.copy_without(self.payload, self.at, &mut self.unescaped);
            match (bytes.get(self.at), bytes.get(self.at + 1)) {
                (Some(b'"'), _) => {
                    self.at += 1;
                    return Ok(());
                }
                (Some(b'\\'), Some(&letter)) => {
                    self.at += 2;
                    let char = match letter {
                        b'"' => '"',
                        b'\\' => '\\',
                        b'/' => '/',
                        b'b' => '\u{8}',
                        b'f' => '\u{c}',
                        b'n' => '\n',
                        b'r' => '\r',
                        b't' => '\t',
                        b'u' => self.unicode_escape()?,
                        b'\'' if self.is_script => '\'',
                        _ => return Err(ReadError::Malformed),
                    };
                    self.unescaped.push(char);
                }
                (None, _) | (Some(b'\\'), None) => return Err(ReadError::Incomplete),
                _ => return Err(ReadError::Malformed),
            }
        }
    }

    /// Reads the digits after `\u`; for a surrogate pair, both escapes.
    fn unicode_escape(&mut self) -> Result<char, ReadError> {
        let first = self.four_digits()?;
        if let (0xd800..0xdc00, Some(b"\\u")) = (first, self.payload.as_bytes().get(self.at..self.at + 2)) {
            let behind_first = self.at;
            self.at += 2;
            let second = self.four_digits()?;
            if let 0xdc00..0xe000 = second {
                let code = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
                return Ok(char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
            self.at = behind_first;
        }
        Ok(char::from_u32(first).unwrap_or_else(|| {
            // A value that is not a character is a surrogate. At the end of a piece it may be no lone one, but then
            // the string is incomplete and will be read again.
            // A text that is too long already is refused anyway.
            let may_be_kept = self.unescaped.len() < self.limits.message_bytes;
            if self.limits.lone_surrogates != LoneSurrogates::Replace && may_be_kept {
                self.surrogates.push((self.unescaped.len(), first as u16));
            }
            char::REPLACEMENT_CHARACTER
        }))
    }

    fn four_digits(&mut self) -> Result<u32, ReadError> {
        let digits = self.payload.as_bytes()[self.at..].first_chunk::<4>().ok_or(ReadError::Incomplete)?;
        self.at += 4;
        digits.iter().try_fold(0, |code, &digit| {
            let digit = char::from(digit).to_digit(16).ok_or(ReadError::Malformed)?;
            Ok(code << 4 | digit)
        })
    }
}

fn within(max_bytes: usize, text: &str) -> Result<(), ReadError> {
    if text.len() > max_bytes { Err(ReadError::TooLong) } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::{
        super::wtf8::tests::{encoded, units},
        *,
    };
    use proptest::prelude::*;

    const POLICIES: [LoneSurrogates; 3] =
        [LoneSurrogates::Keep, LoneSurrogates::Replace, LoneSurrogates::Refuse];

    const LIMITS: Limits =
        Limits { message_bytes: 1 << 20, messages: 1000, lone_surrogates: LoneSurrogates::Replace };

    fn texts(payload: &str) -> Result<Vec<String>, DecodeError> {
        let messages = decode(payload, LIMITS)?;
        Ok(messages.iter().map(|m| m.as_str().unwrap().to_owned()).collect())
    }

    #[test]
    fn arrays_of_strings() {
        assert_eq!(texts("[]").unwrap(), [""; 0]);
        assert_eq!(texts(" [ \"a\" ,\r\n\t\"b\" ] ").unwrap(), ["a", "b"]);
        assert_eq!(texts(r#"["\u00e9\n\/\ud83d\ude00", "é😀"]"#).unwrap(), ["é\n/😀", "é😀"]);
        assert_eq!(texts(r#"["\u0000"]"#).unwrap(), ["\0"]);
        assert_eq!(texts("[\"\u{fffe}\u{ffff}\u{2028}\"]").unwrap(), ["\u{fffe}\u{ffff}\u{2028}"]);
    }

    #[test]
    fn a_lone_string_is_a_message_where_it_may_be() {
        let limits = Limits { message_bytes: 3, messages: 2, ..LIMITS };
        let alone = |payload: &str| {
            let messages = decode_text(payload, limits)?;
            Ok(messages.iter().map(|m| m.as_str().unwrap().to_owned()).collect::<Vec<_>>())
        };
        for (payload, message) in [
            ("\"a\"", "a"),
            ("\"\"", ""),
            (" \t\r\n\"a\" \n", "a"),
            (r#""\u0061\n""#, "a\n"),
            (r#""\ud800""#, "\u{fffd}"),
            ("\"\u{2028}\"", "\u{2028}"),
        ] {
            assert_eq!(alone(payload).unwrap(), [message], "{payload:?}");
            assert_eq!(decode(payload, limits), Err(DecodeError::Malformed), "{payload:?}");
        }
        assert_eq!(alone(r#" ["a","b"]"#).unwrap(), ["a", "b"]);
        for malformed in [
            "\"",
            "\"a",
            "\"a\"\"b\"",
            "\"a\",\"b\"",
            "\"a\" x",
            "\"a\"]",
            "'a'",
            "1",
            "null",
            "{}",
            "\"\n\"",
            "",
        ] {
            assert_eq!(alone(malformed), Err(DecodeError::Malformed), "{malformed:?}");
        }
        assert_eq!(alone("\"abcd\""), Err(DecodeError::MessageTooLong));
        let none = Limits { messages: 0, ..limits };
        assert_eq!(decode_text("\"a\"", none), Err(DecodeError::TooManyMessages));
    }

    #[test]
    fn lone_surrogates_are_replaced() {
        assert_eq!(texts(r#"["a\ud800b"]"#).unwrap(), ["a\u{fffd}b"]);
        assert_eq!(texts(r#"["\udc00"]"#).unwrap(), ["\u{fffd}"]);
        assert_eq!(texts(r#"["\ud800\ud800\udc00"]"#).unwrap(), ["\u{fffd}\u{10000}"]);
        assert_eq!(texts(r#"["\ud83d\ude00\ude00", "\ud800"]"#).unwrap(), ["😀\u{fffd}", "\u{fffd}"]);
        assert_eq!(texts(r#"["\ud800\u0041\ud800\n"]"#).unwrap(), ["\u{fffd}A\u{fffd}\n"]);
    }

    #[test]
    fn lone_surrogates_are_kept() {
        let limits = Limits { lone_surrogates: LoneSurrogates::Keep, ..LIMITS };
        let [message, pair] = &decode(r#"["a\ud83db\uDE00", "\ud83d\ude00"]"#, limits).unwrap()[..] else {
            panic!("there are two");
        };
        assert_eq!(message.as_bytes(), b"a\xed\xa0\xbdb\xed\xb8\x80");
        assert!(message.as_str().is_none() && !message.is_binary());
        assert_eq!(
            message.line(),
            &br#"a["a\ud83db\ude00"]"#.iter().chain(b"\n").copied().collect::<Vec<_>>()
        );
        assert_eq!(message.to_bytes_lossy(), "a\u{fffd}b\u{fffd}");
        assert_eq!(pair, "😀");
        // The limit counts three bytes for each.
        let limits = Limits { message_bytes: 3, ..limits };
        assert_eq!(decode(r#"["\ud800"]"#, limits).map(|m| m.len()), Ok(1));
        assert_eq!(decode(r#"["\ud800a"]"#, limits), Err(DecodeError::MessageTooLong));
    }

    #[test]
    fn lone_surrogates_are_refused() {
        let limits = Limits { lone_surrogates: LoneSurrogates::Refuse, ..LIMITS };
        for payload in [r#"["a\ud800b"]"#, r#"["a","\udc00"]"#, r#"["\ud800\ud800\udc00"]"#] {
            assert_eq!(decode(payload, limits), Err(DecodeError::LoneSurrogate), "{payload}");
        }
        assert_eq!(decode(r#"["\ud83d\ude00","\ufffd"]"#, limits).map(|m| m.len()), Ok(2));
        assert_eq!(decode_text(r#""\ud800""#, limits), Err(DecodeError::LoneSurrogate));
        // A piece may end between two halves, or before it is known that the JSON is malformed.
        let mut array = ArrayDecoder::new(limits);
        for piece in [r#"["\ud83d"#, r#"["\ud83d\"#, r#"["\ud83d\ude0"#] {
            assert_eq!(array.take(piece, false).map(|batch| batch.length), Ok(1), "{piece}");
            array = ArrayDecoder::new(limits);
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for payload in [
            "",
            " ",
            "[",
            "]",
            "[\"a",
            "[\"a\"",
            "[\"a\",]",
            "[,]",
            "[null]",
            "[null,\"a\"]",
            "[1]",
            "[true]",
            "[[]]",
            "[[\"a\"]]",
            "[[97]]",
            "[[97],\"\\u0041\"]",
            "{}",
            "{\"0\":\"a\"}",
            "[{}]",
            "\"a\"",
            "null",
            "1",
            "[\"a\"] x",
            "[\"a\"][\"b\"]",
            "[\"\n\"]",
            "[\"\\u0041\n\"]",
            "[\"\\x\"]",
            "[\"\\u12\"]",
            "[\"\\ud800\\u12\"]",
            "['a']",
            "\u{feff}[]",
        ] {
            assert_eq!(texts(payload), Err(DecodeError::Malformed), "{payload:?}");
        }
    }

    #[test]
    fn depth_does_not_matter() {
        for open in ["[", "[\"\\u0041\",", "{\"a\":", "[[97],"] {
            assert_eq!(texts(&open.repeat(10_000)), Err(DecodeError::Malformed));
        }
    }

    #[test]
    fn limits_are_inclusive() {
        let limits = Limits { message_bytes: 3, messages: 2, ..LIMITS };
        let check = |payload: &str| decode(payload, limits).map(|m| m.len());
        assert_eq!(check(r#"["abc","é1"]"#), Ok(2));
        assert_eq!(check(r#"["abcd"]"#), Err(DecodeError::MessageTooLong));
        assert_eq!(check(r#"["\u0061bc\u0064"]"#), Err(DecodeError::MessageTooLong));
        assert_eq!(check(r#"["\ud800"]"#), Ok(1));
        assert_eq!(check(r#"["\ud800a"]"#), Err(DecodeError::MessageTooLong));
        assert_eq!(check(r#"["a","b","c"]"#), Err(DecodeError::TooManyMessages));
    }

    /// Decodes a payload that arrives in pieces of these sizes, repeated, and keeps the rest of each piece for the
    /// next.
    fn in_pieces(payload: &str, sizes: &[usize], limits: Limits) -> Result<Vec<Message>, DecodeError> {
        let mut array = ArrayDecoder::new(limits);
        let (mut held, mut rest) = (String::new(), payload);
        let mut messages = Vec::new();
        for &size in sizes.iter().cycle() {
            let mut end = size.min(rest.len());
            while !rest.is_char_boundary(end) {
                end += 1;
            }
            held.push_str(&rest[..end]);
            rest = &rest[end..];
            let is_last = rest.is_empty();
            loop {
                let batch = array.take(&held, is_last)?;
                assert!(batch.messages.len() <= limits.messages);
                let full = batch.messages.len() == limits.messages;
                messages.extend(batch.messages);
                held.drain(..batch.length);
                if is_last && held.is_empty() {
                    return Ok(messages);
                }
                if !full {
                    break;
                }
            }
        }
        unreachable!("the sizes go round")
    }

    #[test]
    fn batches_end_at_their_limit() {
        let limits = Limits { message_bytes: 3, messages: 2, ..LIMITS };
        assert_eq!(in_pieces(r#"["a","b","c","d","e"]"#, &[100], limits).unwrap(), ["a", "b", "c", "d", "e"]);
        assert_eq!(in_pieces(r#"["a","b"]"#, &[8, 1], limits).unwrap(), ["a", "b"]);
        assert_eq!(in_pieces("[]", &[1], limits), Ok(Vec::new()));
        assert_eq!(in_pieces(r#"["a","b","abcd"]"#, &[5], limits), Err(DecodeError::MessageTooLong));
        assert_eq!(in_pieces(r#"["a","b",1]"#, &[5], limits), Err(DecodeError::Malformed));
        let none = Limits { messages: 0, ..limits };
        assert_eq!(decode("[]", none).map(|m| m.len()), Ok(0));
        assert_eq!(decode(r#"["a"]"#, none).map(|m| m.len()), Err(DecodeError::TooManyMessages));
    }

    /// The JSON of UTF-16 text, as a browser sends it.
    fn utf16_json(units: &[u16]) -> String {
        units.iter().map(|unit| format!("\\u{unit:04x}")).collect()
    }

    proptest! {
        #[test]
        fn decodes_what_serde_json_encodes(texts_in: Vec<String>) {
            let json = serde_json::to_string(&texts_in).unwrap();
            prop_assert_eq!(texts(&json).unwrap(), texts_in);
        }

        #[test]
        fn any_utf16_decodes_as_lossy_utf16(
            units in proptest::collection::vec(prop_oneof![Just(0xd800_u16), Just(0xdc00), 0xd700_u16..0xe100, any::<u16>()], 0..20)
        ) {
            let payload = format!("[\"{}\"]", utf16_json(&units));
            prop_assert_eq!(texts(&payload).unwrap(), vec![String::from_utf16_lossy(&units)]);
        }

        #[test]
        fn any_utf16_can_be_kept_or_refused(units in units()) {
            let payload = format!("[\"{}\"]", utf16_json(&units));
            let kept = decode(&payload, Limits { lone_surrogates: LoneSurrogates::Keep, ..LIMITS }).unwrap();
            prop_assert_eq!(kept[0].as_bytes(), encoded(&units));
            prop_assert_eq!(kept[0].as_str().map(str::to_owned), String::from_utf16(&units).ok());
            // The client gets back what it has sent.
            let quoted = std::str::from_utf8(kept[0].quoted()).unwrap();
            prop_assert_eq!(&serde_json::from_str::<Wtf8>(quoted).unwrap().0, kept[0].as_bytes());
            prop_assert_eq!(kept[0].to_bytes_lossy(), String::from_utf16_lossy(&units));

            let refusing = decode(&payload, Limits { lone_surrogates: LoneSurrogates::Refuse, ..LIMITS });
            match String::from_utf16(&units) {
                Ok(text) => prop_assert_eq!(refusing.unwrap(), [text]),
                Err(_) => prop_assert_eq!(refusing, Err(DecodeError::LoneSurrogate)),
            }
        }

        #[test]
        fn accepts_what_serde_json_accepts(payload in any_payload()) {
            prop_assert_eq!(texts(&payload), reference(&payload), "{:?}", payload);
            let kept = decode(&payload, Limits { lone_surrogates: LoneSurrogates::Keep, ..LIMITS });
            let kept = kept.map(|messages| messages.iter().map(|m| m.as_bytes().to_vec()).collect());
            prop_assert_eq!(kept, reference_bytes(&payload), "{:?}", payload);
        }

        #[test]
        fn accepts_alone_what_serde_json_accepts(payload in any_payload()) {
            let inner = payload.trim_start_matches('[').trim_end_matches(']');
            for text in [&payload, inner] {
                let ours = decode_text(text, LIMITS)
                    .map(|messages| messages.iter().map(|m| m.as_str().unwrap().to_owned()).collect());
                // Wrapping in an array turns a string into one message, and nothing else into one.
                let in_array = format!("[{text}]");
                let alone = reference(&in_array).ok().filter(|texts| texts.len() == 1);
                prop_assert_eq!(ours, alone.map_or_else(|| reference(text), Ok), "{:?}", text);
            }
        }

        #[test]
        fn accepts_what_serde_json_accepts_after_a_change(
            strings in proptest::collection::vec("[a-z\"\\\\é😀\u{2028}\n]{0,40}", 0..4),
            at: proptest::sample::Index,
            change in "[\"\\\\\\[\\],u0-9a-f\x00-\x20é]{0,2}",
            removed in 0_usize..3,
        ) {
            let mut payload: Vec<char> = serde_json::to_string(&strings).unwrap().chars().collect();
            let at = at.index(payload.len());
            let end = payload.len().min(at + removed);
            payload.splice(at..end, change.chars());
            let payload: String = payload.into_iter().collect();
            prop_assert_eq!(texts(&payload), reference(&payload), "{:?}", payload);
        }

        #[test]
        fn pieces_make_no_difference(
            payload in any_payload(),
            sizes in proptest::collection::vec(1_usize..12, 1..5),
            messages in 1_usize..4,
        ) {
            for lone_surrogates in POLICIES {
                let limits = Limits { lone_surrogates, ..LIMITS };
                let whole = decode(&payload, limits);
                let pieces = in_pieces(&payload, &sizes, Limits { messages, ..limits });
                prop_assert_eq!(pieces, whole, "{:?}", payload);
            }
        }

        #[test]
        fn what_is_decoded_is_as_if_the_application_had_made_it(payload in any_payload()) {
            for message in decode(&payload, LIMITS).unwrap_or_default() {
                let made = Message::from(message.as_str().unwrap());
                prop_assert_eq!(message.line(), made.line());
            }
        }
    }

    /// Texts that are arrays of strings or nearly so.
    fn any_payload() -> impl Strategy<Value = String> {
        let escape = prop_oneof![
            "\\\\[\"\\\\/bfnrtux ]",
            "\\\\u[0-9a-fA-F]{4}",
            "\\\\u[dD][89a-fA-F][0-9a-f]{2}",
            "\\\\u[dD][89abAB][0-9a-f]{2}\\\\u[dD][c-fC-F][0-9a-f]{2}",
            "\\\\u[0-9a-g]{0,4}",
        ];
        let plain = prop_oneof![
            "[ -~]{0,12}",
            "[a-z ]{50,90}",
            "[é😀\u{2000}-\u{2070}\u{fff0}-\u{ffff}]{1,4}",
            "[\\x00-\\x20]"
        ];
        let piece = prop_oneof![4 => escape, 4 => plain.prop_map(|text| text.replace(['"', '\\'], "")), 1 => any::<String>()];
        let string =
            proptest::collection::vec(piece, 0..6).prop_map(|pieces| format!("\"{}\"", pieces.concat()));
        let token = prop_oneof![
            12 => string,
            1 => "[\\[\\]{},:0-9 ]",
            1 => Just("null".to_owned()),
        ];
        let space = "[ \t\r\n]{0,2}";
        (proptest::collection::vec((space, token), 0..5), space, "[ \n]?[x\\]]?").prop_map(
            |(tokens, space, end)| {
                let tokens: Vec<_> = tokens.into_iter().map(|(space, token)| space + &token).collect();
                format!("[{}{space}]{end}", tokens.join(","))
            },
        )
    }

    /// The result of serde_json, with its WTF-8 converted to UTF-8.
    fn reference(payload: &str) -> Result<Vec<String>, DecodeError> {
        let lossy = |wtf8: Vec<u8>| {
            let mut text = String::new();
            let mut rest = &wtf8[..];
            while let Err(error) = std::str::from_utf8(rest) {
                let (good, bad) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(good).unwrap());
                text.push(char::REPLACEMENT_CHARACTER);
                assert!(matches!(bad, [0xed, 0xa0..=0xbf, 0x80..=0xbf, ..]), "{bad:x?}");
                rest = &bad[3..];
            }
            text + std::str::from_utf8(rest).unwrap()
        };
        Ok(reference_bytes(payload)?.into_iter().map(lossy).collect())
    }

    fn reference_bytes(payload: &str) -> Result<Vec<Vec<u8>>, DecodeError> {
        // A string read as bytes may have control characters; a skipped one may not.
        if serde_json::from_str::<Vec<serde::de::IgnoredAny>>(payload).is_err() {
            return Err(DecodeError::Malformed);
        }
        serde_json::from_str::<Vec<Wtf8>>(payload)
            .map(|strings| strings.into_iter().map(|Wtf8(text)| text).collect())
            .map_err(|_| DecodeError::Malformed)
    }

    /// A string read as bytes, in which serde_json leaves a lone surrogate as three bytes (WTF-8).
    #[derive(Debug)]
    struct Wtf8(Vec<u8>);

    impl<'de> serde::Deserialize<'de> for Wtf8 {
        fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
            json.deserialize_bytes(Wtf8Visitor).map(Self)
        }
    }

    struct Wtf8Visitor;

    impl serde::de::Visitor<'_> for Wtf8Visitor {
        type Value = Vec<u8>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a string")
        }

        fn visit_bytes<E: serde::de::Error>(self, wtf8: &[u8]) -> Result<Vec<u8>, E> {
            Ok(wtf8.to_vec())
        }
    }
}
