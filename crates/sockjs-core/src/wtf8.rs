//! Text with lone surrogates, in [WTF-8](https://simonsapin.github.io/wtf-8/).
//!
//! A string in JavaScript is any sequence of UTF-16 code units: a surrogate may stand without the other half of its
//! pair. WTF-8 is UTF-8 that holds such a lone surrogate in three bytes. A pair is always the character that it stands
//! for, in four bytes, so each sequence of code units has exactly one form, and equal texts have equal bytes.
//!
//! Text without surrogates is UTF-8, which these functions take too. They return something for any other bytes as
//! well.

/// A surrogate in WTF-8: `ED`, one byte from `A0` (the first half of a pair) or `B0` (the second) on, one more.
const LENGTH: usize = 3;

/// Replaces characters of a text by surrogates: at each offset stands a character of three bytes, and no first half of
/// a pair comes directly before a second one.
pub(crate) fn with_surrogates(text: &str, surrogates: &[(usize, u16)]) -> Vec<u8> {
    let mut wtf8 = text.as_bytes().to_vec();
    for &(at, unit) in surrogates {
        if let Some(place) = wtf8.get_mut(at..at + LENGTH) {
            place.copy_from_slice(&encode(unit));
        }
    }
    wtf8
}

/// Joins texts. Two halves that meet become the character of the pair.
pub(crate) fn concat<'a>(parts: impl IntoIterator<Item = &'a [u8]>) -> Vec<u8> {
    let mut whole = Vec::new();
    for part in parts {
        let first = whole.last_chunk().and_then(|end| surrogate(*end));
        let second = part.first_chunk().and_then(|start| surrogate(*start));
        match (first, second) {
            (Some(first @ 0xd800..0xdc00), Some(second @ 0xdc00..)) => {
                whole.truncate(whole.len() - LENGTH);
                let pair = char::decode_utf16([first, second]).flatten().next();
                let pair = pair.unwrap_or(char::REPLACEMENT_CHARACTER);
                whole.extend_from_slice(pair.encode_utf8(&mut [0; 4]).as_bytes());
                whole.extend_from_slice(&part[LENGTH..]);
            }
            _ => whole.extend_from_slice(part),
        }
    }
    whole
}

