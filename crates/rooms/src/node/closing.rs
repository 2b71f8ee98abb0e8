//! Sessions that are closed, together.

use std::borrow::Cow;

use axum_sockjs::{ConnectionId, Sender};

use super::{
    delivery::Except,
    node::Node,
    room::Room,
    tab::{Tab, User},
};

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

    fn close_tab<U>(&self, tab: &Tab<U>) -> bool {
        tab.sender().is_some_and(|sender| self.close(&sender))
    }
}

/// Each closes sessions of this node, and returns how many were open.
impl<K, U, D> Node<K, U, D> {
    pub(crate) fn close_room(&self, room: &Room<K, U, D>, end: &End) -> usize {
        room.members().iter().filter(|about| end.close_tab(&about.tab)).count()
    }

    pub(crate) fn close_user(&self, user: &User<U>, end: &End) -> usize {
        user.tabs().iter().filter(|tab| end.close_tab(tab)).count()
    }

    pub(crate) fn close_all(&self, end: &End) -> usize {
        let mut closed = 0;
        self.tabs.for_each(|tab| closed += usize::from(end.close_tab(tab)));
        closed
    }

    /// `None` if none of them is known here.
    pub(crate) fn close_tabs(&self, ids: &[ConnectionId], end: &End) -> Option<usize> {
        let mut closed = None;
        for tab in ids.iter().filter_map(|id| self.tabs.find(*id)) {
            *closed.get_or_insert(0) += usize::from(end.close_tab(&tab));
            self.exit(&tab);
        }
        closed
    }
}
