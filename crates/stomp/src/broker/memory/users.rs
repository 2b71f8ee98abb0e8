//! The sessions of users, and what they have subscribed to of their own.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytestring::ByteString;

use super::topics::Topics;
use crate::outbox::{SessionId, Subscriber};

/// All sessions, by the names of their users.
#[derive(Debug, Default)]
pub(super) struct Users(RwLock<State>);

#[derive(Debug, Default)]
struct State {
    users: HashMap<ByteString, HashMap<SessionId, Arc<Own>>>,
    /// Those without a user, by their ids. A user may have any name, that of a session too, and gets nothing of it.
    anonymous: HashMap<ByteString, Arc<Own>>,
    sessions: HashMap<SessionId, Arc<Own>>,
}

/// What a session has subscribed to of its own.
///
/// Only the session has it, so no destination or pattern can reach that of another one.
#[derive(Debug)]
pub(super) struct Own {
    /// The name of the user, or of a session without a user its id.
    pub(super) name: ByteString,
    session: SessionId,
    is_anonymous: bool,
    pub(super) topics: Topics,
}

impl Own {
    pub(super) fn new(subscriber: &Subscriber, topics: Topics) -> Self {
        let session = subscriber.session();
        let name = subscriber.user().cloned().unwrap_or_else(|| session.to_string().into());
        Self { name, session, is_anonymous: subscriber.user().is_none(), topics }
    }
}

impl Users {
    pub(super) fn add(&self, own: &Arc<Own>) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if own.is_anonymous {
            state.anonymous.insert(own.name.clone(), own.clone());
        } else {
            state.users.entry(own.name.clone()).or_default().insert(own.session, own.clone());
        }
        state.sessions.insert(own.session, own.clone());
    }

    pub(super) fn remove(&self, own: &Arc<Own>) {
        let mut state = self.0.write().unwrap_or_else(PoisonError::into_inner);
        let State { users, anonymous, sessions } = &mut *state;
        if own.is_anonymous {
            anonymous.remove(&own.name);
        } else if let Some(user) = users.get_mut(&own.name) {
            user.remove(&own.session);
            if user.is_empty() {
                users.remove(&own.name);
            }
        }
        sessions.remove(&own.session);
    }

    /// The sessions of a user's, or the one without a user that has this id.
    pub(super) fn of_user(&self, name: &str) -> Vec<Arc<Own>> {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(own) = state.anonymous.get(name) {
            return vec![own.clone()];
        }
        state.users.get(name).map(|sessions| sessions.values().cloned().collect()).unwrap_or_default()
    }

    /// Whether a session without a user has this id.
    pub(super) fn has_anonymous(&self, name: &str) -> bool {
        self.0.read().unwrap_or_else(PoisonError::into_inner).anonymous.contains_key(name)
    }

    pub(super) fn session(&self, id: SessionId) -> Option<Arc<Own>> {
        self.0.read().unwrap_or_else(PoisonError::into_inner).sessions.get(&id).cloned()
    }

    /// How many sessions and how many names there are.
    pub(super) fn len(&self) -> (usize, usize) {
        let state = self.0.read().unwrap_or_else(PoisonError::into_inner);
        (state.sessions.len(), state.users.len() + state.anonymous.len())
    }
}
