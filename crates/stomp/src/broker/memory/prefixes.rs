//! Which destinations are topics, and which are queues.

/// What a destination is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Topic,
    Queue,
}

/// The prefixes of destinations.
#[derive(Debug, Clone)]
pub(super) struct Prefixes {
    pub(super) separator: char,
    pub(super) topics: Vec<String>,
    pub(super) queues: Vec<String>,
}

impl Prefixes {
    /// What a destination, or a pattern, is by its prefix; `None` if it has none of these.
    ///
    /// A prefix has no wildcards and is compared character by character, so a pattern that begins with it matches
    /// nothing that does not.
    pub(super) fn kind(&self, destination: &str) -> Option<Kind> {
        let is_under = |prefix: &String| self.is_under(destination, prefix);
        if self.topics.iter().any(is_under) {
            Some(Kind::Topic)
        } else if self.queues.iter().any(is_under) {
            Some(Kind::Queue)
        } else {
            None
        }
    }

    fn is_under(&self, destination: &str, prefix: &str) -> bool {
        destination
            .strip_prefix(prefix)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with(['/', self.separator]))
    }

    /// # Panics
    /// If a prefix cannot be used.
    pub(super) fn validate(&self) {
        assert!(
            matches!(self.separator, '/' | '.'),
            "the separator {:?} is neither '/' nor '.'",
            self.separator
        );
        let all: Vec<_> = self.topics.iter().chain(&self.queues).collect();
        for (at, prefix) in all.iter().enumerate() {
            assert!(!prefix.is_empty(), "a prefix is empty");
            assert!(!prefix.ends_with(['/', self.separator]), "the prefix {prefix:?} ends with a separator");
            assert!(!prefix.contains(['?', '*', '{', '}']), "the prefix {prefix:?} has a wildcard");
            for other in &all[..at] {
                assert!(
                    !self.is_under(prefix, other) && !self.is_under(other, prefix),
                    "the prefixes {other:?} and {prefix:?} overlap"
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::panic::catch_unwind;

    use super::*;

    fn prefixes(topics: &[&str], queues: &[&str]) -> Prefixes {
        let owned = |all: &[&str]| all.iter().map(ToString::to_string).collect();
        Prefixes { separator: '/', topics: owned(topics), queues: owned(queues) }
    }

    #[test]
    fn no_pattern_reaches_out_of_its_prefix() {
        let prefixes = prefixes(&["/topic", "/a/b"], &["/queue"]);
        for destination in
            ["/topic", "/topic/", "/topic/a", "/topic/**", "/topic/{x}/?", "/a/b", "/a/b/c", "/topic//"]
        {
            assert_eq!(prefixes.kind(destination), Some(Kind::Topic), "{destination}");
        }
        for destination in ["/queue", "/queue/a", "/queue/*"] {
            assert_eq!(prefixes.kind(destination), Some(Kind::Queue), "{destination}");
        }
        for destination in [
            "",
            "/",
            "topic/a",
            "/topicX",
            "/topic.a",
            "/Topic/a",
            "//topic/a",
            "/**",
            "/{x}/a",
            "/to?ic/a",
            "/*/a",
            "/a",
            "/a/*",
            "/a/bc",
            "/topi",
            "/topic*",
            "/queue?",
            "**",
            "/user/queue/a",
            " /topic/a",
        ] {
            assert_eq!(prefixes.kind(destination), None, "{destination}");
        }
    }

    #[test]
    fn with_dots_a_prefix_ends_at_a_slash_or_a_dot() {
        let prefixes = Prefixes { separator: '.', ..prefixes(&["/topic"], &[]) };
        for (destination, expected) in [("/topic/a.b", true), ("/topic.a", true), ("/topicX.a", false)] {
            assert_eq!(prefixes.kind(destination).is_some(), expected, "{destination}");
        }
    }

    #[test]
    fn prefixes_that_cannot_be_used_are_found_at_the_start() {
        for (topics, queues) in [(&["/topic", "/topics", "/a/b"][..], &["/queue", "/a/c"][..]), (&[], &[])] {
            prefixes(topics, queues).validate();
        }
        for (topics, queues) in [
            (&[""][..], &[][..]),
            (&["/"], &[]),
            (&["/topic/"], &[]),
            (&["/topic"], &["/topic"]),
            (&["/topic", "/topic"], &[]),
            (&["/a"], &["/a/b"]),
            (&["/a/b"], &["/a"]),
            (&["/a*"], &[]),
            (&["/{a}"], &[]),
        ] {
            let prefixes = prefixes(topics, queues);
            assert!(catch_unwind(|| prefixes.validate()).is_err(), "{topics:?} {queues:?}");
        }
    }
}
