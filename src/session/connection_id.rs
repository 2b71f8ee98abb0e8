//! The id of a connection.

use std::{fmt, str::FromStr};

use uuid::Uuid;

use crate::util::random;

/// The id of a connection: 122 random bits, made by the server. It is written as a version 4 UUID ([RFC
/// 9562](https://www.rfc-editor.org/rfc/rfc9562)): `67e55044-10b1-426f-9247-bb680e5fe0c8`.
///
/// It is not the session id of the protocol, which lets its holder read and send and which an application never sees. A
/// connection id gives access to nothing: it is safe in logs and messages.
///
/// ```
/// use axum_sockjs::ConnectionId;
///
/// let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
/// let id: ConnectionId = text.parse().unwrap();
/// assert_eq!(id.to_string(), text);
/// assert_eq!(ConnectionId::from_u128(id.as_u128()), id);
/// assert!("67e55044".parse::<ConnectionId>().is_err());
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ConnectionId(Uuid);

impl ConnectionId {
    pub(crate) fn random() -> Self {
        Self(random::uuid())
    }

    /// Returns the id as a number.
    #[must_use]
    pub fn as_u128(self) -> u128 {
        self.0.as_u128()
    }

    /// Creates the id from its number, for instance from one that was stored.
    #[must_use]
    pub fn from_u128(id: u128) -> Self {
        Self(Uuid::from_u128(id))
    }
}

impl fmt::Display for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl fmt::Debug for ConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for ConnectionId {
    type Err = InvalidConnectionId;

    /// Parses the form that [`Display`](fmt::Display) writes, in upper or lower case.
    fn from_str(text: &str) -> Result<Self, InvalidConnectionId> {
        // The other notations of a UUID, without hyphens or in braces, are no ids.
        let is_hyphenated = text.len() == 36;
        Uuid::try_parse(text).ok().filter(|_| is_hyphenated).map(Self).ok_or(InvalidConnectionId(()))
    }
}

/// The error of parsing a [`ConnectionId`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidConnectionId(());

impl fmt::Display for InvalidConnectionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a connection id is a UUID with hyphens")
    }
}

impl std::error::Error for InvalidConnectionId {}
