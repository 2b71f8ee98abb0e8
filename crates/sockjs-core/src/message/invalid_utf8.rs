//! Bytes that are no text.

use std::{fmt, str::Utf8Error};

use bytes::Bytes;

/// Bytes that are not UTF-8, and so no text: from [`Message::from_utf8`](super::Message::from_utf8).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUtf8 {
    pub(super) bytes: Bytes,
    pub(super) error: Utf8Error,
}

impl InvalidUtf8 {
    /// Gives the bytes back.
    #[must_use]
    pub fn into_bytes(self) -> Bytes {
        self.bytes
    }

    /// Returns where the bytes are not UTF-8.
    #[must_use]
    pub fn utf8_error(&self) -> Utf8Error {
        self.error
    }
}

impl fmt::Display for InvalidUtf8 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl std::error::Error for InvalidUtf8 {}
