//! A search for the few bytes in a text that need work, many bytes at a time.
//!
//! Most bytes need none, and their number decides how long a message takes. So [`ByteSet`] checks whole blocks, in
//! loops that compilers turn into vector instructions on every target that has them.

/// A word of bytes, for the end of runs: its first byte of the set is found without a loop.
const WORD: usize = 8;

/// A block of bytes, for long runs.
pub(crate) const BLOCK: usize = 32;

/// A run longer than this is searched by blocks.
const WORDS_FIRST: usize = 4 * WORD;

/// The bytes that need work: all below a bound, and some others.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ByteSet<const N: usize> {
    pub(crate) below: u8,
    pub(crate) others: [u8; N],
}

impl<const N: usize> ByteSet<N> {
    fn contains(&self, byte: u8) -> bool {
        byte < self.below || self.others.contains(&byte)
    }

    /// Whether a block has a byte of the set.
    #[inline(always)]
    pub(crate) fn is_in_block(&self, block: &[u8; BLOCK]) -> bool {
        // Each of these terms is 0 for a byte of the set. Comparisons are equivalent, but compilers turn them into
        // tests and branches, byte by byte.
        let least = block.iter().fold(u8::MAX, |least, &byte| {
            let low = if self.below > 0 { byte.saturating_sub(self.below - 1) } else { u8::MAX };
            self.others.iter().fold(least.min(low), |least, &other| least.min(byte ^ other))
        });
        least == 0
    }

    /// Finds the first byte of the set in a word.
    #[inline(always)]
    fn find_in_word(&self, word: [u8; WORD]) -> Option<usize> {
        const ONES: u64 = 0x0101_0101_0101_0101;
        const HIGH: u64 = 0x8080_8080_8080_8080;
        // Sets the high bit of each byte that is less than `bound`, and possibly of others after it.
        let less = |word: u64, bound: u8| word.wrapping_sub(ONES * u64::from(bound)) & !word & HIGH;
        let word = u64::from_le_bytes(word);
        let found = self
            .others
            .iter()
            .fold(less(word, self.below), |found, &other| found | less(word ^ (ONES * u64::from(other)), 1));
        (found != 0).then_some(found.trailing_zeros() as usize / 8)
    }

    /// The number of bytes before the first byte of the set.
    #[inline]
    pub(crate) fn prefix_without(&self, bytes: &[u8]) -> usize {
        let mut at = 0;
        // Bytes of the set often come in groups, so checking a block first would be wasted.
        let near = bytes.len().min(WORDS_FIRST);
        while let Some(word) = bytes[at..near].first_chunk() {
            if let Some(found) = self.find_in_word(*word) {
                return at + found;
            }
            at += WORD;
        }
        while let Some(block) = bytes[at..].first_chunk() {
            if self.is_in_block(block) {
                break;
            }
            at += BLOCK;
        }
        while let Some(word) = bytes[at..].first_chunk() {
            if let Some(found) = self.find_in_word(*word) {
                return at + found;
            }
            at += WORD;
        }
        at + bytes[at..].iter().take_while(|&&byte| !self.contains(byte)).count()
    }

    /// Appends `text`, from the offset `at` to the next byte of the set, and returns that byte's offset.
    #[inline]
    pub(crate) fn copy_without(&self, text: &str, at: usize, out: &mut String) -> usize {
        let mut scanned = at;
        // Copying a whole word and truncating it is faster than copying a few bytes.
        if let Some(word) = text.get(at..at + WORD) {
            let found = word.as_bytes().first_chunk().and_then(|word| self.find_in_word(*word));
            if let Some(found) = found {
                let end = out.len() + found;
                out.push_str(word);
                out.truncate(end);
                return at + found;
            }
            scanned += WORD;
        }
        let end = scanned + self.prefix_without(&text.as_bytes()[scanned..]);
        out.push_str(&text[at..end]);
        end
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SET: ByteSet<3> = ByteSet { below: 0x20, others: [b'"', b'\\', 0xe2] };

    fn slowly(bytes: &[u8]) -> usize {
        bytes.iter().position(|&b| b < 0x20 || matches!(b, b'"' | b'\\' | 0xe2)).unwrap_or(bytes.len())
    }

    #[test]
    fn finds_every_byte_at_every_place() {
        for length in [0, 1, 7, 8, 9, 64, 65, 72, 80, 150] {
            let mut bytes = vec![b'x'; length];
            assert_eq!(SET.prefix_without(&bytes), length);
            for at in 0..length {
                for byte in 0..=255 {
                    bytes[at] = byte;
                    assert_eq!(SET.prefix_without(&bytes), slowly(&bytes), "{byte} at {at} of {length}");
                }
                bytes[at] = b'x';
            }
        }
    }

    proptest! {
        #[test]
        fn finds_the_first_of_several(bytes in proptest::collection::vec(
            prop_oneof![9 => 0x1e_u8..0x24, 1 => Just(0xe2), 5 => 0x59_u8..0x60, 5 => any::<u8>(), 90 => Just(b'x')], 0..200
        )) {
            prop_assert_eq!(SET.prefix_without(&bytes), slowly(&bytes));
        }

        #[test]
        fn copies_up_to_the_first(text in "[a-zé😀\u{2000}]{0,90}[\"\\\\\u{2028}]?[a-zé😀\"]{0,20}", before in "[é😀a]{0,3}") {
            let whole = format!("{before}{text}");
            let mut out = String::from("→");
            let end = SET.copy_without(&whole, before.len(), &mut out);
            prop_assert_eq!(end, before.len() + slowly(text.as_bytes()));
            prop_assert_eq!(out, format!("→{}", &whole[before.len()..end]));
        }
    }
}
