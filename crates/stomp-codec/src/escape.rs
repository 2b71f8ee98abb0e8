//! Escapes in the names and values of headers.
//!
//! | | 1.0 | 1.1 | 1.2 |
//! |---|---|---|---|
//! | `\n` `\c` `\\` | – | line feed, colon, backslash | the same |
//! | `\r` | – | – | carriage return |
//! | other pairs | – | an error | an error |
//!
//! Source: "Value Encoding" of STOMP 1.1 and 1.2.

use bytestring::ByteString;

use crate::{error::DecodeErrorKind, version::Version};

/// How headers are written: those of a version, or those of `CONNECT` and `CONNECTED`, which never have escapes.
pub(crate) fn escapes(version: Option<Version>) -> &'static [(char, char)] {
    match version {
        None | Some(Version::V1_0) => &[],
        Some(Version::V1_1) => &[('n', '\n'), ('c', ':'), ('\\', '\\')],
        Some(Version::V1_2) => &[('n', '\n'), ('c', ':'), ('\\', '\\'), ('r', '\r')],
    }
}

/// Resolves escapes. With `lenient`, a pair that is not defined stays as it is.
pub(crate) fn unescape(
    text: ByteString,
    escapes: &[(char, char)],
    lenient: bool,
) -> Result<ByteString, DecodeErrorKind> {
    if escapes.is_empty() || memchr::memchr(b'\\', text.as_bytes()).is_none() {
        return Ok(text);
    }
    let mut whole = String::with_capacity(text.len());
    let mut rest = &*text;
    while let Some((before, behind)) = rest.split_once('\\') {
        whole.push_str(before);
        let escaped = behind.chars().next();
        match escapes.iter().find(|(letter, _)| Some(*letter) == escaped) {
            Some((_, meant)) => {
                whole.push(*meant);
                rest = &behind[1..];
            }
            None if lenient => {
                whole.push('\\');
                rest = behind;
            }
            None => return Err(DecodeErrorKind::UndefinedEscape),
        }
    }
    whole.push_str(rest);
    Ok(whole.into())
}

/// Whether [`write_header`] writes a text as it is in all versions.
///
/// ```
/// assert!(stomp_codec::is_plain("/topic/prices"));
/// assert!(!stomp_codec::is_plain("a:b"));
/// ```
#[must_use]
pub fn is_plain(text: &str) -> bool {
    // Without a branch for each octet, so that many are looked at together.
    !text.bytes().fold(false, |found, byte| found | is_special(byte))
}

fn is_special(byte: u8) -> bool {
    matches!(byte, b'\n' | b'\r' | b':' | b'\\' | 0)
}

/// Writes a header line. A value never begins a line of its own, and a name never becomes another one.
///
/// What a version cannot say of a value is written so that nothing else is said: a carriage return is left out before
/// 1.2, and a line feed is written as `\n` in 1.0 too. A NUL, which would end the frame, is left out. A header is left out
/// whose name the version cannot say, or which has none.
///
/// `version` is `None` for `CONNECT`, `STOMP` and `CONNECTED`, which have no escapes.
///
/// ```
/// use stomp_codec::{Version, write_header};
///
/// let mut head = String::from("MESSAGE\n");
/// write_header(&mut head, Some(Version::V1_2), "subject", "a: b");
/// assert_eq!(head, "MESSAGE\nsubject:a\\c b\n");
/// ```
pub fn write_header(out: &mut String, version: Option<Version>, name: &str, value: &str) {
    let escapes = escapes(version);
    let is_said = |byte: u8| {
        !is_special(byte) || byte == b'\\' || escapes.iter().any(|(_, meant)| *meant == char::from(byte))
    };
    if name.is_empty() || !(is_plain(name) || name.bytes().all(is_said)) {
        return;
    }
    write(out, escapes, name);
    out.push(':');
    write(out, escapes, value);
    out.push('\n');
}

