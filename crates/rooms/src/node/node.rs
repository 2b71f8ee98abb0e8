//! All that a node knows, and how sessions become known.

use std::{
    collections::HashSet,
    sync::{
        Arc, OnceLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
};

use axum_sockjs::{Overflow, Sender};

use super::{
    changes::{Listeners, Subject, ToNotify},
    counters::Counters,
    elsewhere::Elsewhere,
    idle::Idle,
    index::Index,
    log::Encode,
    room::Room,
    tab::{Tab, Tabs, User},
    user_changes::{Touched, UserListeners},
};
use crate::{error::JoinError, history::History, key::Key};

pub(crate) type HistoryOf<K> = dyn Fn(&K) -> Option<History> + Send + Sync;

/// Is called when somebody has joined a room.
pub(crate) type OnJoin<K, U, D> = dyn Fn(&Arc<Node<K, U, D>>, &Arc<Room<K, U, D>>) + Send + Sync;

pub(crate) struct Config<K, U, D> {
    pub(crate) overflow: Option<Overflow>,
    pub(crate) history: Option<Box<HistoryOf<K>>>,
    pub(crate) encode: Option<Box<Encode>>,
    pub(crate) on_join: Option<Box<OnJoin<K, U, D>>>,
    pub(crate) max_rooms: usize,
    pub(crate) max_rooms_per_session: u32,
    pub(crate) max_members_per_room: usize,
    pub(crate) max_history_bytes: usize,
}

pub(crate) struct Node<K, U, D> {
    pub(crate) config: Config<K, U, D>,
    pub(crate) rooms: Index<Room<K, U, D>>,
    pub(crate) room_count: AtomicUsize,
    pub(crate) users: Index<User<U>>,
    pub(crate) tabs: Tabs<U>,
    pub(crate) idle: Idle<K, U, D>,
    pub(crate) history_bytes: AtomicUsize,
    pub(crate) events: Listeners<K, U, D>,
    pub(crate) user_events: UserListeners<U>,
    pub(crate) counters: Counters,
    /// Shared by all members without data of their own.
    default_data: OnceLock<Arc<D>>,
    serial: AtomicU64,
    /// The other nodes, if there can be any.
    elsewhere: OnceLock<Arc<dyn Elsewhere<K, U, D>>>,
}

impl<K, U, D> Node<K, U, D> {
    pub(crate) fn new(config: Config<K, U, D>) -> Self {
        Self {
            config,
            rooms: Index::default(),
            room_count: AtomicUsize::new(0),
            users: Index::default(),
            tabs: Tabs::default(),
            idle: Idle::default(),
            history_bytes: AtomicUsize::new(0),
            events: Listeners::default(),
            user_events: UserListeners::default(),
            counters: Counters::default(),
            default_data: OnceLock::new(),
            serial: AtomicU64::new(0),
            elsewhere: OnceLock::new(),
        }
    }

    /// What makes the wire form of messages that are kept.
    pub(crate) fn encode(&self) -> Option<&Encode> {
        self.config.encode.as_deref()
    }

    /// Returns the data of members without data of their own.
    pub(crate) fn default_data(&self) -> Arc<D>
    where
        D: Default,
    {
        Arc::clone(self.default_data.get_or_init(Arc::default))
    }

    /// The other nodes, if there can be any.
    pub(crate) fn elsewhere(&self) -> Option<&dyn Elsewhere<K, U, D>> {
        self.elsewhere.get().map(|elsewhere| &**elsewhere)
    }

    /// Is called once, before anything else.
    pub(crate) fn set_elsewhere(&self, elsewhere: Arc<dyn Elsewhere<K, U, D>>) {
        self.elsewhere.set(elsewhere).ok();
    }

    pub(crate) fn next_serial(&self) -> u64 {
        self.serial.fetch_add(1, Ordering::Relaxed)
    }

    /// Ends a handle of a tab. With the last one the session is no longer known.
    pub(crate) fn exit(&self, tab: &Arc<Tab<U>>) {
        if tab.release() && self.tabs.remove(tab) {
            if let Some(elsewhere) = self.elsewhere() {
                elsewhere.exited(tab);
            }
            self.detach(tab);
        }
    }

    /// Takes a tab from its user.
    fn detach(&self, tab: &Arc<Tab<U>>) {
        let Some(user) = &tab.user else { return };
        let mut to_notify = ToNotify::nobody();
        let is_last = {
            let mut state = user.lock();
            if let Some(at) = state.tabs.iter().position(|other| Arc::ptr_eq(other, tab)) {
                state.tabs.swap_remove(at);
            }
            state.removed = state.tabs.is_empty();
            if state.removed {
                to_notify = self.events.tell(&Subject::User(Arc::clone(user)), false);
            }
            state.removed
        };
        if is_last {
            self.users.remove(user.hash, user);
            self.counters.users.fetch_sub(1, Ordering::Relaxed);
            if let Some(elsewhere) = self.elsewhere() {
                elsewhere.offline(user);
            }
            self.user_events.tell(|| Touched::Here(Arc::clone(user)));
        }
        to_notify.notify();
    }
}

impl<K: Key, U: Key, D> Node<K, U, D> {
    /// Makes a session known, or finds it if it is. `user` is what the application says; otherwise it is the identity
    /// of the session. The caller ends the handle by [`exit`](Self::exit).
    pub(crate) fn enter(&self, sender: &Sender, user: Option<U>) -> Result<Arc<Tab<U>>, JoinError> {
        if let Some(tab) = self.tabs.find(sender.id()) {
            return self.check_user(tab, user.as_ref());
        }
        if sender.is_closed() {
            return Err(JoinError::Closed);
        }
        let said = user.clone();
        let user = user
            .or_else(|| sender.identity::<U>().cloned())
            .or_else(|| sender.identity::<Option<U>>().cloned().flatten());
        let tab = match user {
            Some(user) => self.attach(sender, &user),
            None => Arc::new(Tab::new(sender, None)),
        };
        match self.tabs.insert(&tab) {
            None => {
                if let Some(elsewhere) = self.elsewhere() {
                    elsewhere.entered(&tab);
                }
                Ok(tab)
            }
            // Another call for the same session was faster.
            Some(there) => {
                self.detach(&tab);
                self.check_user(there, said.as_ref())
            }
        }
    }

    /// Whether a user has a tab on any node.
    pub(crate) fn is_online(&self, user: &U) -> bool {
        let here = self.users.find(self.users.hash_of(user), |known| known.user == *user);
        here.is_some_and(|here| !here.lock().tabs.is_empty())
            || self.elsewhere().is_some_and(|elsewhere| !elsewhere.tabs_of(user).is_empty())
    }

    /// The users who have a tab on any node.
    pub(crate) fn all_users(&self) -> HashSet<U> {
        let mut users = self.users.all().iter().map(|user| user.user.clone()).collect();
        if let Some(elsewhere) = self.elsewhere() {
            elsewhere.add_users(&mut users);
        }
        users
    }

    fn check_user(&self, tab: Arc<Tab<U>>, user: Option<&U>) -> Result<Arc<Tab<U>>, JoinError> {
        let is_other = user.is_some_and(|user| tab.user.as_ref().is_none_or(|known| known.user != *user));
        if is_other {
            self.exit(&tab);
            return Err(JoinError::OtherUser);
        }
        Ok(tab)
    }

    /// Creates a tab of a user.
    fn attach(&self, sender: &Sender, user: &U) -> Arc<Tab<U>> {
        let hash = self.users.hash_of(user);
        loop {
            let new = || Arc::new(User::new(user.clone(), hash, self.next_serial()));
            let admit = || Ok::<_, std::convert::Infallible>(());
            let Ok((entry, _)) = self.users.find_or_insert(hash, |entry| entry.user == *user, new, admit);
            let tab = Arc::new(Tab::new(sender, Some(Arc::clone(&entry))));
            let mut to_notify = ToNotify::nobody();
            let mut is_first = false;
            let was_removed = {
                let mut state = entry.lock();
                if !state.removed {
                    state.tabs.push(Arc::clone(&tab));
                    is_first = state.tabs.len() == 1;
                    if is_first {
                        self.counters.users.fetch_add(1, Ordering::Relaxed);
                        to_notify = self.events.tell(&Subject::User(Arc::clone(&entry)), true);
                    }
                }
                state.removed
            };
            to_notify.notify();
            if !was_removed {
                if let Some(elsewhere) = self.elsewhere() {
                    elsewhere.online(&entry);
                }
                if is_first {
                    self.user_events.tell(|| Touched::Here(Arc::clone(&entry)));
                }
                return tab;
            }
            // Its last tab has just gone.
            self.users.remove(hash, &entry);
        }
    }
}
