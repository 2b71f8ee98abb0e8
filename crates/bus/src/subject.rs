//! What a message is about.
//!
//! Imports: nothing.

use std::{fmt, sync::Arc};

/// The name of something that is published and subscribed to, or of a stream: tokens of the characters `A-Z`, `a-z`,
/// `0-9`, `-` and `_`, with dots between them, as every engine takes them.
///
/// There are no wildcards. Clones share one text.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Subject(Arc<str>);

impl Subject {
    /// The most bytes that a subject has: 512.
    pub const MAX_LEN: usize = 512;

    /// The subject with this text.
    ///
    /// # Errors
    ///
    /// If the text is empty or too long, has an empty token or another character.
    ///
    /// ```
    /// use sockjs_bus::Subject;
    ///
    /// assert!(Subject::new("shop.orders.17").is_ok());
    /// assert!(Subject::new("shop.*").is_err());
    /// assert!(Subject::new("shop..17").is_err());
    /// ```
    pub fn new(text: &str) -> Result<Self, InvalidSubject> {
        if text.len() > Self::MAX_LEN {
            return Err(InvalidSubject::TooLong { len: text.len() });
        }
        let is_token = |token: &str| {
            !token.is_empty()
                && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        if text.split('.').all(is_token) { Ok(Self(text.into())) } else { Err(InvalidSubject::Characters) }
    }

    /// Its text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Subject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Subject({})", self.0)
    }
}

/// The reason why a text is no [`Subject`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidSubject {
    /// It has more than [`Subject::MAX_LEN`] bytes.
    TooLong {
        /// How many it has.
        len: usize,
    },
    /// It has an empty token, or a character that no token has.
    Characters,
}

impl fmt::Display for InvalidSubject {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong { len } => {
                write!(f, "a subject of {len} bytes: {} are the most", Subject::MAX_LEN)
            }
            Self::Characters => {
                f.write_str("a subject is tokens of letters, digits, '-' and '_', with dots between them")
            }
        }
    }
}

impl std::error::Error for InvalidSubject {}
