//! A session that is known to the rooms.
//!
//! Imports: error, key, node.

use std::{fmt, sync::Arc};

use axum_sockjs::{ConnectionId, Sender};

use crate::{
    error::JoinError,
    key::Key,
    node::{node::Node, tab},
};

/// A session that is known to the rooms, as a tab of its user: see [`Rooms::enter`](crate::Rooms::enter).
///
/// The session is known until all of its `Tab`s, and all of its [`Member`](crate::Member)s, have been dropped.
#[must_use = "the session is no longer known once this is dropped"]
pub struct Tab<K = String, U = String, D = ()> {
    node: Arc<Node<K, U, D>>,
    tab: Arc<tab::Tab<U>>,
    sender: Sender,
}

impl<K, U, D> Tab<K, U, D> {
    pub(crate) fn node(&self) -> &Arc<Node<K, U, D>> {
        &self.node
    }

    pub(crate) fn inner(&self) -> &Arc<tab::Tab<U>> {
        &self.tab
    }

    /// Returns the user whose tab this is. `None` is a guest: a session without an identity of the type `U`.
    #[must_use]
    pub fn user(&self) -> Option<&U> {
        self.tab.user.as_ref().map(|user| &user.user)
    }

    /// Returns the id of the session.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.tab.id
    }

    /// Returns what sends to this session alone.
    #[must_use]
    pub fn sender(&self) -> &Sender {
        &self.sender
    }
}

impl<K: Key, U: Key, D> Tab<K, U, D> {
    pub(crate) fn enter(
        node: &Arc<Node<K, U, D>>,
        sender: Sender,
        user: Option<U>,
    ) -> Result<Self, JoinError> {
        let tab = node.enter(&sender, user)?;
        Ok(Self { node: Arc::clone(node), tab, sender })
    }
}

/// Another handle of the same session.
impl<K, U, D> Clone for Tab<K, U, D> {
    fn clone(&self) -> Self {
        self.tab.hold();
        Self { node: Arc::clone(&self.node), tab: Arc::clone(&self.tab), sender: self.sender.clone() }
    }
}

impl<K, U, D> Drop for Tab<K, U, D> {
    fn drop(&mut self) {
        self.node.exit(&self.tab);
    }
}

impl<K, U, D> fmt::Debug for Tab<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tab").field("id", &self.id()).finish_non_exhaustive()
    }
}
