//! A frame.

use bytes::Bytes;

use crate::{command::Command, headers::Headers};

/// A frame: a command, headers and a body.
///
/// A frame that was read shares its memory with the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is for.
    pub command: Command,
    /// The headers, decoded.
    pub headers: Headers,
    /// The body, which is text or not.
    pub body: Bytes,
}

impl Frame {
    /// Creates a frame without headers and without a body.
    #[must_use]
    pub const fn new(command: Command) -> Self {
        Self { command, headers: Headers::new(), body: Bytes::new() }
    }

    /// Adds a header behind the others.
    #[must_use]
    pub fn header(mut self, name: impl Into<bytestring::ByteString>, value: impl Into<bytestring::ByteString>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }
}
