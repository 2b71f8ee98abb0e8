//! Rooms that become occupied or vacant, and users that come or leave: for those who listen.
//!
//! A listener that does not read gets no longer queue: what has changed and changed back is not told.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::{room::Room, tab::User};

pub(crate) enum Subject<K, U, D> {
    Room(Arc<Room<K, U, D>>),
    User(Arc<User<U>>),
}

impl<K, U, D> Clone for Subject<K, U, D> {
    fn clone(&self) -> Self {
        match self {
            Self::Room(room) => Self::Room(Arc::clone(room)),
            Self::User(user) => Self::User(Arc::clone(user)),
        }
    }
}

impl<K, U, D> Subject<K, U, D> {
    fn serial(&self) -> u64 {
        match self {
            Self::Room(room) => room.serial,
            Self::User(user) => user.serial,
        }
    }
}

/// A change that has not been read.
pub(crate) struct Change<K, U, D> {
    pub(crate) subject: Subject<K, U, D>,
    /// Occupied or online, or else vacant or offline.
    pub(crate) is_there: bool,
}

pub(crate) struct Listener<K, U, D> {
    unread: Mutex<Unread<K, U, D>>,
    pub(crate) notify: Notify,
}

struct Unread<K, U, D> {
    changes: BTreeMap<u64, Change<K, U, D>>,
    /// The change of each subject.
    by_serial: HashMap<u64, u64>,
    next: u64,
}

impl<K, U, D> Listener<K, U, D> {
    fn lock(&self) -> MutexGuard<'_, Unread<K, U, D>> {
        self.unread.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn pop(&self) -> Option<Change<K, U, D>> {
        let mut unread = self.lock();
        let (_, change) = unread.changes.pop_first()?;
        unread.by_serial.remove(&change.subject.serial());
        Some(change)
    }
}

impl<K, U, D> Unread<K, U, D> {
    fn push(&mut self, change: Change<K, U, D>) {
        let serial = change.subject.serial();
        // The opposite, if it has not been read: then nothing has changed for this listener. The caller holds the
        // subject, so that this drops no last reference.
        if let Some(at) = self.by_serial.remove(&serial) {
            self.changes.remove(&at);
            return;
        }
        self.by_serial.insert(serial, self.next);
        self.changes.insert(self.next, change);
        self.next += 1;
    }
}

pub(crate) struct Listeners<K, U, D> {
    list: Mutex<Vec<Weak<Listener<K, U, D>>>>,
    len: AtomicUsize,
}

impl<K, U, D> Default for Listeners<K, U, D> {
    fn default() -> Self {
        Self { list: Mutex::default(), len: AtomicUsize::new(0) }
    }
}

/// Those who have to be notified, once the locks are released.
pub(crate) struct ToNotify<K, U, D>(Vec<Arc<Listener<K, U, D>>>);

impl<K, U, D> ToNotify<K, U, D> {
    pub(crate) fn nobody() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn notify(self) {
        for listener in self.0 {
            listener.notify.notify_one();
        }
    }
}

impl<K, U, D> Listeners<K, U, D> {
    pub(crate) fn listen(&self) -> Arc<Listener<K, U, D>> {
        let unread = Unread { changes: BTreeMap::new(), by_serial: HashMap::new(), next: 0 };
        let listener = Arc::new(Listener { unread: Mutex::new(unread), notify: Notify::new() });
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|other| other.strong_count() > 0);
        list.push(Arc::downgrade(&listener));
        self.len.store(list.len(), Ordering::Release);
        listener
    }

    /// Is called under the lock of the subject, so that its changes are told in their order.
    pub(crate) fn tell(&self, subject: &Subject<K, U, D>, is_there: bool) -> ToNotify<K, U, D> {
        if self.len.load(Ordering::Acquire) == 0 {
            return ToNotify::nobody();
        }
        let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        let listeners: Vec<_> = list.iter().filter_map(Weak::upgrade).collect();
        drop(list);
        for listener in &listeners {
            listener.lock().push(Change { subject: subject.clone(), is_there });
        }
        ToNotify(listeners)
    }
}
