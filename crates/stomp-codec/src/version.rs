//! Versions of the protocol.

use std::fmt;

/// A version of the protocol.
///
/// Versions are ordered by age: `Version::V1_0 < Version::V1_2`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Version {
    /// 1.0: headers have no escapes, and their values may be padded with spaces.
    V1_0,
    /// 1.1: escapes for colon, backslash and line feed; `NACK`, heart-beats and `client-individual`.
    V1_1,
    /// 1.2: an escape for the carriage return; `ACK` names a message by its `ack` header.
    V1_2,
}

impl Version {
    /// All versions, the oldest first.
    pub const ALL: [Self; 3] = [Self::V1_0, Self::V1_1, Self::V1_2];

    /// The version as in `accept-version`: `1.0`, `1.1` or `1.2`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::V1_0 => "1.0",
            Self::V1_1 => "1.1",
            Self::V1_2 => "1.2",
        }
    }

    /// The sub-protocol of RFC 6455 with which a client offers this version: `v10.stomp`, `v11.stomp` or `v12.stomp`.
    #[must_use]
    pub fn subprotocol(self) -> &'static str {
        match self {
            Self::V1_0 => "v10.stomp",
            Self::V1_1 => "v11.stomp",
            Self::V1_2 => "v12.stomp",
        }
    }

    /// Returns the newest version that an `accept-version` header names, if this crate knows one of them.
    ///
    /// Spaces round the commas are ignored. A client that sends no such header speaks 1.0.
    ///
    /// ```
    /// use stomp_codec::Version;
    ///
    /// assert_eq!(Version::newest("1.0, 1.2,7.0"), Some(Version::V1_2));
    /// assert_eq!(Version::newest("2.0"), None);
    /// ```
    #[must_use]
    pub fn newest(accept_version: &str) -> Option<Self> {
        let known = |name: &str| Self::ALL.into_iter().find(|version| version.as_str() == name.trim());
        accept_version.split(',').filter_map(known).max()
    }
}

impl fmt::Display for Version {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_newest_in_common_is_found_in_any_order() {
        for (accepted, expected) in [
            ("1.0", Some(Version::V1_0)),
            ("1.2,1.1,1.0", Some(Version::V1_2)),
            ("1.0,1.1,2.0", Some(Version::V1_1)),
            (" 1.1 , 1.0 ", Some(Version::V1_1)),
            ("1.1,1.1,", Some(Version::V1_1)),
            ("2.0", None),
            ("", None),
            ("1.2.3", None),
            ("1.2;1.1", None),
        ] {
            assert_eq!(Version::newest(accepted), expected, "{accepted:?}");
        }
    }

    #[test]
    fn versions_have_names_and_subprotocols() {
        assert_eq!(Version::ALL.map(Version::as_str), ["1.0", "1.1", "1.2"]);
        assert_eq!(Version::ALL.map(Version::subprotocol), ["v10.stomp", "v11.stomp", "v12.stomp"]);
        assert!(Version::ALL.is_sorted());
    }
}
