//! Headers of frames.

use std::fmt;

use bytestring::ByteString;

/// The headers of a frame, decoded, in their order.
///
/// A name may be repeated: the first one counts (STOMP 1.2, "Repeated Header Entries").
///
/// `Debug` does not show the value of a `passcode`.
///
/// ```
/// use stomp_codec::Headers;
///
/// let headers = Headers::from_iter([("foo", "first"), ("foo", "second")]);
/// assert_eq!(headers.get("foo"), Some("first"));
/// assert_eq!(headers.iter().count(), 2);
/// ```
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Headers(Vec<(ByteString, ByteString)>);

impl Headers {
    /// No headers.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// No headers, with memory for some.
    pub(crate) fn with_capacity(headers: usize) -> Self {
        Self(Vec::with_capacity(headers))
    }

    /// Returns the value of the first header with this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.get_shared(name).map(|value| &**value)
    }

    /// Returns the value of the first header with this name, to be cloned without a copy.
    #[must_use]
    pub fn get_shared(&self, name: &str) -> Option<&ByteString> {
        self.0.iter().find(|(each, _)| *each == name).map(|(_, value)| value)
    }

    /// Whether there is a header with this name.
    #[must_use]
    pub fn contains(&self, name: &str) -> bool {
        self.get(name).is_some()
    }

    /// Adds a header behind the others, also if there is one with this name.
    pub fn append(&mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) {
        self.0.push((name.into(), value.into()));
    }

    /// Sets a header: all others with this name are removed.
    pub fn insert(&mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) {
        let name = name.into();
        self.remove(&name);
        self.0.push((name, value.into()));
    }

    /// Removes all headers with this name, and returns the value of the first.
    pub fn remove(&mut self, name: &str) -> Option<ByteString> {
        let at = self.0.iter().position(|(each, _)| *each == name)?;
        let (_, first) = self.0.remove(at);
        self.0.retain(|(each, _)| *each != name);
        Some(first)
    }

    /// Keeps the headers for which `keep` returns `true`.
    pub fn retain(&mut self, mut keep: impl FnMut(&str, &str) -> bool) {
        self.0.retain(|(name, value)| keep(name, value));
    }

    /// Takes the spaces off both ends of the values.
    pub(crate) fn trim_values(&mut self) {
        for (_, value) in &mut self.0 {
            if value.starts_with(' ') || value.ends_with(' ') {
                *value = value.slice_ref(value.trim_matches(' '));
            }
        }
    }

    /// Returns all headers in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, &**value))
    }

    /// Returns all headers in their order, to be cloned without a copy.
    pub fn iter_shared(&self) -> impl ExactSizeIterator<Item = (&ByteString, &ByteString)> {
        self.0.iter().map(|(name, value)| (name, value))
    }

    /// The number of headers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are no headers.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Debug for Headers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let shown =
            self.iter().map(|(name, value)| (name, if name == "passcode" { "[redacted]" } else { value }));
        f.debug_map().entries(shown).finish()
    }
}

impl<N: Into<ByteString>, V: Into<ByteString>> FromIterator<(N, V)> for Headers {
    fn from_iter<I: IntoIterator<Item = (N, V)>>(headers: I) -> Self {
        Self(headers.into_iter().map(|(name, value)| (name.into(), value.into())).collect())
    }
}

impl<N: Into<ByteString>, V: Into<ByteString>> Extend<(N, V)> for Headers {
    fn extend<I: IntoIterator<Item = (N, V)>>(&mut self, headers: I) {
        self.0.extend(headers.into_iter().map(|(name, value)| (name.into(), value.into())));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_header_replaces_all_of_its_name() {
        let mut headers = Headers::from_iter([("a", "1"), ("b", "2"), ("a", "3")]);
        headers.insert("a", "4");
        assert_eq!(headers, Headers::from_iter([("b", "2"), ("a", "4")]));
        headers.extend([("b", "5")]);
        assert_eq!(headers.remove("b").as_deref(), Some("2"));
        assert_eq!((headers.len(), headers.contains("b"), headers.is_empty()), (1, false, false));
        headers.retain(|name, _| name != "a");
        assert!(headers.is_empty());
    }

    #[test]
    fn names_are_case_sensitive() {
        let headers = Headers::from_iter([("Destination", "/a")]);
        assert_eq!(headers.get("destination"), None);
    }
}
