//! The task that speaks with the other nodes.

use std::{
    future::{Future, pending},
    pin::pin,
    sync::{Arc, Weak},
};

use sockjs_bus::{Status, SubscribeError, Subscription};
use tokio::{
    sync::{Notify, watch},
    time::sleep_until,
};

use super::link::Link;

/// Runs until the link is dropped. The subscriptions are those by which the node hears the others.
pub(super) async fn run(
    link: Weak<Link>,
    wake: Arc<Notify>,
    mut subscriptions: [Subscription; 3],
    mut status: watch::Receiver<Status>,
) {
    // It is awaited once.
    let mut listening = pin!(listening(&mut subscriptions));
    let (mut is_listening, mut is_closed) = (None, false);
    loop {
        let Some(there) = link.upgrade() else { return };
        let is_connected = status.borrow_and_update().is_connected();
        match is_listening {
            Some(listens) => there.set_heard(is_connected && listens),
            None if !is_connected => there.set_heard(false),
            None => {}
        }
        let due = there.turn().await;
        drop(there);
        tokio::select! {
            () = wake.notified() => {}
            () = sleep_until(due) => {}
            changed = status.changed(), if !is_closed => is_closed = changed.is_err(),
            result = once(listening.as_mut(), is_listening.is_none()) => {
                if let Err(error) = &result {
                    tracing::error!(%error, "other nodes are not heard, and queues cannot be used");
                }
                is_listening = Some(result.is_ok());
            }
        }
    }
}

async fn listening(subscriptions: &mut [Subscription; 3]) -> Result<(), SubscribeError> {
    for subscription in subscriptions {
        subscription.ready().await?;
    }
    Ok(())
}

/// Waits for a future, unless it has completed before.
async fn once<T>(future: impl Future<Output = T>, is_first: bool) -> T {
    if is_first { future.await } else { pending().await }
}
