//! What logs show of a message.

use std::fmt;

use super::Message;
use crate::wtf8;

impl fmt::Debug for Message {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.as_str(), self.is_binary()) {
            (Some(text), _) => f.debug_tuple("Text").field(&text).finish(),
            (None, true) => f.debug_tuple("Binary").field(&self.as_bytes()).finish(),
            (None, false) => f.debug_tuple("Text").field(&DebugWtf8(self.as_bytes())).finish(),
        }
    }
}

/// Shows a text as a `str` is shown, and a lone surrogate as `\u{d800}`.
struct DebugWtf8<'a>(&'a [u8]);

impl fmt::Debug for DebugWtf8<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("\"")?;
        for (utf8, surrogate) in wtf8::pieces(self.0) {
            write!(f, "{}", utf8.escape_debug())?;
            if let Some(unit) = surrogate {
                write!(f, "\\u{{{unit:x}}}")?;
            }
        }
        f.write_str("\"")
    }
}
