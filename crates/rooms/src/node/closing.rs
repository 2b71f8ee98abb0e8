//! Sessions that are closed, together.

use axum_sockjs::ConnectionId;

use super::{end::End, node::Node, room::Room, tab::User};

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
