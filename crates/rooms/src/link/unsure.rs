//! Users and rooms whose subscriptions nobody waits for, until it is known whether the engine refuses them.

use std::{
    collections::BTreeSet,
    mem,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError},
    task::{Context, Poll, Waker},
};

use sockjs_bus::{SubscribeError, Subscription};

/// By the serial numbers of users and rooms.
#[derive(Debug, Default)]
pub(super) struct Unsure(Mutex<BTreeSet<u64>>);

impl Unsure {
    fn lock(&self) -> MutexGuard<'_, BTreeSet<u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whoever ends what is added here removes it afterwards.
    pub(super) fn add(&self, serial: u64) {
        self.lock().insert(serial);
    }

    pub(super) fn take(&self) -> BTreeSet<u64> {
        mem::take(&mut *self.lock())
    }

    pub(super) fn remove(&self, serial: u64) {
        self.lock().remove(&serial);
    }
}

/// Whether messages of all nodes come, as far as that is known.
pub(super) fn ready_now(subscription: &mut Subscription) -> Option<Result<(), SubscribeError>> {
    match pin!(subscription.ready()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}
