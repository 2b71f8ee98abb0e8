//! Escaping of outgoing text, for servers.
//!
//! [`quote`] makes the JSON strings of an `a[…]` frame. The other two functions escape a whole frame again, for the
//! transports that wrap it in a script or in an event stream. [`Frame`](crate::Frame) uses the first itself.

use super::{
    scan::{BLOCK, ByteSet},
    wtf8,
};

/// Bytes that differ between a string and its JSON form, except for those that [`has_mangled`] finds.
pub(crate) const SPECIAL: ByteSet<2> = ByteSet { below: 0x20, others: *b"\"\\" };

/// The first bytes of the characters that [`mangled_by_browsers`] recognizes.
const LEADS: ByteSet<2> = ByteSet { below: 0, others: [0xe2, 0xef] };

/// Both sets.
pub(crate) const SPECIAL_OR_LEAD: ByteSet<4> = ByteSet { below: 0x20, others: *b"\"\\\xe2\xef" };

/// Appends `text` to `out` as a JSON string.
///
/// In addition to the escapes that JSON requires, U+200C–200F, U+2028–202F, U+2060–206F and U+FFF0–FFFF are written
/// as `\uXXXX`, because browsers alter them (suite: `test_xhr_server_encodes`).
///
/// ```
/// let mut out = Vec::new();
/// sockjs_core::quote::quote("\"a\u{2028}", &mut out);
/// assert_eq!(out, br#""\"a\u2028""#);
/// ```
pub fn quote(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    quote_inside(text, out);
    out.push(b'"');
}

/// Like [`quote`], for a text in WTF-8: each surrogate is written as `\uXXXX`.
pub(crate) fn quote_wtf8(text: &[u8], out: &mut Vec<u8>) {
    out.push(b'"');
    for (utf8, surrogate) in wtf8::pieces(text) {
        quote_inside(utf8, out);
        if let Some(unit) = surrogate {
            push_unicode_escape(unit, out);
        }
    }
    out.push(b'"');
}

/// Appends what stands between the quotation marks. A character's escape does not depend on those around it.
pub(crate) fn quote_inside(text: &str, out: &mut Vec<u8>) {
    const PAIRS: Pairs = Pairs::new(b"\x08b\tt\nn\x0cf\rr\"\"\\\\").by_hand_below(0x20);
    const WITH_LEADS: Pairs = PAIRS.by_hand(0xe2).by_hand(0xef);

    let bytes = text.as_bytes();
    if has_mangled(bytes) {
        escape(bytes, out, SPECIAL_OR_LEAD, &WITH_LEADS, |rest, out| match mangled_by_browsers(rest) {
            Some(code) => {
                push_unicode_escape(code, out);
                3
            }
            None if rest[0] < 0x20 => {
                push_unicode_escape(rest[0].into(), out);
                1
            }
            None => {
                out.push(rest[0]);
                1
            }
        });
    } else {
        escape(bytes, out, SPECIAL, &PAIRS, |rest, out| {
            push_unicode_escape(rest[0].into(), out);
            1
        });
    }
}

/// The number of bytes that [`quote`] appends for `text`, if there are no characters to escape outside of ASCII.
pub(crate) fn quoted_len(text: &str) -> usize {
    // Chunks whose sum fits into a byte allow vector instructions.
    let added = text.as_bytes().chunks(32).map(|piece| {
        let added = piece.iter().fold(0_u8, |sum, &byte| {
            let control = byte < 0x20;
            let short = (byte == b'"') | (byte == b'\\') | (byte == 0x08) | (byte == b'\t');
            let short = short | (byte == b'\n') | (byte == 0x0c) | (byte == b'\r');
            sum + u8::from(short | control) + 4 * u8::from(control & !short)
        });
        usize::from(added)
    });
    text.len() + added.sum::<usize>() + 2
}

/// Whether [`quote`] has nothing to escape in `text`.
pub(crate) fn is_clean(text: &str) -> bool {
    // Most texts need only one pass.
    let rest = &text.as_bytes()[SPECIAL_OR_LEAD.prefix_without(text.as_bytes())..];
    SPECIAL.prefix_without(rest) == rest.len() && !has_mangled(rest)
}

/// Whether a text has a character that browsers are known to alter.
pub(crate) fn has_mangled(utf8: &[u8]) -> bool {
    let mut rest = utf8;
    // The two bytes after a block complete the characters that begin at its end.
    while let Some(block) = rest.first_chunk::<{ BLOCK + 2 }>() {
        if LEADS.is_in_block(block.first_chunk().unwrap_or(&[0; BLOCK])) {
            // [`mangled_by_browsers`] at each position, in a form that can be vectorised.
            let found = (0..BLOCK).fold(false, |found, at| {
                let (a, b, c) = (block[at], block[at + 1], block[at + 2]);
                let joiners = (b == 0x80) & ((c & 0xfc == 0x8c) | (c & 0xf8 == 0xa8));
                let invisible = (b == 0x81) & (c & 0xf0 == 0xa0);
                let specials = (a == 0xef) & (b == 0xbf) & (c >= 0xb0);
                found | ((a == 0xe2) & (joiners | invisible)) | specials
            });
            if found {
                return true;
            }
        }
        rest = &rest[BLOCK..];
    }
    rest.windows(3).any(|utf8| mangled_by_browsers(utf8).is_some())
}