fn write(out: &mut String, escapes: &[(char, char)], text: &str) {
    if is_plain(text) {
        out.push_str(text);
        return;
    }
    let mut rest = text;
    while let Some(at) = rest.bytes().position(is_special) {
        out.push_str(&rest[..at]);
        let special = rest.as_bytes()[at].into();
        match escapes.iter().find(|(_, meant)| *meant == special) {
            Some((letter, _)) => out.extend(['\\', *letter]),
            None if special == '\n' => out.push_str("\\n"),
            None if matches!(special, ':' | '\\') => out.push(special),
            None => {}
        }
        rest = &rest[at + 1..];
    }
    out.push_str(rest);
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Option<Version>; 4] = [None, Some(Version::V1_0), Some(Version::V1_1), Some(Version::V1_2)];

    fn read(version: Version, text: &str) -> Result<String, DecodeErrorKind> {
        unescape(text.into(), escapes(Some(version)), false).map(Into::into)
    }

    #[test]
    fn each_version_has_its_escapes() {
        for (text, expected) in [
            (r"C:\new", [Some(r"C:\new"), Some("C:\new"), Some("C:\new")]),
            (r"a\cb\\c", [Some(r"a\cb\\c"), Some(r"a:b\c"), Some(r"a:b\c")]),
            (r"a\rb", [Some(r"a\rb"), None, Some("a\rb")]),
            (r"a\tb", [Some(r"a\tb"), None, None]),
            (r"a\", [Some(r"a\"), None, None]),
            (r"\😀", [Some(r"\😀"), None, None]),
            (r"\\n", [Some(r"\\n"), Some(r"\n"), Some(r"\n")]),
        ] {
            for (version, expected) in Version::ALL.into_iter().zip(expected) {
                let expected = expected.map(ToOwned::to_owned).ok_or(DecodeErrorKind::UndefinedEscape);
                assert_eq!(read(version, text), expected, "{text} in {version}");
            }
        }
    }

    #[test]
    fn an_undefined_pair_is_kept_where_that_is_allowed() {
        let lenient = |text: &str| unescape(text.into(), escapes(Some(Version::V1_2)), true);
        assert_eq!(lenient(r"C:\temp\").unwrap(), r"C:\temp\");
        assert_eq!(lenient(r"\\t\n").unwrap(), "\\t\n");
    }

    #[test]
    fn each_version_writes_what_it_can_say() {
        let value = "a:b\\c\nd\re\0f";
        let written = ALL.map(|version| {
            let mut line = String::new();
            write_header(&mut line, version, "n", value);
            line
        });
        let without = "n:a:b\\c\\ndef\n";
        assert_eq!(written, [without, without, "n:a\\cb\\\\c\\ndef\n", "n:a\\cb\\\\c\\nd\\ref\n"]);
    }

    #[test]
    fn a_name_does_not_become_another_one() {
        let written = |name: &str| {
            ALL.map(|version| {
                let mut line = String::new();
                write_header(&mut line, version, name, "y");
                line
            })
        };
        assert_eq!(written("subscription:x"), ["", "", "subscription\\cx:y\n", "subscription\\cx:y\n"]);
        assert_eq!(written("receipt\r"), ["", "", "", "receipt\\r:y\n"]);
        assert_eq!(written("receipt\n"), ["", "", "receipt\\n:y\n", "receipt\\n:y\n"]);
        assert_eq!(written("receipt\0"), [""; 4]);
        assert_eq!(written("a\\"), ["a\\:y\n", "a\\:y\n", "a\\\\:y\n", "a\\\\:y\n"]);
        assert_eq!(written(""), [""; 4]);
    }

    #[test]
    fn many_escapes_cost_no_stack() {
        let text = r"\n".repeat(100_000);
        assert_eq!(read(Version::V1_2, &text).unwrap(), "\n".repeat(100_000));
    }

    #[test]
    fn what_is_plain_is_written_as_it_is() {
        for text in ["", "a", " é😀\t", "a:b", "a\\", "a\nb", "\r", "\0"] {
            let is_same = ALL.map(|version| {
                let mut line = String::new();
                write_header(&mut line, version, "n", text);
                line == format!("n:{text}\n")
            });
            assert_eq!(is_plain(text), is_same == [true; 4], "{text:?}");
        }
    }
}
