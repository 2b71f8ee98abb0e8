//! Why bytes are no frame.

use std::fmt;

use bytestring::ByteString;

use crate::limits::Limit;

/// Why bytes are no frame.
///
/// Its text names what is wrong and never repeats what was read, so it may be sent to whoever sent the bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DecodeError {
    kind: DecodeErrorKind,
    receipt: Option<ByteString>,
}

impl DecodeError {
    pub(crate) fn new(kind: DecodeErrorKind, receipt: Option<ByteString>) -> Self {
        Self { kind, receipt }
    }

    /// What is wrong.
    #[must_use]
    pub fn kind(&self) -> DecodeErrorKind {
        self.kind
    }

    /// The value of the frame's `receipt` header, if it has one and has come so far: an `ERROR` frame repeats it as
    /// `receipt-id`.
    #[must_use]
    pub fn receipt(&self) -> Option<&ByteString> {
        self.receipt.as_ref()
    }
}

impl fmt::Display for DecodeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.kind.fmt(f)
    }
}

impl std::error::Error for DecodeError {}

/// What is wrong with a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum DecodeErrorKind {
    /// The first line is none of the commands that the other side may send in this version.
    UnknownCommand,
    /// A header line has no colon.
    MissingColon,
    /// A header has no name.
    EmptyName,
    /// The command or the headers are not UTF-8.
    InvalidUtf8,
    /// A NUL stands before the blank line that ends the headers.
    NulInHead,
    /// A carriage return is not followed by a line feed.
    CarriageReturn,
    /// A backslash is not followed by what may be escaped in this version.
    UndefinedEscape,
    /// `content-length` is not a number of octets.
    InvalidContentLength,
    /// There is no NUL behind as many octets as `content-length` says.
    MissingNul,
    /// A frame that may not have a body has one.
    UnexpectedBody,
    /// The frame is longer than allowed.
    LimitExceeded(Limit),
}

impl fmt::Display for DecodeErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::UnknownCommand => "unknown command",
            Self::MissingColon => "a header line has no colon",
            Self::EmptyName => "a header has no name",
            Self::InvalidUtf8 => "the headers are not UTF-8",
            Self::NulInHead => "a NUL stands among the headers",
            Self::CarriageReturn => "a carriage return is not followed by a line feed",
            Self::UndefinedEscape => "a header has an undefined escape sequence",
            Self::InvalidContentLength => "content-length is not a number of octets",
            Self::MissingNul => "no NUL follows as many octets as content-length says",
            Self::UnexpectedBody => "this command has no body",
            Self::LimitExceeded(limit) => return write!(f, "the frame exceeds {limit}"),
        })
    }
}
