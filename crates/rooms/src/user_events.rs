//! Users who come or leave, on all nodes together.
//!
//! Imports: key, node.

use std::{
    collections::{HashSet, VecDeque},
    fmt,
    sync::Arc,
};

use serde::{Deserialize, Serialize};

use crate::{
    key::{Data, Key},
    node::{
        node::Node,
        user_changes::{News, Touched, UserListener},
    },
};

/// A user who has come or left: see [`UserEvents`].
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[non_exhaustive]
pub enum UserEvent<U = String> {
    /// The user has a tab, and had none on any node.
    Online(U),
    /// The user has no tab any more on any node.
    Offline(U),
}

/// The users who come and leave from the moment of [`Rooms::user_events`](crate::Rooms::user_events) on: on all nodes, with
/// a [bus](crate::Builder::bus).
///
/// Each node tells all of them, as far as it knows: the users of a node that stops or dies have left when the others take it
/// for gone. Of one user, events alternate; those that undo each other before a slow listener looks are not told. It
/// remembers whom it has told as online, and what waits for it is bounded by the users that there are.
pub struct UserEvents<K = String, U = String, D = ()> {
    node: Arc<Node<K, U, D>>,
    listener: Arc<UserListener<U>>,
    /// Those who have been told as online, or were before the first event.
    online: HashSet<U>,
    touched: VecDeque<Touched<U>>,
    events: VecDeque<UserEvent<U>>,
}

impl<K: Key, U: Key, D: Data> UserEvents<K, U, D> {
    pub(crate) fn new(node: &Arc<Node<K, U, D>>) -> Self {
        // First, so that nothing is missed in between.
        let listener = node.user_events.listen();
        Self {
            node: Arc::clone(node),
            listener,
            online: node.all_users(),
            touched: VecDeque::new(),
            events: VecDeque::new(),
        }
    }

    /// Waits for the next event.
    ///
    /// # Cancel safety
    /// An event is taken only when it is returned: safe in `select!`.
    pub async fn next(&mut self) -> UserEvent<U> {
        loop {
            if let Some(event) = self.try_next() {
                return event;
            }
            self.listener.notify.notified().await;
        }
    }

    /// Returns the next event if there is one.
    pub fn try_next(&mut self) -> Option<UserEvent<U>> {
        match self.listener.take() {
            News::These(these) => self.touched.extend(these),
            News::Many => {
                let now = self.node.all_users();
                let offline = self.online.difference(&now).cloned().map(UserEvent::Offline);
                let online = now.difference(&self.online).cloned().map(UserEvent::Online);
                // They come in place of all that is waiting.
                self.events = offline.chain(online).collect();
                self.touched.clear();
            }
        }
        loop {
            if let Some(event) = self.events.pop_front() {
                let is_news = match &event {
                    UserEvent::Online(user) => self.online.insert(user.clone()),
                    UserEvent::Offline(user) => self.online.remove(user),
                };
                if is_news {
                    return Some(event);
                }
                continue;
            }
            let touched = self.touched.pop_front()?;
            let user = touched.user();
            let event = if self.node.is_online(user) { UserEvent::Online } else { UserEvent::Offline };
            self.events.push_back(event(user.clone()));
        }
    }
}

impl<K, U, D> fmt::Debug for UserEvents<K, U, D> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("UserEvents").field("online", &self.online.len()).finish_non_exhaustive()
    }
}
