//! Which patterns match a destination.

use std::{
    collections::{HashMap, HashSet},
    ptr,
};

use super::pattern::{Segment, matches};

/// Values by patterns.
#[derive(Debug)]
pub(super) struct Trie<T> {
    root: Node<T>,
}

#[derive(Debug)]
struct Node<T> {
    exact: HashMap<Box<str>, Self>,
    globs: Vec<(Box<str>, Self)>,
    /// Behind `**`.
    any: Option<Box<Self>>,
    /// Whether this stands behind `**`, and so stays where it is with each segment.
    is_any: bool,
    value: Option<T>,
}

impl<T> Default for Trie<T> {
    fn default() -> Self {
        Self { root: Node::new(false) }
    }
}

impl<T> Trie<T> {
    /// Returns the value of a pattern, or what `new` makes.
    pub(super) fn get_or_insert_with(&mut self, pattern: &[Segment], new: impl FnOnce() -> T) -> &mut T {
        let node = pattern.iter().fold(&mut self.root, Node::child);
        node.value.get_or_insert_with(new)
    }

    /// The value of a pattern.
    pub(super) fn get(&self, pattern: &[Segment]) -> Option<&T> {
        pattern.iter().try_fold(&self.root, Node::get)?.value.as_ref()
    }

    /// Removes the value of a pattern if `is_unused` says so.
    pub(super) fn remove_if(&mut self, pattern: &[Segment], is_unused: impl FnOnce(&T) -> bool) {
        self.root.remove_if(pattern, is_unused);
    }

    /// Whether there is no value.
    pub(super) fn is_empty(&self) -> bool {
        self.root.is_empty()
    }

    /// Calls `found` with the value of each pattern that matches these segments.
    ///
    /// All patterns are followed at the same time, a segment after the other, so the time is at most the number of nodes
    /// of the tree for each segment, and no pattern makes it exponential.
    pub(super) fn matching<'a>(&'a self, segments: &[&str], mut found: impl FnMut(&'a T)) {
        if self.is_empty() {
            return;
        }
        let mut nodes = Nodes::default();
        self.root.enter(&mut nodes);
        for segment in segments {
            let mut next = Nodes::default();
            for node in nodes.all {
                if node.is_any {
                    node.enter(&mut next);
                }
                if let Some(child) = node.exact.get(*segment) {
                    child.enter(&mut next);
                }
                for (glob, child) in &node.globs {
                    if matches(glob, segment) {
                        child.enter(&mut next);
                    }
                }
            }
            nodes = next;
        }
        nodes.all.iter().filter_map(|node| node.value.as_ref()).for_each(&mut found);
    }
}

impl<T> Node<T> {
    fn new(is_any: bool) -> Self {
        Self { exact: HashMap::new(), globs: Vec::new(), any: None, is_any, value: None }
    }

    fn is_empty(&self) -> bool {
        self.value.is_none() && self.exact.is_empty() && self.globs.is_empty() && self.any.is_none()
    }

    fn get(&self, segment: &Segment) -> Option<&Self> {
        match segment {
            Segment::Exact(text) => self.exact.get(text),
            Segment::Glob(glob) => self.globs.iter().find(|(each, _)| each == glob).map(|(_, child)| child),
            Segment::Any if self.is_any => Some(self),
            Segment::Any => self.any.as_deref(),
        }
    }

    fn child(&mut self, segment: &Segment) -> &mut Self {
        match segment {
            Segment::Exact(text) => self.exact.entry(text.clone()).or_insert_with(|| Self::new(false)),
            Segment::Glob(glob) => {
                let at = self.globs.iter().position(|(each, _)| each == glob).unwrap_or_else(|| {
                    self.globs.push((glob.clone(), Self::new(false)));
                    self.globs.len() - 1
                });
                &mut self.globs[at].1
            }
            // Several in a row are the same as one.
            Segment::Any if self.is_any => self,
            Segment::Any => self.any.get_or_insert_with(|| Box::new(Self::new(true))),
        }
    }

    fn remove_if(&mut self, pattern: &[Segment], is_unused: impl FnOnce(&T) -> bool) {
        let Some((segment, rest)) = pattern.split_first() else {
            if self.value.as_ref().is_some_and(is_unused) {
                self.value = None;
            }
            return;
        };
        match segment {
            Segment::Exact(text) => {
                let Some(child) = self.exact.get_mut(text) else { return };
                child.remove_if(rest, is_unused);
                if child.is_empty() {
                    self.exact.remove(text);
                }
            }
            Segment::Glob(glob) => {
                let Some(at) = self.globs.iter().position(|(each, _)| each == glob) else { return };
                self.globs[at].1.remove_if(rest, is_unused);
                if self.globs[at].1.is_empty() {
                    self.globs.swap_remove(at);
                }
            }
            Segment::Any if self.is_any => self.remove_if(rest, is_unused),
            Segment::Any => {
                let Some(child) = &mut self.any else { return };
                child.remove_if(rest, is_unused);
                if child.is_empty() {
                    self.any = None;
                }
            }
        }
    }

    /// Adds this node, and what is reached from it without a segment.
    fn enter<'a>(&'a self, nodes: &mut Nodes<'a, T>) {
        // Only what stands behind `**` can be reached in two ways.
        if self.is_any && !nodes.any.insert(ptr::from_ref(self)) {
            return;
        }
        nodes.all.push(self);
        if let Some(any) = &self.any {
            any.enter(nodes);
        }
    }
}

