//! The sessions that are open.
//!
//! Imports: outbox, session, subscription.

use std::{
    collections::HashMap,
    fmt,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use bytestring::ByteString;

use crate::{outbox::SessionId, session::Session, subscription::Subscription};

/// The sessions of an application that are open in this process, with their users and subscriptions.
///
/// Clones see the same sessions.
#[derive(Clone, Default)]
pub struct Registry(Arc<Mutex<Sessions>>);

#[derive(Default)]
struct Sessions {
    by_id: HashMap<SessionId, Session>,
    by_user: HashMap<ByteString, Vec<Session>>,
}

impl Registry {
    fn lock(&self) -> MutexGuard<'_, Sessions> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn add(&self, session: &Session) {
        let mut sessions = self.lock();
        sessions.by_id.insert(session.id(), session.clone());
        if let Some(user) = session.user() {
            sessions.by_user.entry(user.clone()).or_default().push(session.clone());
        }
    }

    pub(crate) fn remove(&self, session: &Session) {
        // What the application keeps for a session may be dropped with it: not under the lock.
        let removed = self.lock().remove(session);
        drop(removed);
    }

    /// How many sessions are open.
    #[must_use]
    pub fn len(&self) -> usize {
        self.lock().by_id.len()
    }

    /// Whether no session is open.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The session with this id.
    #[must_use]
    pub fn get(&self, id: SessionId) -> Option<Session> {
        self.lock().by_id.get(&id).cloned()
    }

    /// All sessions, in no order.
    #[must_use]
    pub fn sessions(&self) -> Vec<Session> {
        self.lock().by_id.values().cloned().collect()
    }

    /// The names of all users that have a session, in no order.
    #[must_use]
    pub fn users(&self) -> Vec<ByteString> {
        self.lock().by_user.keys().cloned().collect()
    }

    pub(crate) fn users_len(&self) -> usize {
        self.lock().by_user.len()
    }

    /// The sessions of a user: those of all his tabs.
    #[must_use]
    pub fn sessions_of(&self, user: &str) -> Vec<Session> {
        self.lock().by_user.get(user).cloned().unwrap_or_default()
    }

    /// The subscriptions that `matches` returns `true` for, with their sessions. All subscriptions are gone through.
    #[must_use]
    pub fn find_subscriptions(
        &self,
        mut matches: impl FnMut(&Subscription) -> bool,
    ) -> Vec<(Session, Arc<Subscription>)> {
        let mut found = Vec::new();
        for session in self.sessions() {
            for subscription in session.subscriptions() {
                if matches(&subscription) {
                    found.push((session.clone(), subscription));
                }
            }
        }
        found
    }
}

impl Sessions {
    fn remove(&mut self, session: &Session) -> (Option<Session>, Option<Session>) {
        let removed = self.by_id.remove(&session.id());
        let Some(user) = session.user() else { return (removed, None) };
        let Some(of_user) = self.by_user.get_mut(user) else { return (removed, None) };
        let place = of_user.iter().position(|each| each == session);
        let other = place.map(|place| of_user.swap_remove(place));
        if of_user.is_empty() {
            self.by_user.remove(user);
        }
        (removed, other)
    }
}

impl fmt::Debug for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Registry").field("len", &self.len()).finish()
    }
}
