//! Patterns of destinations, as Spring has them.
//!
//! | | matches |
//! |---|---|
//! | `?` | one character, within a segment |
//! | `*` | any number of characters, none too, within a segment |
//! | `{name}` | the same as `*`, as a whole segment |
//! | `**` | any number of segments, none too, as a whole segment |
//!
//! Everything else is compared exactly.

use std::str::Chars;

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

    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Exact(_))
    }
}

/// Whether a text matches a pattern of `?` and `*`.
///
/// Only the last `*` is ever gone back to, so the time is at most the product of the lengths.
pub(super) fn matches(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern.chars(), text.chars());
    // What stands behind the last `*`, and the text that it has not taken.
    let mut star: Option<(Chars<'_>, Chars<'_>)> = None;
    loop {
        let untaken = text.clone();
        match (pattern.next(), text.next()) {
            (None, None) => return true,
            (Some('*'), _) => {
                text = untaken;
                star = Some((pattern.clone(), text.clone()));
            }
            (Some('?'), Some(_)) => {}
            (Some(expected), Some(found)) if expected == found => {}
            _ => {
                // The star takes one more, if there is one.
                let Some((behind, untaken)) = &mut star else { return false };
                if untaken.next().is_none() {
                    return false;
                }
                (pattern, text) = (behind.clone(), untaken.clone());
            }
        }
    }
}

#[cfg(test)]
mod tests {
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
        ] {
            for text in matching {
                assert!(matches(pattern, text), "{pattern} {text}");
            }
            for text in other {
                assert!(!matches(pattern, text), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn many_stars_take_no_exponential_time() {
        assert!(!matches(&"*a".repeat(500), &"a".repeat(499)));
        assert!(matches(&"*a".repeat(500), &"a".repeat(500)));
    }
}
