//! Reading what a client sends: a JSON array of strings.

use std::{cell::RefCell, fmt};

use serde::de::{DeserializeSeed, Deserializer, Error as _, SeqAccess, Visitor};

use crate::Message;

/// Why a payload was refused. Nothing of it is taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DecodeError {
    /// Not a JSON array of strings in UTF-8.
    Malformed,
    /// A message is longer than the limit, in bytes of UTF-8 after unquoting.
    MessageTooLong,
    /// The array holds more messages than the limit.
    TooManyMessages,
}

/// The bounds of one payload.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) message_bytes: usize,
    pub(crate) messages: usize,
}

/// Takes the strings out of a JSON array, whole or not at all.
///
/// Everything that JSON allows in a string is accepted. A surrogate without its partner, which JavaScript
/// can send and UTF-8 cannot hold, becomes U+FFFD.
pub(crate) fn decode(payload: &str, limits: Limits) -> Result<Vec<Message>, DecodeError> {
    match decode_as(payload, limits, Strings::WellFormed) {
        // The quick reading refuses lone surrogates; the second one is for them.
        Err(DecodeError::Malformed) if payload.contains("\\u") => {
            decode_as(payload, limits, Strings::Surrogates)
        }
        result => result,
    }
}

fn decode_as(payload: &str, limits: Limits, strings: Strings) -> Result<Vec<Message>, DecodeError> {
    // serde's errors carry only text, so the cause is left beside them.
    let cause = RefCell::new(DecodeError::Malformed);
    let batch = Batch { limits, strings, cause: &cause };
    let mut json = serde_json::Deserializer::from_str(payload);
    let result = batch.deserialize(&mut json).and_then(|messages| json.end().map(|()| messages));
    result.map_err(|_| cause.into_inner())
}

#[derive(Debug, Clone, Copy)]
enum Strings {
    WellFormed,
    /// Read as bytes, in which serde_json leaves a lone surrogate as three bytes (WTF-8).
    Surrogates,
}

#[derive(Clone, Copy)]
struct Batch<'a> {
    limits: Limits,
    strings: Strings,
    cause: &'a RefCell<DecodeError>,
}

impl Batch<'_> {
    fn refuse<E: serde::de::Error>(&self, cause: DecodeError) -> E {
        *self.cause.borrow_mut() = cause;
        E::custom("limit")
    }

    fn check_length<E: serde::de::Error>(&self, text: &str) -> Result<(), E> {
        if text.len() > self.limits.message_bytes {
            return Err(self.refuse(DecodeError::MessageTooLong));
        }
        Ok(())
    }
}

impl<'de> DeserializeSeed<'de> for Batch<'_> {
    type Value = Vec<Message>;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Self::Value, D::Error> {
        json.deserialize_seq(self)
    }
}

impl<'de> Visitor<'de> for Batch<'_> {
    type Value = Vec<Message>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an array of strings")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut array: A) -> Result<Self::Value, A::Error> {
        let mut messages = Vec::new();
        while let Some(message) = array.next_element_seed(Text(self))? {
            if messages.len() == self.limits.messages {
                return Err(self.refuse(DecodeError::TooManyMessages));
            }
            messages.push(message);
        }
        Ok(messages)
    }
}

struct Text<'a>(Batch<'a>);

impl<'de> DeserializeSeed<'de> for Text<'_> {
    type Value = Message;

    fn deserialize<D: Deserializer<'de>>(self, json: D) -> Result<Message, D::Error> {
        match self.0.strings {
            Strings::WellFormed => json.deserialize_str(self),
            Strings::Surrogates => json.deserialize_bytes(self),
        }
    }
}

impl<'de> Visitor<'de> for Text<'_> {
    type Value = Message;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a string")
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Message, E> {
        self.0.check_length(text)?;
        // A copy: a shared slice would keep the buffer that the request was read into alive.
        Ok(Message::from(text))
    }

    fn visit_bytes<E: serde::de::Error>(self, wtf8: &[u8]) -> Result<Message, E> {
        let text = replace_surrogates(wtf8).ok_or_else(|| E::custom("not WTF-8"))?;
        self.0.check_length(&text)?;
        Ok(Message::from(text))
    }

    // deserialize_bytes takes arrays of numbers too: `[[97]]` is not `["a"]`.
    fn visit_seq<A: SeqAccess<'de>>(self, _: A) -> Result<Message, A::Error> {
        Err(A::Error::custom("expected a string"))
    }
}

/// WTF-8 with every surrogate (ED A0–BF xx) replaced by U+FFFD.
fn replace_surrogates(wtf8: &[u8]) -> Option<String> {
    let mut text = String::with_capacity(wtf8.len());
    let mut rest = wtf8;
    loop {
        match std::str::from_utf8(rest) {
            Ok(tail) => {
                text.push_str(tail);
                return Some(text);
            }
            Err(error) => {
                let (good, bad) = rest.split_at(error.valid_up_to());
                text.push_str(std::str::from_utf8(good).ok()?);
                let [0xed, 0xa0..=0xbf, 0x80..=0xbf, tail @ ..] = bad else { return None };
                text.push(char::REPLACEMENT_CHARACTER);
                rest = tail;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { message_bytes: 1 << 20, messages: 1000 };

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
    fn lone_surrogates_are_replaced() {
        assert_eq!(texts(r#"["a\ud800b"]"#).unwrap(), ["a\u{fffd}b"]);
        assert_eq!(texts(r#"["\udc00"]"#).unwrap(), ["\u{fffd}"]);
        assert_eq!(texts(r#"["\ud800\ud800\udc00"]"#).unwrap(), ["\u{fffd}\u{10000}"]);
        assert_eq!(texts(r#"["\ud83d\ude00\ude00", "\ud800"]"#).unwrap(), ["😀\u{fffd}", "\u{fffd}"]);
        assert_eq!(texts(r#"["\ud800\u0041\ud800\n"]"#).unwrap(), ["\u{fffd}A\u{fffd}\n"]);
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
        let limits = Limits { message_bytes: 3, messages: 2 };
        let check = |payload: &str| decode(payload, limits).map(|m| m.len());
        assert_eq!(check(r#"["abc","é1"]"#), Ok(2));
        assert_eq!(check(r#"["abcd"]"#), Err(DecodeError::MessageTooLong));
        assert_eq!(check(r#"["\u0061bc\u0064"]"#), Err(DecodeError::MessageTooLong));
        assert_eq!(check(r#"["\ud800"]"#), Ok(1));
        assert_eq!(check(r#"["\ud800a"]"#), Err(DecodeError::MessageTooLong));
        assert_eq!(check(r#"["a","b","c"]"#), Err(DecodeError::TooManyMessages));
    }

    /// What a browser makes of the same UTF-16, and how it sends it.
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
        fn any_text_is_decoded_or_refused(payload in "[\\[\\]\"\\\\u0-9a-fd{}:, n]{0,40}") {
            let reference: Option<Vec<String>> = serde_json::from_str(&payload).ok();
            if let Some(reference) = reference {
                prop_assert_eq!(texts(&payload).unwrap(), reference);
            } else if let Ok(texts) = texts(&payload) {
                prop_assert!(texts.iter().any(|text| text.contains('\u{fffd}')), "{:?}", payload);
            }
        }
    }
}