/// The code point of the first three bytes of `utf8`, if browsers are known to alter it.
fn mangled_by_browsers(utf8: &[u8]) -> Option<u16> {
    match *utf8 {
        [a @ 0xe2, b @ 0x80, c @ (0x8c..=0x8f | 0xa8..=0xaf), ..]
        | [a @ 0xe2, b @ 0x81, c @ 0xa0..=0xaf, ..]
        | [a @ 0xef, b @ 0xbf, c @ 0xb0..=0xbf, ..] => {
            let [a, b, c] = [a, b, c].map(u16::from);
            Some((a & 0x0f) << 12 | (b & 0x3f) << 6 | (c & 0x3f))
        }
        _ => None,
    }
}

fn push_unicode_escape(code: u16, out: &mut Vec<u8>) {
    const HEX: &[u8; 16] = b"0123456789abcdef";
    let digit = |shift: u16| HEX[usize::from(code >> shift & 0xf)];
    out.extend_from_slice(&[b'\\', b'u', digit(12), digit(8), digit(4), digit(0)]);
}

/// Appends `frame` as the content of a JavaScript string in an HTML script element.
///
/// `<`, `>` and `&` are escaped too, so that no message can end the script. A frame has no control characters and no
/// U+2028 or U+2029: [`quote`] has escaped them.
pub fn escape_script(frame: &[u8], out: &mut Vec<u8>) {
    const PAIRS: Pairs = Pairs::new(b"\"\"\\\\").by_hand(b'<').by_hand(b'>').by_hand(b'&');
    escape(frame, out, ByteSet { below: 0, others: *b"\"\\<>&" }, &PAIRS, |rest, out| {
        push_unicode_escape(rest[0].into(), out);
        1
    });
}

/// Appends `frame` for an event stream, whose client percent-decodes what it receives.
///
/// CR, LF and NUL cannot occur in a frame. They are escaped anyway, since a raw one would let a message forge an
/// event.
pub fn escape_event(frame: &[u8], out: &mut Vec<u8>) {
    const PAIRS: Pairs = Pairs::new(b"").by_hand(b'%').by_hand(b'\r').by_hand(b'\n').by_hand(0);
    escape(frame, out, ByteSet { below: 0, others: *b"%\r\n\0" }, &PAIRS, |rest, out| {
        out.extend_from_slice(match rest[0] {
            b'%' => b"%25",
            b'\r' => b"%0D",
            b'\n' => b"%0A",
            _ => b"%00",
        });
        1
    });
}

/// The output for each byte: itself, a backslash and a letter, or a custom escape.
struct Pairs([Pair; 256]);

#[derive(Clone, Copy)]
struct Pair {
    bytes: [u8; 2],
    /// The number of bytes to write; 0 means a custom escape.
    len: u8,
}

impl Pairs {
    /// Takes pairs of a byte and its letter.
    const fn new(escapes: &[u8]) -> Self {
        let mut pairs = [Pair { bytes: [0; 2], len: 1 }; 256];
        let mut byte = 0;
        while byte < 256 {
            pairs[byte].bytes[0] = byte as u8;
            byte += 1;
        }
        let mut at = 0;
        while at < escapes.len() {
            pairs[escapes[at] as usize] = Pair { bytes: [b'\\', escapes[at + 1]], len: 2 };
            at += 2;
        }
        Self(pairs)
    }

    const fn by_hand(mut self, byte: u8) -> Self {
        self.0[byte as usize].len = 0;
        self
    }

    /// Marks bytes below a bound that have no letter.
    const fn by_hand_below(mut self, bound: usize) -> Self {
        let mut byte = 0;
        while byte < bound {
            if self.0[byte].len == 1 {
                self.0[byte].len = 0;
            }
            byte += 1;
        }
        self
    }
}

