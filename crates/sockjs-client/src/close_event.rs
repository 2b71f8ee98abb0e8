//! How a session has ended.

use std::{fmt, sync::Arc};

use sockjs_core::CloseFrame;

use crate::error::Error;

/// How a session has ended, as a browser's
/// [`CloseEvent`](https://developer.mozilla.org/docs/Web/API/CloseEvent) says it.
///
/// | the session | code | clean |
/// |---|---|---|
/// | was closed by the server, with a SockJS frame or on a raw WebSocket | the server's | yes |
/// | was closed by this side | this side's | yes |
/// | was closed by the server with a frame of WebSocket only | the frame's, 1005 without one | no |
/// | lost its connection, or was refused in the middle | 1006 | no |
/// | was forgotten by the server | 1006 | no |
/// | was sent a frame that is too long | 1009 | no |
/// | was sent a lone surrogate that is refused | 1007 | no |
///
/// The server's own code may be any; 1002 "Connection interrupted" and 2010 "Another connection still open" are those
/// that SockJS servers send by themselves.
#[derive(Clone)]
pub struct CloseEvent {
    frame: CloseFrame,
    was_clean: bool,
    error: Option<Arc<Error>>,
}

impl CloseEvent {
    pub(crate) fn clean(frame: CloseFrame) -> Self {
        Self { frame, was_clean: true, error: None }
    }

    pub(crate) fn failed(error: Error) -> Self {
        Self { frame: error.close_frame(), was_clean: false, error: Some(Arc::new(error)) }
    }

    /// Returns the code.
    #[must_use]
    pub fn code(&self) -> u16 {
        self.frame.code()
    }

    /// Returns the reason, which may be empty.
    #[must_use]
    pub fn reason(&self) -> &str {
        self.frame.reason()
    }

    /// Returns the code and the reason.
    #[must_use]
    pub fn frame(&self) -> &CloseFrame {
        &self.frame
    }

    /// Returns whether one side closed the session, and the other was told.
    #[must_use]
    pub fn was_clean(&self) -> bool {
        self.was_clean
    }

    /// Returns why the session was lost.
    #[must_use]
    pub fn error(&self) -> Option<&Error> {
        self.error.as_deref()
    }
}

impl fmt::Debug for CloseEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CloseEvent")
            .field("code", &self.code())
            .field("reason", &self.reason())
            .field("was_clean", &self.was_clean)
            .field("error", &self.error)
            .finish()
    }
}

/// `1006 "Connection lost"`, and why.
impl fmt::Display for CloseEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.frame.fmt(f)?;
        match self.error() {
            // The frame has said it.
            None | Some(Error::Closed(_)) => Ok(()),
            Some(error) => write!(f, " ({error})"),
        }
    }
}
