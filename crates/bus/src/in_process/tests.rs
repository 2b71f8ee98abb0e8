//! Faults of the bus in process, and its bounds.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use super::{connection::Connection, faults::Faults, hub::InProcess};
use crate::{
    bus::{Bus, PublishError, SubscribeError, Subscription},
    status::Status,
    subject::Subject,
};

fn subject() -> Subject {
    Subject::new("news").unwrap()
}

/// A subscription, and how many messages it has had.
fn count(connection: &Connection) -> (Subscription, Arc<AtomicUsize>) {
    let counted = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&counted);
    (connection.subscribe(&subject(), Arc::new(move |_| _ = counter.fetch_add(1, Relaxed))), counted)
}

/// Lets all that is due be delivered.
async fn settle() {
    tokio::time::sleep(Duration::from_millis(1)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_slow_loses_messages_beyond_the_bound() {
    let bus = InProcess::with_limits(100, 10);
    let (here, there) = (bus.connect(), bus.connect());
    let (_subscription, counted) = count(&there);
    for _ in 0..25 {
        here.publish(&subject(), "x".into()).unwrap();
    }
    settle().await;
    assert_eq!(counted.load(Relaxed), 10);
    let stats = there.stats();
    assert_eq!((stats.received, stats.overflowed), (10, 15));
}

#[tokio::test(start_paused = true)]
async fn nodes_that_are_cut_from_each_other_hear_the_others() {
    let bus = InProcess::new();
    let nodes = [bus.connect(), bus.connect(), bus.connect()];
    let counted = nodes.each_ref().map(count);
    bus.cut(&nodes[1], &nodes[0]);
    for node in &nodes {
        node.publish(&subject(), "x".into()).unwrap();
    }
    settle().await;
    assert_eq!(counted.each_ref().map(|(_, counted)| counted.load(Relaxed)), [2, 2, 3]);
    bus.heal();
    nodes[0].publish(&subject(), "x".into()).unwrap();
    settle().await;
    assert_eq!(counted.each_ref().map(|(_, counted)| counted.load(Relaxed)), [3, 3, 4]);
}

#[tokio::test(start_paused = true)]
async fn what_is_on_its_way_is_lost_with_the_connection() {
    let bus = InProcess::new();
    let (here, there) = (bus.connect(), bus.connect());
    let (_subscription, counted) = count(&there);
    let second = Duration::from_secs(1);
    bus.set_faults(Faults::none().delay(second..second), 1);
    here.publish(&subject(), "lost".into()).unwrap();
    tokio::time::sleep(second / 2).await;
    assert_eq!(counted.load(Relaxed), 0);
    let before = tokio::time::Instant::now().into_std();
    there.disconnect();
    assert_eq!(*there.status().borrow(), Status::Reconnecting { since: before });
    assert_eq!(there.publish(&subject(), "x".into()), Err(PublishError::Disconnected));
    tokio::time::sleep(second).await;
    there.reconnect();
    here.publish(&subject(), "comes".into()).unwrap();
    tokio::time::sleep(2 * second).await;
    assert_eq!(counted.load(Relaxed), 1);
    assert_eq!((there.stats().disconnected, there.stats().reconnects), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_connection_that_is_dropped_is_closed() {
    let bus = InProcess::new();
    let (here, there) = (bus.connect(), bus.connect());
    let status = there.status();
    let (mut ready, counted) = count(&there);
    ready.ready().await.unwrap();
    there.disconnect();
    let (mut waiting, _) = count(&there);
    drop(there);
    assert_eq!(*status.borrow(), Status::Closed);
    assert_eq!(ready.ready().await, Ok(()));
    assert_eq!(waiting.ready().await, Err(SubscribeError::Closed));
    assert_eq!(waiting.ready().await, Err(SubscribeError::Closed));
    here.publish(&subject(), "x".into()).unwrap();
    settle().await;
    // The receiver is gone with it.
    assert_eq!((counted.load(Relaxed), Arc::strong_count(&counted)), (0, 1));
}
