//! What comes in, as bytes.

use axum_sockjs::Message;
use bytes::{Bytes, BytesMut};

/// The first half of a surrogate pair, as a JavaScript client leaves it at the end of a message that it has split.
type High = [u8; 3];

const REPLACEMENT: &[u8] = "\u{FFFD}".as_bytes();

/// Puts together the halves of characters that a client has cut when it split a frame into messages.
///
/// A half that stays alone becomes U+FFFD.
#[derive(Debug, Default)]
pub(crate) struct Surrogates {
    high: Option<High>,
}

impl Surrogates {
    /// The bytes of a message. The half of a character at its end is held back.
    pub(super) fn join(&mut self, message: &Message) -> Bytes {
        if self.high.is_none() && (message.is_binary() || message.as_str().is_some()) {
            return message.to_bytes();
        }
        let mut out = BytesMut::with_capacity(message.len() + 3);
        if message.is_binary() {
            self.end(&mut out);
            out.extend_from_slice(message.as_bytes());
        } else {
            self.join_text(message.as_bytes(), &mut out);
        }
        out.freeze()
    }

    /// Reads WTF-8: UTF-8, but for surrogates, which have three bytes each. The first of them is 0xED.
    fn join_text(&mut self, mut text: &[u8], out: &mut BytesMut) {
        while let Some(at) = memchr::memchr(0xED, text) {
            let (before, from) = text.split_at(at);
            self.copy(before, out);
            let Some((half, behind)) = from.split_first_chunk() else { break };
            match (half[1], self.high) {
                (0xA0..=0xAF, _) => {
                    self.end(out);
                    self.high = Some(*half);
                }
                (0xB0.., Some(high)) => {
                    self.high = None;
                    out.extend_from_slice(pair(high, *half).encode_utf8(&mut [0; 4]).as_bytes());
                }
                (0xB0.., None) => out.extend_from_slice(REPLACEMENT),
                _ => self.copy(half, out),
            }
            text = behind;
        }
        self.copy(text, out);
    }

    fn copy(&mut self, text: &[u8], out: &mut BytesMut) {
        if !text.is_empty() {
            self.end(out);
            out.extend_from_slice(text);
        }
    }

    fn end(&mut self, out: &mut BytesMut) {
        if self.high.take().is_some() {
            out.extend_from_slice(REPLACEMENT);
        }
    }
}

fn pair(high: High, low: High) -> char {
    let half = |bytes: High| u32::from(bytes[1] & 0x0F) << 6 | u32::from(bytes[2] & 0x3F);
    char::from_u32(0x1_0000 + (half(high) << 10) + half(low)).unwrap_or(char::REPLACEMENT_CHARACTER)
}

#[cfg(test)]
mod tests {
    use super::*;

    const HIGH: &[u8] = b"\xED\xA0\xBD";
    const LOW: &[u8] = b"\xED\xB8\x80";

    fn joined(messages: &[&[u8]]) -> String {
        let (mut surrogates, mut out) = (Surrogates::default(), BytesMut::new());
        for message in messages {
            surrogates.join_text(message, &mut out);
        }
        String::from_utf8(out.to_vec()).expect("text")
    }

    #[test]
    fn halves_in_two_messages_are_joined() {
        assert_eq!(joined(&[&[b"a", HIGH].concat(), &[LOW, b"b"].concat()]), "a😀b");
        assert_eq!(joined(&[HIGH, b"", LOW, HIGH, LOW]), "😀😀");
    }

    #[test]
    fn halves_that_stay_alone_are_replaced() {
        assert_eq!(joined(&[HIGH, b"b"]), "\u{FFFD}b");
        assert_eq!(joined(&[LOW, b"b", HIGH, HIGH, LOW]), "\u{FFFD}b\u{FFFD}😀");
        assert_eq!(joined(&[HIGH, "\u{D7FF}é".as_bytes()]), "\u{FFFD}\u{D7FF}é");
    }

    #[test]
    fn other_text_stays() {
        let text = "a\u{D7FF}é😀\u{E000}\u{D000}";
        assert_eq!(joined(&[text.as_bytes()]), text);
    }

    #[test]
    fn bytes_end_a_half() {
        let mut surrogates = Surrogates { high: Some([0xED, 0xA0, 0xBD]) };
        assert_eq!(surrogates.join(&Message::binary("\0")), "\u{FFFD}\0");
        assert_eq!(surrogates.join(&Message::from("a")), "a");
    }
}
