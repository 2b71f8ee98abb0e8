//! What a subscription or a follower receives, and the status of a bus, awaited with a limit.

use std::{fmt::Debug, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{sync::mpsc, time::timeout};

use crate::{
    bus::{Bus, Subscription},
    status::Status,
    streams::{Entry, Follow},
    subject::Subject,
};

/// What a subscription has received.
pub(super) struct Inbox {
    pub(super) received: mpsc::UnboundedReceiver<Bytes>,
    pub(super) subscription: Option<Subscription>,
}

impl Inbox {
    pub(super) async fn new(bus: &Arc<dyn Bus>, subject: &Subject) -> Self {
        let (sender, received) = mpsc::unbounded_channel();
        let mut subscription = bus.subscribe(subject, Arc::new(move |payload| _ = sender.send(payload)));
        limited("a subscription is ready", subscription.ready()).await.expect("a subscription");
        Self { received, subscription: Some(subscription) }
    }

    pub(super) async fn next(&mut self) -> Bytes {
        limited("a message arrives", self.received.recv()).await.expect("a subscription that is there")
    }

    pub(super) async fn expect<const N: usize>(&mut self, payloads: [impl Into<Bytes>; N]) {
        for payload in payloads {
            assert_eq!(self.next().await, payload.into(), "the next message of a subscription");
        }
    }

    pub(super) async fn expect_nothing(&mut self) {
        let more = timeout(Duration::from_millis(50), self.received.recv()).await;
        assert!(!matches!(more, Ok(Some(_))), "a message that was not expected: {more:?}");
    }
}

/// The outcome, or a panic if it takes too long.
pub(super) async fn limited<T: Debug>(what: &str, future: impl Future<Output = T>) -> T {
    timeout(Duration::from_secs(20), future).await.unwrap_or_else(|_| panic!("this takes too long: {what}"))
}

pub(super) async fn status(bus: &Arc<dyn Bus>, is_expected: impl Fn(Status) -> bool) {
    let mut status = bus.status();
    limited("the status changes", status.wait_for(|&status| is_expected(status))).await.expect("a bus");
}

pub(super) async fn entry(follow: &mut dyn Follow) -> Entry {
    limited("an entry arrives", follow.next()).await.expect("an entry")
}

pub(super) fn payloads(entries: &[Entry]) -> Vec<String> {
    entries.iter().map(|entry| String::from_utf8_lossy(&entry.payload).into_owned()).collect()
}
