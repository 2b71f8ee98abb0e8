//! Close frames, and those that a server sends by itself.
//!
//! The suite of the protocol fixes [`ANOTHER_CONNECTION`] and [`INTERRUPTED`]. The others are those of axum-sockjs; the
//! texts of other servers differ, so compare codes. What a handler of an application sends is its own.

use std::{borrow::Cow, fmt};

/// The code and text that the peer gets when a session ends.
///
/// The codes are those of WebSocket ([RFC 6455, section 7.4](https://www.rfc-editor.org/rfc/rfc6455#section-7.4)):
/// 1000 for a normal closure, 3000–4999 for an application's own. SockJS transmits any code and text on every
/// transport except the raw WebSocket. There, a code that RFC 6455 forbids on the wire is sent as 1000, and a reason
/// is cut to 123 bytes.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct CloseFrame {
    code: u16,
    reason: Cow<'static, str>,
}

impl CloseFrame {
    /// Creates a close frame with `code` and `reason`.
    pub fn new(code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        Self { code, reason: reason.into() }
    }

    /// Returns the close code.
    #[inline]
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the text, which may be empty.
    #[inline]
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    /// Creates a close frame with a reason that is known at compile time.
    #[must_use]
    pub const fn from_static(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.code, self.reason)
    }
}

impl std::error::Error for CloseFrame {}

/// A second receiver arrived while the first was waiting (suite: `test_close_request`).
pub const ANOTHER_CONNECTION: CloseFrame = CloseFrame::from_static(2010, "Another connection still open");
/// A receiver was cut off (suite: `test_abort_xhr_streaming`).
pub const INTERRUPTED: CloseFrame = CloseFrame::from_static(1002, "Connection interrupted");
/// The endpoint has no room for a session.
pub const TRY_AGAIN_LATER: CloseFrame = CloseFrame::from_static(1013, "Try again later");
/// The client reads more slowly than the application sends.
pub const TOO_SLOW: CloseFrame = CloseFrame::from_static(1008, "Client too slow");
/// The client sends more than the session's rates allow.
pub const TOO_FAST: CloseFrame = CloseFrame::from_static(1008, "Client too fast");
/// A message took too long to arrive.
pub const MESSAGE_TOO_SLOW: CloseFrame = CloseFrame::from_static(1008, "Message too slow");
/// The handler returned or dropped the session.
pub const NORMAL: CloseFrame = CloseFrame::from_static(1000, "Normal closure");
/// The handler panicked.
pub const INTERNAL_ERROR: CloseFrame = CloseFrame::from_static(1011, "Internal error");
