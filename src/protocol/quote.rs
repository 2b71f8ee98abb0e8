//! How text is escaped on its way out.
//!
//! [`quote`] makes the JSON strings of an `a[…]` frame; the other two escape a whole frame once more for
//! the transports that wrap it in a script or in an event stream.

/// What [`quote`] does with a byte: copy it, look at the bytes behind it, or write an escape.
const COPY: u8 = 0;
const LOOK: u8 = 1;
const UNICODE: u8 = b'u';

/// One entry per byte value; every other value than the three above is the letter behind the backslash.
const CLASS: [u8; 256] = {
    let mut class = [COPY; 256];
    let mut control = 0;
    while control < 0x20 {
        class[control] = UNICODE;
        control += 1;
    }
    class[0x08] = b'b';
    class[b'\t' as usize] = b't';
    class[b'\n' as usize] = b'n';
    class[0x0c] = b'f';
    class[b'\r' as usize] = b'r';
    class[b'"' as usize] = b'"';
    class[b'\\' as usize] = b'\\';
    class[0xe2] = LOOK;
    class[0xef] = LOOK;
    class
};

/// Appends `text` to `out` as a JSON string.
///
/// Beside what JSON demands, the characters U+200C–200F, U+2028–202F, U+2060–206F and U+FFF0–FFFF are
/// written as `\uXXXX`, because browsers change them on the way (suite: `test_xhr_server_encodes`).
pub(crate) fn quote(text: &str, out: &mut Vec<u8>) {
    let bytes = text.as_bytes();
    out.reserve(bytes.len() + 2);
    out.push(b'"');
    let mut clean = 0; // where the run of bytes to copy begins
    let mut at = 0;
    while at < bytes.len() {
        match CLASS[usize::from(bytes[at])] {
            COPY => at += 1,
            LOOK => {
                // 0xE2 and 0xEF lead three bytes, and `text` is valid UTF-8.
                if let Some(code) = mangled_by_browsers([bytes[at], bytes[at + 1], bytes[at + 2]]) {
                    out.extend_from_slice(&bytes[clean..at]);
                    push_unicode_escape(code, out);
                    clean = at + 3;
                }
                at += 3;
            }
            escape => {
                out.extend_from_slice(&bytes[clean..at]);
                if escape == UNICODE {
                    push_unicode_escape(u16::from(bytes[at]), out);
                } else {
                    out.extend_from_slice(&[b'\\', escape]);
                }
                at += 1;
                clean = at;
            }
        }
    }
    out.extend_from_slice(&bytes[clean..]);
    out.push(b'"');
}

/// Whether [`quote`] has nothing to escape in `text`.
pub(crate) fn is_clean(text: &str) -> bool {
    let bytes = text.as_bytes();
    let mut at = 0;
    while at < bytes.len() {
        match CLASS[usize::from(bytes[at])] {
            COPY => at += 1,
            LOOK if mangled_by_browsers([bytes[at], bytes[at + 1], bytes[at + 2]]).is_none() => at += 3,
            _ => return false,
        }
    }
    true
}

/// The code point of three UTF-8 bytes, if browsers are known to alter it.
fn mangled_by_browsers(utf8: [u8; 3]) -> Option<u16> {
    match utf8 {
        [0xe2, 0x80, 0x8c..=0x8f | 0xa8..=0xaf] | [0xe2, 0x81, 0xa0..=0xaf] | [0xef, 0xbf, 0xb0..=0xbf] => {
            let [a, b, c] = utf8.map(u16::from);
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

/// Appends `frame` as the inside of a JavaScript string in an HTML script element.
///
/// `<`, `>` and `&` are escaped too, so that no message can end the script. A frame holds no control
/// character and no U+2028 or U+2029: [`quote`] has escaped them.
pub(crate) fn escape_script(frame: &[u8], out: &mut Vec<u8>) {
    escape(frame, out, |byte| match byte {
        b'"' => Some(b"\\\""),
        b'\\' => Some(b"\\\\"),
        b'<' => Some(b"\\u003c"),
        b'>' => Some(b"\\u003e"),
        b'&' => Some(b"\\u0026"),
        _ => None,
    });
}

/// Appends `frame` for an event stream, whose client percent-decodes what it receives.
///
/// CR, LF and NUL cannot occur in a frame; they are escaped all the same, since a raw one would let a
/// message forge an event.
pub(crate) fn escape_event(frame: &[u8], out: &mut Vec<u8>) {
    escape(frame, out, |byte| match byte {
        b'%' => Some(b"%25"),
        b'\r' => Some(b"%0D"),
        b'\n' => Some(b"%0A"),
        0 => Some(b"%00"),
        _ => None,
    });
}

fn escape(bytes: &[u8], out: &mut Vec<u8>, replacement: impl Fn(u8) -> Option<&'static [u8]>) {
    let mut clean = 0;
    for (at, &byte) in bytes.iter().enumerate() {
        if let Some(replacement) = replacement(byte) {
            out.extend_from_slice(&bytes[clean..at]);
            out.extend_from_slice(replacement);
            clean = at + 1;
        }
    }
    out.extend_from_slice(&bytes[clean..]);
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

    proptest! {
        #[test]
        fn quoting_is_json_for_the_same_text(text: String) {
            prop_assert_eq!(serde_json::from_str::<String>(&quoted(&text)).unwrap(), text);
        }
    }
}