/// Where the patterns that match so far go on.
struct Nodes<'a, T> {
    all: Vec<&'a Node<T>>,
    any: HashSet<*const Node<T>>,
}

impl<T> Default for Nodes<'_, T> {
    fn default() -> Self {
        Self { all: Vec::new(), any: HashSet::new() }
    }
}

#[cfg(test)]
mod tests {
    use proptest::{collection::vec, prelude::*};

    use super::*;

    fn segments(pattern: &str) -> Vec<Segment> {
        pattern.split('/').map(Segment::new).collect()
    }

    fn trie(patterns: &[&'static str]) -> Trie<&'static str> {
        let mut trie = Trie::default();
        for pattern in patterns {
            trie.get_or_insert_with(&segments(pattern), || *pattern);
        }
        trie
    }

    fn found<'a>(trie: &'a Trie<&'static str>, destination: &str) -> Vec<&'a str> {
        let mut found = Vec::new();
        trie.matching(&destination.split('/').collect::<Vec<_>>(), |pattern| found.push(*pattern));
        found.sort_unstable();
        found
    }

    #[test]
    fn patterns_match_as_in_spring() {
        let all = [
            "/topic/**",
            "/topic/a/**",
            "/topic/*",
            "/topic/a/*",
            "/topic/?",
            "/topic/{room}/b",
            "/**/b",
            "/**",
        ];
        let trie = trie(&all);
        for (destination, expected) in [
            ("/topic", &["/**", "/topic/**"][..]),
            ("/topic/a", &["/**", "/topic/**", "/topic/*", "/topic/?", "/topic/a/**"]),
            ("/topic/a/b", &["/**", "/**/b", "/topic/**", "/topic/a/*", "/topic/a/**", "/topic/{room}/b"]),
            ("/queue/a/b/b", &["/**", "/**/b"]),
            ("topic/a", &[]),
        ] {
            let mut expected = expected.to_vec();
            expected.sort_unstable();
            assert_eq!(found(&trie, destination), expected, "{destination}");
        }
    }

    /// The simple way: by every way to share the segments out.
    fn is_match(pattern: &[Segment], destination: &[&str]) -> bool {
        match (pattern.split_first(), destination.split_first()) {
            (None, None) => true,
            (Some((Segment::Any, rest)), more) => {
                is_match(rest, destination) || more.is_some_and(|(_, behind)| is_match(pattern, behind))
            }
            (Some((Segment::Exact(text), rest)), Some((first, behind))) => {
                **text == **first && is_match(rest, behind)
            }
            (Some((Segment::Glob(glob), rest)), Some((first, behind))) => {
                matches(glob, first) && is_match(rest, behind)
            }
            _ => false,
        }
    }

    proptest! {
        #[test]
        fn finds_what_the_simple_way_finds(
            patterns in vec("(a|b|ab|\\*|\\?|a\\*|\\*\\*|\\{x\\}){1}(/(a|b|\\*|\\?|\\*\\*)){0,4}", 1..8),
            destination in "(a|b|ab)(/(a|b|ab)){0,5}",
        ) {
            let mut trie = Trie::default();
            for pattern in &patterns {
                trie.get_or_insert_with(&segments(pattern), || segments(pattern));
            }
            let parts: Vec<_> = destination.split('/').collect();
            let mut found = Vec::new();
            trie.matching(&parts, |pattern: &Vec<Segment>| found.push(format!("{pattern:?}")));
            found.sort();
            let mut expected: Vec<_> = patterns
                .iter()
                .map(|pattern| segments(pattern))
                .filter(|pattern| is_match(pattern, &parts))
                .map(|mut pattern| {
                    // The tree keeps the first of those that mean the same.
                    let mut before = None;
                    pattern.retain(|segment| before.replace(segment.clone()) != Some(Segment::Any) || *segment != Segment::Any);
                    format!("{pattern:?}")
                })
                .collect();
            expected.sort();
            expected.dedup();
            let simplified = found.iter().map(|each| {
                let mut text = each.clone();
                while text.contains("Any, Any") {
                    text = text.replace("Any, Any", "Any");
                }
                text
            });
            let mut simplified: Vec<_> = simplified.collect();
            simplified.sort();
            prop_assert_eq!(simplified, expected);
            for pattern in &patterns {
                trie.remove_if(&segments(pattern), |_| true);
            }
            prop_assert!(trie.is_empty());
        }
    }

    #[test]
    fn what_is_used_stays() {
        let mut trie = trie(&["/a/*", "/a/**/b"]);
        trie.remove_if(&segments("/a/*"), |_| false);
        trie.remove_if(&segments("/a/x"), |_| true);
        trie.remove_if(&segments("/a/**"), |_| true);
        assert_eq!(found(&trie, "/a/b"), ["/a/*", "/a/**/b"]);
        assert_eq!(trie.get(&segments("/a/**/**/b")), Some(&"/a/**/b"));
        assert_eq!(trie.get(&segments("/a/{x}")), Some(&"/a/*"));
        for pattern in ["/a/**", "/a", "/a/?", "/a/b"] {
            assert_eq!(trie.get(&segments(pattern)), None, "{pattern}");
        }
    }
}