/// Appends `bytes` with all of `set` escaped: by `pairs`, or by `hand`, which gets the bytes from that position on
/// and returns the number of bytes it has handled.
///
/// A block without a byte of the set is copied. Otherwise each byte is looked up without a branch that depends on it:
/// in JSON text every fourth or fifth byte is a quote, at positions that a branch predictor cannot foresee.
#[inline(always)]
fn escape<const N: usize>(
    bytes: &[u8],
    out: &mut Vec<u8>,
    set: ByteSet<N>,
    pairs: &Pairs,
    hand: impl Fn(&[u8], &mut Vec<u8>) -> usize,
) {
    const HALF: usize = BLOCK / 2;
    let mut at = 0;
    let one_by_one = |mut at: usize, end: usize, out: &mut Vec<u8>| {
        while at < end {
            let pair = pairs.0[usize::from(bytes[at])];
            match pair.len {
                0 => at += hand(&bytes[at..], out),
                len => {
                    out.extend_from_slice(&pair.bytes[..usize::from(len)]);
                    at += 1;
                }
            }
        }
        at
    };
    while let Some(block) = bytes[at..].first_chunk::<BLOCK>() {
        if !set.is_in_block(block) {
            out.extend_from_slice(block);
            at += BLOCK;
            continue;
        }
        for _ in 0..2 {
            let Some(half) = bytes[at..].first_chunk::<HALF>() else { break };
            let mut escaped = [0; BLOCK + 1];
            let mut len = 0;
            let mut least = 1;
            for &byte in half {
                let pair = pairs.0[usize::from(byte)];
                // The remainder shows the compiler that the index is within the array; it always is.
                let place = len % BLOCK;
                escaped[place] = pair.bytes[0];
                escaped[place + 1] = pair.bytes[1];
                len += usize::from(pair.len);
                least = least.min(pair.len);
            }
            if least == 0 {
                at = one_by_one(at, at + HALF, out);
            } else {
                // If there is room, copies a fixed length and truncates the rest.
                let end = out.len() + len;
                let copied = if out.capacity() - out.len() >= BLOCK { BLOCK } else { len };
                out.extend_from_slice(&escaped[..copied]);
                out.truncate(end);
                at += HALF;
            }
        }
    }
    one_by_one(at, bytes.len(), out);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn quoted(text: &str) -> String {
        let mut out = Vec::new();
        quote(text, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn short_escapes_and_control_characters() {
        assert_eq!(
            quoted("\u{8}\t\n\u{c}\r\"\\\0\u{1f}\u{7f}"),
            "\"\\b\\t\\n\\f\\r\\\"\\\\\\u0000\\u001f\u{7f}\""
        );
    }

    #[test]
    fn escapes_exactly_what_browsers_alter() {
        for code in (0x80..=0xffff).filter_map(char::from_u32) {
            let escaped = matches!(code, '\u{200c}'..='\u{200f}' | '\u{2028}'..='\u{202f}'
                | '\u{2060}'..='\u{206f}' | '\u{fff0}'..='\u{ffff}');
            let expected =
                if escaped { format!("\"\\u{:04x}\"", code as u32) } else { format!("\"{code}\"") };
            assert_eq!(quoted(&code.to_string()), expected);
            assert_eq!(is_clean(&code.to_string()), !escaped);
        }
    }

    #[test]
    fn a_script_cannot_be_ended_by_a_message() {
        let mut out = Vec::new();
        escape_script(b"a[\"</script><!-- & \\n\"]", &mut out);
        assert_eq!(out, b"a[\\\"\\u003c/script\\u003e\\u003c!-- \\u0026 \\\\n\\\"]");
    }

    #[test]
    fn an_event_keeps_percent_signs_and_line_ends() {
        let mut out = Vec::new();
        escape_event(b"%41 %zz\r\n\0", &mut out);
        assert_eq!(out, b"%2541 %25zz%0D%0A%00");
    }

    /// Text with many characters to escape, in runs of every length.
    fn mixed_text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![
            "[a-z]{1,100}",
            "[\\x00-\\x7f]{1,10}",
            "[\u{1ff0}-\u{2070}\u{ff00}-\u{ffff}é😀]{1,5}"
        ];
        proptest::collection::vec(piece, 0..8).prop_map(|pieces| pieces.concat())
    }

    /// The same escapes, character by character.
    fn quoted_slowly(text: &str) -> String {
        let mut out = String::from("\"");
        for c in text.chars() {
            match c {
                '"' | '\\' => out.extend(['\\', c]),
                '\u{200c}'..='\u{200f}'
                | '\u{2028}'..='\u{202f}'
                | '\u{2060}'..='\u{206f}'
                | '\u{fff0}'..='\u{ffff}' => out.push_str(&format!("\\u{:04x}", u32::from(c))),
                '\0'..='\u{1f}' => out.push_str(serde_json::to_string(&c).unwrap().trim_matches('"')),
                _ => out.push(c),
            }
        }
        out + "\""
    }

    proptest! {
        #[test]
        fn quoting_is_json_for_the_same_text(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }

        #[test]
        fn quoting_by_blocks_is_quoting_by_characters(text in mixed_text()) {
            prop_assert_eq!(quoted(&text), quoted_slowly(&text));
            prop_assert_eq!(is_clean(&text), quoted_slowly(&text).len() == text.len() + 2);
        }

        #[test]
        fn the_length_of_quoted_ascii_is_known(text in "[ -~\\x00-\\x1f]{0,100}") {
            prop_assert_eq!(quoted_len(&text), quoted(&text).len());
        }
    }
}
