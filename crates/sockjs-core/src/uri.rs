//! The escapes that a client undoes in an event stream: `%XX`, as JavaScript's `decodeURI` does it.

use std::borrow::Cow;

use memchr::memchr;

/// What `decodeURI` leaves escaped.
const RESERVED: &[char] = &[';', '/', '?', ':', '@', '&', '=', '+', '$', ',', '#'];

/// The length of an escape.
const LENGTH: usize = 3;

/// Undoes the escapes of a text.
///
/// Those of the characters `; / ? : @ & = + $ , #` stay, as in `decodeURI`: servers were written for it. Those that
/// are not UTF-8 stay as well, where `decodeURI` throws.
pub(crate) fn decode_uri(text: &str) -> Cow<'_, str> {
    let mut rest = text;
    let mut out = String::new();
    while let Some(at) = memchr(b'%', rest.as_bytes()) {
        if out.capacity() == 0 {
            out.reserve(text.len());
        }
        out.push_str(&rest[..at]);
        match escaped_char(&rest.as_bytes()[at..]) {
            Some((char, length)) => {
                out.push(char);
                rest = &rest[at + length..];
            }
            None => {
                out.push('%');
                rest = &rest[at + 1..];
            }
        }
    }
    if out.is_empty() {
        return Cow::Borrowed(rest);
    }
    out.push_str(rest);
    Cow::Owned(out)
}

/// The character whose escapes are at the beginning, and how many bytes they take.
fn escaped_char(bytes: &[u8]) -> Option<(char, usize)> {
    let mut utf8 = [0; 4];
    let length = match escaped_byte(bytes)? {
        0x00..=0x7f => 1,
        0xc2..=0xdf => 2,
        0xe0..=0xef => 3,
        0xf0..=0xf4 => 4,
        _ => return None,
    };
    for (byte, escape) in utf8[..length].iter_mut().zip(bytes.chunks(LENGTH)) {
        *byte = escaped_byte(escape)?;
    }
    let char = std::str::from_utf8(&utf8[..length]).ok()?.chars().next()?;
    if RESERVED.contains(&char) { None } else { Some((char, length * LENGTH)) }
}

fn escaped_byte(bytes: &[u8]) -> Option<u8> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    match *bytes {
        [b'%', high, low, ..] => u8::try_from(digit(high)? << 4 | digit(low)?).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::quote::escape_event;

    #[test]
    fn escapes_are_undone_as_by_a_browser() {
        for (escaped, text) in [
            ("", ""),
            ("a", "a"),
            ("%25", "%"),
            ("%2525", "%25"),
            ("%41%4a%4A%20%00%0D%0a", "AJJ \0\r\n"),
            ("%C3%A9%e2%80%a8%F0%9F%98%80é", "é\u{2028}😀é"),
            ("%3B%2F%3F%3A%40%26%3D%2B%24%2C%23", "%3B%2F%3F%3A%40%26%3D%2B%24%2C%23"),
            // No escape, or none of UTF-8: a lonely byte, an overlong form, a surrogate, too large, cut off.
            ("%", "%"),
            ("%4", "%4"),
            ("%4g%+4%é", "%4g%+4%é"),
            ("%%41", "%A"),
            ("%80%41", "%80A"),
            ("%C0%80%e0%80%80%ED%A0%80%F4%90%80%80%ff", "%C0%80%e0%80%80%ED%A0%80%F4%90%80%80%ff"),
            ("%E2%80", "%E2%80"),
            ("%E2%80%41", "%E2%80A"),
            ("%C3é", "%C3é"),
        ] {
            assert_eq!(decode_uri(escaped), text, "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn what_the_server_escapes_comes_back(text in any::<String>(), tricky in "[%0-9A-F\r\n\0;é]{0,30}") {
            for text in [text, tricky] {
                let mut escaped = Vec::new();
                escape_event(text.as_bytes(), &mut escaped);
                prop_assert_eq!(decode_uri(std::str::from_utf8(&escaped).unwrap()), text.as_str());
                prop_assert!(decode_uri(&text).len() <= text.len());
            }
        }
    }
}
