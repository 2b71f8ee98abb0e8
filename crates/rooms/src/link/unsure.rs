//! Users and rooms whose subscriptions nobody waits for, until it is known whether the engine refuses them.

use std::{
    collections::BTreeSet,
    mem,
    pin::pin,
    sync::{Mutex, MutexGuard, PoisonError, atomic::Ordering::Relaxed},
    task::{Context, Poll, Waker},
};

use sockjs_bus::{SubscribeError, Subscription};
use tokio::task::yield_now;

use super::link::{Link, lock};
use crate::key::{Data, Key};

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

    pub(super) fn remove(&self, serial: u64) {
        self.lock().remove(&serial);
    }
}

/// So many of them are looked after before other tasks have a turn.
const TURN: usize = 256;

/// Whether messages of all nodes come, as far as that is known.
pub(super) fn ready_now(subscription: &mut Subscription) -> Option<Result<(), SubscribeError>> {
    match pin!(subscription.ready()).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(result) => Some(result),
        Poll::Pending => None,
    }
}

impl<K: Key, U: Key, D: Data> Link<K, U, D> {
    /// Counts what the engine has refused meanwhile, each once.
    pub(super) async fn check_unsure(&self) {
        if !self.port.bus().status().borrow().is_connected() {
            return;
        }
        let unsure = mem::take(&mut *self.unsure.lock());
        let (mut refused, mut why) = (0_u64, None);
        for (serial, number) in unsure.into_iter().zip(1_usize..) {
            match self.subscribed_now(serial) {
                Some(Some(Err(error))) => {
                    refused += 1;
                    why.get_or_insert(error);
                }
                Some(None) => {
                    self.unsure.add(serial);
                    // It may have ended in between.
                    if self.subscribed_now(serial).is_none() {
                        self.unsure.remove(serial);
                    }
                }
                Some(Some(Ok(()))) | None => {}
            }
            if number % TURN == 0 {
                yield_now().await;
            }
        }
        if let Some(error) = why {
            self.refused.fetch_add(refused, Relaxed);
            tracing::error!(refused, %error, "messages of other nodes to users or rooms do not come");
        }
    }

    /// Whether messages of all nodes come for a user or room; the outer `None` if it is not there any more.
    fn subscribed_now(&self, serial: u64) -> Option<Option<Result<(), SubscribeError>>> {
        let user = lock(&self.users).get(&serial).cloned();
        if let Some(user) = user {
            return Some(user.get().and_then(|subscription| ready_now(&mut lock(subscription))));
        }
        let room = lock(&self.rooms).get(&serial).cloned()?;
        // Somebody may wait for it, and would be told.
        Some(room.get().and_then(|room| ready_now(&mut *room.subscription.try_lock().ok()?)))
    }
}