/// The text with U+FFFD for each surrogate.
pub(crate) fn to_utf8(wtf8: &[u8]) -> String {
    let mut text = String::with_capacity(wtf8.len());
    for (utf8, unit) in pieces(wtf8) {
        text.push_str(utf8);
        if unit.is_some() {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// Splits a text into UTF-8 and the surrogate after it; after the last piece there may be none.
pub(crate) fn pieces(wtf8: &[u8]) -> impl Iterator<Item = (&str, Option<u16>)> {
    let mut rest = wtf8;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Err(error) = std::str::from_utf8(rest) else {
            return Some((std::str::from_utf8(std::mem::take(&mut rest)).unwrap_or_default(), None));
        };
        let (utf8, behind) = rest.split_at(error.valid_up_to());
        let unit = behind.first_chunk().and_then(|bytes| surrogate(*bytes));
        // Bytes that are no surrogate do not occur.
        rest = behind.get(if unit.is_some() { LENGTH } else { 1 }..).unwrap_or_default();
        let unit = unit.unwrap_or(char::REPLACEMENT_CHARACTER as u16);
        Some((std::str::from_utf8(utf8).unwrap_or_default(), Some(unit)))
    })
}

fn encode(unit: u16) -> [u8; LENGTH] {
    [0xe0 | (unit >> 12) as u8, 0x80 | (unit >> 6 & 0x3f) as u8, 0x80 | (unit & 0x3f) as u8]
}

fn surrogate(bytes: [u8; LENGTH]) -> Option<u16> {
    match bytes {
        [0xed, b @ 0xa0..=0xbf, c @ 0x80..=0xbf] => {
            Some(0xd000 | u16::from(b & 0x3f) << 6 | u16::from(c & 0x3f))
        }
        _ => None,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Code units of which many are surrogates, also in pairs.
    pub(crate) fn units() -> impl Strategy<Value = Vec<u16>> {
        let unit = prop_oneof![
            2 => 0xd800_u16..0xe000,
            1 => prop_oneof![Just(0xd83d_u16), Just(0xde00)],
            2 => 0x20_u16..0x7f,
            1 => prop_oneof![Just(u16::from(b'"')), Just(0x2028), Just(0xfffd), Just(0xe9)],
            1 => any::<u16>(),
        ];
        proptest::collection::vec(unit, 0..20)
    }

    /// WTF-8 by its definition.
    pub(crate) fn encoded(units: &[u16]) -> Vec<u8> {
        let mut wtf8 = Vec::new();
        for char in char::decode_utf16(units.iter().copied()) {
            match char {
                Ok(char) => wtf8.extend_from_slice(char.encode_utf8(&mut [0; 4]).as_bytes()),
                Err(lone) => wtf8.extend_from_slice(&encode(lone.unpaired_surrogate())),
            }
        }
        wtf8
    }

    /// The code units of a text.
    fn decoded(wtf8: &[u8]) -> Vec<u16> {
        pieces(wtf8).flat_map(|(utf8, unit)| utf8.encode_utf16().chain(unit).collect::<Vec<_>>()).collect()
    }

    #[test]
    fn surrogates_take_three_bytes() {
        assert_eq!(encoded(&[0xd800]), [0xed, 0xa0, 0x80]);
        assert_eq!(encoded(&[0xdbff]), [0xed, 0xaf, 0xbf]);
        assert_eq!(encoded(&[0xdc00]), [0xed, 0xb0, 0x80]);
        assert_eq!(encoded(&[0xdfff]), [0xed, 0xbf, 0xbf]);
        assert_eq!(
            with_surrogates("a\u{fffd}b\u{fffd}", &[(1, 0xd800), (5, 0xd801)]),
            encoded(&[0x61, 0xd800, 0x62, 0xd801])
        );
        for unit in 0..=u16::MAX {
            let is_surrogate = matches!(unit, 0xd800..0xe000);
            assert_eq!(
                encoded(&[unit]).first_chunk().and_then(|bytes| surrogate(*bytes)),
                is_surrogate.then_some(unit)
            );
        }
    }

    #[test]
    fn halves_that_meet_become_a_character() {
        let [first, second] = [&encoded(&[0xd83d])[..], &encoded(&[0xde00])];
        assert_eq!(concat([first, second]), "😀".as_bytes());
        assert_eq!(concat([first, &[], second, second]), encoded(&[0xd83d, 0xde00, 0xde00]));
        assert_eq!(concat([second, first]), encoded(&[0xde00, 0xd83d]));
    }

    proptest! {
        #[test]
        fn every_sequence_of_code_units_has_a_form(units in units()) {
            let wtf8 = encoded(&units);
            prop_assert_eq!(decoded(&wtf8), &units[..]);
            prop_assert_eq!(to_utf8(&wtf8), String::from_utf16_lossy(&units));
        }

        #[test]
        fn joining_forms_is_joining_code_units(parts in proptest::collection::vec(units(), 0..5)) {
            let forms: Vec<_> = parts.iter().map(|units| encoded(units)).collect();
            prop_assert_eq!(concat(forms.iter().map(Vec::as_slice)), encoded(&parts.concat()));
        }

        #[test]
        fn any_bytes_are_something(bytes: Vec<u8>, more: Vec<u8>, surrogates: Vec<(usize, u16)>, text: String) {
            prop_assert_eq!(to_utf8(&bytes).is_empty(), bytes.is_empty());
            prop_assert!(concat([&bytes[..], &more]).len() <= bytes.len() + more.len());
            let surrogates: Vec<_> = surrogates.into_iter().map(|(at, unit)| (at >> 1, unit)).collect();
            with_surrogates(&text, &surrogates);
        }
    }
}
