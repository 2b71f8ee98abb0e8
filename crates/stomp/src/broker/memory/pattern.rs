//! Patterns of destinations, as Spring has them.
//!
//! | | matches |
//! |---|---|
//! | `?` | one character, within a segment |
//! | `*` | any number of characters, none too, within a segment |
//! | `{name}` | the same as `*`, as a whole segment |
//! | `**` | any number of segments, none too, as a whole segment |
//!
//! Everything else is compared exactly. A `?` between two `*` of a segment is refused, since looking for it takes long.

/// A segment of a pattern.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Segment {
    Exact(Box<str>),
    /// With `?` or `*`.
    Glob(Box<str>),
    /// `**`.
    Any,
}

impl Segment {
    pub(super) fn new(text: &str) -> Self {
        match text {
            "**" => Self::Any,
            _ if text.starts_with('{') && text.ends_with('}') => Self::Glob("*".into()),
            _ if text.contains(['?', '*']) => Self::Glob(text.into()),
            _ => Self::Exact(text.into()),
        }
    }

    /// Whether this has a `?` between two `*`: to find it may take the product of the lengths.
    pub(super) fn is_costly(&self) -> bool {
        let Self::Glob(glob) = self else { return false };
        let between = glob.split_once('*').and_then(|(_, rest)| rest.rsplit_once('*'));
        between.is_some_and(|(between, _)| between.contains('?'))
    }

    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }
}

/// Whether a text matches a pattern of `?` and `*`.
///
/// The time is at most the sum of the lengths, unless the pattern [is costly](Segment::is_costly).
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let Some((first, rest)) = pattern.split_once('*') else {
        return strip_start(text, pattern).is_some_and(str::is_empty);
    };
    let (between, last) = rest.rsplit_once('*').unwrap_or(("", rest));
    let Some(text) = strip_start(text, first) else { return false };
    let Some(mut text) = strip_end(text, last) else { return false };
    // Each piece may as well stand where it is found first, which leaves most to the next one.
    for piece in between.split('*') {
        let Some(behind) = strip_through(text, piece) else { return false };
        text = behind;
    }
    true
}

fn is_same(expected: char, found: char) -> bool {
    expected == '?' || expected == found
}

/// What stands behind a piece without `*` at the start of a text.
fn strip_start<'a>(text: &'a str, piece: &str) -> Option<&'a str> {
    let mut text = text.chars();
    piece
        .chars()
        .all(|expected| text.next().is_some_and(|found| is_same(expected, found)))
        .then_some(text.as_str())
}

/// What stands in front of a piece without `*` at the end of a text.
fn strip_end<'a>(text: &'a str, piece: &str) -> Option<&'a str> {
    let mut text = text.chars();
    let mut piece = piece.chars().rev();
    piece
        .all(|expected| text.next_back().is_some_and(|found| is_same(expected, found)))
        .then_some(text.as_str())
}

/// What stands behind the first place of a piece without `*` in a text.
fn strip_through<'a>(text: &'a str, piece: &str) -> Option<&'a str> {
    if piece.contains('?') {
        return text.char_indices().find_map(|(at, _)| strip_start(&text[at..], piece));
    }
    text.split_once(piece).map(|(_, behind)| behind)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn globs_match_within_a_segment() {
        for (pattern, matching, other) in [
            ("?", &["a", "é"][..], &["", "ab"][..]),
            ("*", &["", "a", "ab"], &[]),
            ("a*", &["a", "ab"], &["", "ba"]),
            ("*b*c", &["bc", "abxc", "bbcc"], &["b", "bcd"]),
            ("a?c*", &["abc", "abcd"], &["ac", "abd"]),
            ("**", &["", "ab"], &[]),
            ("a**b", &["ab", "axb"], &["a", "b"]),
            ("a*a", &["aa", "aba"], &["a", "ab"]),
            ("*?é?*", &["aéb", "ééé"], &["é", "éa", "aé"]),
        ] {
            for text in matching {
                assert!(matches(pattern, text), "{pattern} {text}");
            }
            for text in other {
                assert!(!matches(pattern, text), "{pattern} {text}");
            }
        }
    }

    /// The simple way.
    fn is_match(pattern: &[char], text: &[char]) -> bool {
        match (pattern, text) {
            ([], _) => text.is_empty(),
            (['*', rest @ ..], _) => (0..=text.len()).any(|taken| is_match(rest, &text[taken..])),
            ([expected, rest @ ..], [found, behind @ ..]) => {
                is_same(*expected, *found) && is_match(rest, behind)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn matches_what_the_simple_way_matches(pattern in "[ab?é*]{0,8}", text in "[abé]{0,10}") {
            let chars = |text: &str| text.chars().collect::<Vec<_>>();
            prop_assert_eq!(matches(&pattern, &text), is_match(&chars(&pattern), &chars(&text)));
        }
    }

    #[test]
    fn only_a_whole_segment_is_a_name() {
        assert_eq!(Segment::new("{a}"), Segment::Glob("*".into()));
        for text in ["{a", "a}", "a{b}", "{a}b", "{", "}", "a"] {
            assert!(Segment::new(text).is_exact(), "{text}");
        }
    }

    #[test]
    fn a_pattern_is_costly_when_it_has_to_be_tried_everywhere() {
        for (glob, expected) in
            [("*a?b*", true), ("*a*?*", true), ("?*a*?", false), ("*?", false), ("a?", false)]
        {
            assert_eq!(Segment::new(glob).is_costly(), expected, "{glob}");
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert!(matches(&"*a".repeat(500), &"a".repeat(500)));
    }
}
