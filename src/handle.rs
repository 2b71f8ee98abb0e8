//! What an application can do with an endpoint as a whole.

use std::{fmt, sync::Arc};

use crate::{CloseFrame, session::Registry};

/// A cloneable handle to all sessions of one endpoint: see [`SockJs::handle`](crate::SockJs::handle).
#[derive(Clone)]
pub struct SockJsHandle {
    pub(crate) registry: Arc<Registry>,
}

impl SockJsHandle {
    /// How many sessions are open: those whose handler has not been told an end.
    #[must_use]
    pub fn len(&self) -> usize {
        self.registry.live()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Closes every open session with a code and a text, and says how many that were.
    ///
    /// Their handlers see [`CloseReason::Shutdown`](crate::CloseReason::Shutdown). Each client gets what was
    /// sent to it before, then the close frame: at once if it is receiving, else with its next poll. The
    /// endpoint goes on accepting new sessions.
    pub fn close_all(&self, code: u16, reason: impl Into<std::borrow::Cow<'static, str>>) -> usize {
        self.registry.close_all(&CloseFrame::new(code, reason))
    }
}

impl fmt::Debug for SockJsHandle {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SockJsHandle").field("len", &self.len()).finish_non_exhaustive()
    }
}
