//! The task that tells the other nodes what this one has.

use std::{
    future::{Future, poll_fn},
    panic::{AssertUnwindSafe, catch_unwind},
    pin::{Pin, pin},
    sync::{Arc, Weak, atomic::Ordering::Relaxed},
    task::Poll,
    time::Duration,
};

use sockjs_bus::Subscription;
use tokio::{
    sync::Notify,
    task::yield_now,
    time::{Instant, timeout, timeout_at},
};

use super::link::{Link, lock};
use crate::{
    key::{Data, Key},
    node::user_changes,
    nodes::{known::Touched, wire},
};

/// Runs until the link is dropped. The subscriptions are those by which the node hears the others.
pub(super) async fn run<K: Key, U: Key, D: Data>(
    link: Weak<Link<K, U, D>>,
    wake: Arc<Notify>,
    mut subscriptions: [Subscription; 2],
) {
    let listening = async {
        let mut all = Ok(());
        for subscription in &mut subscriptions {
            all = all.and(subscription.ready().await);
        }
        all
    };
    let mut listening = pin!(listening);
    let mut hears = false;
    loop {
        let Some(there) = link.upgrade() else { return };
        let due = unless_it_panics(there.turn()).await.unwrap_or_else(|| {
            if let Some(node) = there.node.upgrade() {
                node.counters.panicked("the other nodes are told later: the application's code panicked");
            }
            Instant::now() + RETRY
        });
        drop(there);
        let woken = timeout_at(due, wake.notified());
        if hears {
            woken.await.ok();
        } else if let Some(listens) = first(listening.as_mut(), woken).await {
            hears = true;
            let Some(link) = link.upgrade() else { return };
            if let Err(error) = &listens {
                // They hear it all the same.
                tracing::error!(%error, "other nodes are not heard: not who is there, nor messages to all and log-outs");
            }
            link.is_listening.store(listens.is_ok(), Relaxed);
            // Not before: the others answer at once.
            link.cluster().greet();
        }
    }
}

/// How long it takes until what has panicked is tried again.
const RETRY: Duration = Duration::from_secs(1);

/// `None` if it panics: the traits of keys, users and data are the application's.
async fn unless_it_panics<T>(future: impl Future<Output = T>) -> Option<T> {
    let mut future = pin!(future);
    poll_fn(|cx| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(cx))) {
        Ok(poll) => poll.map(Some),
        Err(_) => Poll::Ready(None),
    })
    .await
}

/// The output of the first of two futures, if it has completed when one of them has.
async fn first<T>(mut one: Pin<&mut impl Future<Output = T>>, other: impl Future) -> Option<T> {
    let mut other = pin!(other);
    poll_fn(|cx| match one.as_mut().poll(cx) {
        Poll::Ready(output) => Poll::Ready(Some(output)),
        Poll::Pending => other.as_mut().poll(cx).map(|_| None),
    })
    .await
}

impl<K: Key, U: Key, D: Data> Link<K, U, D> {
    /// Does what is due. Returns when the next is, unless the task is woken before.
    async fn turn(&self) -> Instant {
        self.check_unsure().await;
        let (outbox, touched, namesake, due) = {
            let mut cluster = self.cluster();
            cluster.tick(Instant::now().into_std());
            (cluster.take_outbox(), cluster.take_touched(), cluster.take_namesake(), cluster.next_due())
        };
        if let (Some(node), Some(name)) = (namesake, &self.name) {
            tracing::warn!(name, %node, "another node has the name of this one: the others take each for the end of the other one");
        }
        if let Some(node) = self.node.upgrade() {
            for touched in &touched {
                match touched {
                    Touched::Room(key) => node.presence_changed(key),
                    Touched::User(user) => {
                        node.user_events.tell(|| user_changes::Touched::Elsewhere(Arc::clone(user)));
                    }
                }
            }
        }
        for message in outbox {
            let (written, left_out) = wire::encode(&message, self.port.max_payload());
            self.too_large.fetch_add(left_out as u64, Relaxed);
            for part in written {
                // What is refused is missing at the others, who ask for it.
                self.port.publish(&self.nodes, &[&part]).ok();
            }
            yield_now().await;
        }
        self.repeat_log_outs();
        let repeat = lock(&self.log_outs).next_due();
        repeat.into_iter().fold(due.into(), Instant::min)
    }
}

impl<K, U, D> Link<K, U, D> {
    /// Says to the others that the node stops, and nothing from then on.
    pub(super) async fn say_goodbye(&self) {
        let said = self.port.close(&self.nodes, &[&wire::bye()]);
        timeout(GOODBYE, said).await.ok();
    }
}

/// A bus that does not answer is not waited for longer.
const GOODBYE: Duration = Duration::from_secs(2);

/// The others need not wait for the silence of a node that stops in order, if its bus lives long enough.
impl<K, U, D> Drop for Link<K, U, D> {
    fn drop(&mut self) {
        self.port.publish(&self.nodes, &[&wire::bye()]).ok();
        self.wake.notify_one();
    }
}
