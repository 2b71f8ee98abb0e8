//! Limits of what is read.

use std::fmt;

/// How much a [`Decoder`](crate::Decoder) reads of a frame before it refuses it.
///
/// All sizes are in octets as on the wire. What exceeds a limit is refused before it is kept.
///
/// ```
/// use stomp_codec::Limits;
///
/// let limits = Limits::new().max_body_bytes(1 << 20).max_headers(16);
/// # let _ = limits;
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    pub(crate) headers: usize,
    pub(crate) line: usize,
    pub(crate) head: usize,
    pub(crate) body: usize,
    pub(crate) connect: usize,
}

impl Limits {
    /// The defaults.
    ///
    /// | setting | default |
    /// |---|---|
    /// | [`max_headers`](Self::max_headers) | 64 |
    /// | [`max_line_bytes`](Self::max_line_bytes) | 8 KiB |
    /// | [`max_head_bytes`](Self::max_head_bytes) | 64 KiB |
    /// | [`max_body_bytes`](Self::max_body_bytes) | 64 KiB |
    /// | [`max_connect_bytes`](Self::max_connect_bytes) | 16 KiB |
    #[must_use]
    pub const fn new() -> Self {
        Self { headers: 64, line: 8 << 10, head: 64 << 10, body: 64 << 10, connect: 16 << 10 }
    }

    /// How many header lines a frame may have.
    #[must_use]
    pub const fn max_headers(mut self, lines: usize) -> Self {
        self.headers = lines;
        self
    }

    /// How long a header line may be, without its end.
    #[must_use]
    pub const fn max_line_bytes(mut self, bytes: usize) -> Self {
        self.line = bytes;
        self
    }

    /// How long the command and the headers may be together, with the ends of their lines.
    #[must_use]
    pub const fn max_head_bytes(mut self, bytes: usize) -> Self {
        self.head = bytes;
        self
    }

    /// How long a body may be.
    #[must_use]
    pub const fn max_body_bytes(mut self, bytes: usize) -> Self {
        self.body = bytes;
        self
    }

    /// How much is read in all before a version is agreed: see [`Decoder::set_version`](crate::Decoder::set_version).
    #[must_use]
    pub const fn max_connect_bytes(mut self, bytes: usize) -> Self {
        self.connect = bytes;
        self
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self::new()
    }
}

/// One of the [`Limits`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Limit {
    /// [`Limits::max_headers`].
    Headers,
    /// [`Limits::max_line_bytes`].
    LineBytes,
    /// [`Limits::max_head_bytes`].
    HeadBytes,
    /// [`Limits::max_body_bytes`].
    BodyBytes,
    /// [`Limits::max_connect_bytes`].
    ConnectBytes,
}

impl Limit {
    /// The name of the setting, such as `max_body_bytes`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Headers => "max_headers",
            Self::LineBytes => "max_line_bytes",
            Self::HeadBytes => "max_head_bytes",
            Self::BodyBytes => "max_body_bytes",
            Self::ConnectBytes => "max_connect_bytes",
        }
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
