//! What is no id of a session.

use std::{error::Error, fmt};

/// The error of a text that is no [`SessionId`](super::SessionId).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InvalidSessionId(());

impl InvalidSessionId {
    pub(super) const fn new() -> Self {
        Self(())
    }
}

impl fmt::Display for InvalidSessionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("this is not the id of a session")
    }
}

impl Error for InvalidSessionId {}
