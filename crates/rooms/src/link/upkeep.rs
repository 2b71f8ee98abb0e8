//! What a node looks after now and then: subscriptions that nobody waits for, and log-outs that may be lost.

use std::{collections::HashSet, sync::atomic::Ordering::Relaxed};

use axum_sockjs::ConnectionId;
use sockjs_bus::SubscribeError;
use tokio::{task::yield_now, time::Instant};

use super::{
    envelope::{self, Whom},
    link::{Link, lock},
    unsure::ready_now,
};
use crate::{
    key::{Data, Key},
    nodes::protocol::TabId,
};

/// So many subscriptions are looked after before other tasks have a turn.
const TURN: usize = 256;
/// So many are closed by one message: 4 KiB of ids.
const CHUNK: usize = 256;

impl<K: Key, U: Key, D: Data> Link<K, U, D> {
    /// Counts what the engine has refused meanwhile, each once.
    pub(super) async fn check_unsure(&self) {
        if !self.port.bus().status().borrow().is_connected() {
            return;
        }
        let unsure = self.unsure.take();
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

    /// Closes the sessions of other nodes that were to be closed, and are still seen.
    pub(super) fn repeat_log_outs(&self) {
        let now = Instant::now();
        let due = lock(&self.log_outs).take_due(now);
        for mut waiting in due {
            let log_out = &mut waiting.log_out;
            let seen: HashSet<TabId> = self.cluster().known().tabs_of(&log_out.user).collect();
            log_out.tabs.retain(|tab| seen.contains(tab));
            let tabs: Vec<_> = log_out.tabs.iter().copied().map(ConnectionId::from_u128).collect();
            for tabs in tabs.chunks(CHUNK) {
                let close = envelope::close(&Whom::Tabs(tabs.to_vec()), &log_out.end);
                // What is refused is tried the next time.
                self.port.publish(&self.all, &[&close]).ok();
            }
            let _done = lock(&self.log_outs).again(waiting, now + self.beat);
        }
    }
}
