//! What a test waits for, with a limit.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sockjs_bus::{Bus, Subject, Subscription};
use tokio::{sync::mpsc, time::timeout};

const LIMIT: Duration = Duration::from_secs(20);

/// The outcome, or a panic after 20 s.
pub async fn limited<T>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(LIMIT, future).await.unwrap_or_else(|_| panic!("this takes too long: {what}"))
}

/// Waits until something is so, for 20 s at the most.
pub async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < LIMIT, "this takes too long: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits until a bus is connected, or is not.
pub async fn connected(bus: &dyn Bus, is_connected: bool) {
    let mut status = bus.status();
    let wait = status.wait_for(|status| status.is_connected() == is_connected);
    limited("the status changes", wait).await.unwrap();
}

/// A subject, or the name of a stream.
#[must_use]
pub fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

/// A subscription that is ready, and what it gets.
pub async fn subscribe(bus: &dyn Bus, name: &str) -> (Subscription, mpsc::UnboundedReceiver<bytes::Bytes>) {
    let (sender, received) = mpsc::unbounded_channel();
    let mut subscription = bus.subscribe(&subject(name), Arc::new(move |payload| _ = sender.send(payload)));
    limited("a subscription is ready", subscription.ready()).await.unwrap();
    (subscription, received)
}
