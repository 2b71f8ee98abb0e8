//! Users who may have come or left, on any node: for those who listen.
//!
//! What changes is noted, and looked at by whoever listens. A listener that does not read gets no longer list: it
//! compares all users then.

use std::{
    mem,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError, Weak,
        atomic::{AtomicUsize, Ordering},
    },
};

use tokio::sync::Notify;

use super::tab::User;

/// A user with a first tab more or a last one less.
pub(crate) enum Touched<U> {
    Here(Arc<User<U>>),
    Elsewhere(Arc<U>),
}

impl<U> Touched<U> {
    pub(crate) fn user(&self) -> &U {
        match self {
            Self::Here(user) => &user.user,
            Self::Elsewhere(user) => user,
        }
    }
}

impl<U> Clone for Touched<U> {
    fn clone(&self) -> Self {
        match self {
            Self::Here(user) => Self::Here(Arc::clone(user)),
            Self::Elsewhere(user) => Self::Elsewhere(Arc::clone(user)),
        }
    }
}

/// What has changed since a listener has looked.
pub(crate) enum News<U> {
    These(Vec<Touched<U>>),
    /// More than are noted.
    Many,
}

impl<U> News<U> {
    fn none() -> Self {
        Self::These(Vec::new())
    }
}

/// So many are noted one by one.
const MAX_NOTED: usize = if cfg!(test) { 4 } else { 4096 };

pub(crate) struct UserListener<U> {
    news: Mutex<News<U>>,
    pub(crate) notify: Notify,
}

impl<U> UserListener<U> {
    fn lock(&self) -> MutexGuard<'_, News<U>> {
        self.news.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn take(&self) -> News<U> {
        mem::replace(&mut self.lock(), News::none())
    }

    fn add(&self, touched: Touched<U>) {
        // What is dropped may be the application's: not under the lock.
        let _dropped = {
            let mut news = self.lock();
            match &mut *news {
                News::These(these) if these.len() < MAX_NOTED => {
                    these.push(touched);
                    None
                }
                _ => Some((mem::replace(&mut *news, News::Many), touched)),
            }
        };
        self.notify.notify_one();
    }
}

pub(crate) struct UserListeners<U> {
    list: Mutex<Vec<Weak<UserListener<U>>>>,
    len: AtomicUsize,
}

impl<U> Default for UserListeners<U> {
    fn default() -> Self {
        Self { list: Mutex::default(), len: AtomicUsize::new(0) }
    }
}

impl<U> UserListeners<U> {
    pub(crate) fn listen(&self) -> Arc<UserListener<U>> {
        let listener = Arc::new(UserListener { news: Mutex::new(News::none()), notify: Notify::new() });
        let mut list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
        list.retain(|other| other.strong_count() > 0);
        list.push(Arc::downgrade(&listener));
        self.len.store(list.len(), Ordering::Release);
        listener
    }

    /// Is called under no lock, when what has changed can be seen.
    pub(crate) fn tell(&self, touched: impl FnOnce() -> Touched<U>) {
        if self.len.load(Ordering::Acquire) == 0 {
            return;
        }
        let listeners: Vec<_> = {
            let list = self.list.lock().unwrap_or_else(PoisonError::into_inner);
            list.iter().filter_map(Weak::upgrade).collect()
        };
        let touched = touched();
        listeners.iter().for_each(|listener| listener.add(touched.clone()));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_listener_that_does_not_read_gets_no_longer_list() {
        let all = UserListeners::default();
        all.tell(|| panic!("nobody listens"));
        let listener = all.listen();
        let tell = |user: usize| all.tell(|| Touched::Elsewhere(Arc::new(user)));
        (0..MAX_NOTED).for_each(tell);
        match listener.take() {
            News::These(these) => {
                assert_eq!(these.iter().map(|one| *one.user()).collect::<Vec<_>>(), [0, 1, 2, 3]);
            }
            News::Many => panic!("these are few"),
        }
        (0..10 * MAX_NOTED).for_each(tell);
        assert!(matches!(listener.take(), News::Many));
        assert!(matches!(listener.take(), News::These(none) if none.is_empty()));
    }
}
