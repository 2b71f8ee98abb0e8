//! Close frames, and those that this crate sends by itself.

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
    #[must_use]
    pub fn code(&self) -> u16 {
        self.code
    }

    /// Returns the text, which may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        &self.reason
    }

    pub(crate) const fn fixed(code: u16, reason: &'static str) -> Self {
        Self { code, reason: Cow::Borrowed(reason) }
    }
}

impl fmt::Display for CloseFrame {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {:?}", self.code, self.reason)
    }
}

/// A handler may return it: see [`HandlerError`](crate::HandlerError).
impl std::error::Error for CloseFrame {}

/// A second receiver arrived while the first was waiting (suite: `test_close_request`).
pub(crate) const ANOTHER_CONNECTION: CloseFrame = CloseFrame::fixed(2010, "Another connection still open");
/// A receiver was cut off (suite: `test_abort_xhr_streaming`).
pub(crate) const INTERRUPTED: CloseFrame = CloseFrame::fixed(1002, "Connection interrupted");
/// The endpoint has no room for a session.
pub(crate) const TRY_AGAIN_LATER: CloseFrame = CloseFrame::fixed(1013, "Try again later");
/// The client reads more slowly than the application sends.
pub(crate) const TOO_SLOW: CloseFrame = CloseFrame::fixed(1008, "Client too slow");
/// The client sends more than the session's rates allow.
pub(crate) const TOO_FAST: CloseFrame = CloseFrame::fixed(1008, "Client too fast");
/// A message took too long to arrive.
pub(crate) const MESSAGE_TOO_SLOW: CloseFrame = CloseFrame::fixed(1008, "Message too slow");
/// The handler returned or dropped the session.
pub(crate) const NORMAL: CloseFrame = CloseFrame::fixed(1000, "Normal closure");
/// The handler panicked.
pub(crate) const INTERNAL_ERROR: CloseFrame = CloseFrame::fixed(1011, "Internal error");
