//! How sessions are closed.

use std::borrow::Cow;

use axum_sockjs::{ConnectionId, Sender};

use super::{delivery::Except, tab::Tab};

/// How sessions are closed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct End {
    pub(crate) code: u16,
    pub(crate) reason: Cow<'static, str>,
    /// Who is not.
    pub(crate) except: Option<ConnectionId>,
}

impl End {
    pub(crate) fn new(code: u16, reason: Cow<'static, str>, except: &Except) -> Self {
        let except = match except {
            Except::Nobody => None,
            Except::Sender(sender) => Some(sender.id()),
            Except::Id(id) => Some(*id),
        };
        Self { code, reason, except }
    }

    /// Returns whether the session was open, and has been closed.
    fn close(&self, sender: &Sender) -> bool {
        let is_meant = self.except != Some(sender.id()) && !sender.is_closed();
        if is_meant {
            sender.close(self.code, self.reason.clone());
        }
        is_meant
    }

    /// The same, of a session that is known.
    pub(super) fn close_tab<U>(&self, tab: &Tab<U>) -> bool {
        tab.sender().is_some_and(|sender| self.close(&sender))
    }
}
