//! Subscriptions of one node that come and go on several threads, while another node sends.

use std::{num::NonZero, sync::Arc, thread};

use sockjs_bus::InProcess;
use stomp_codec::{Headers, Version};

use super::{
    super::MemoryBroker,
    support::{Client, body, header, publish},
};
use crate::{AckMode, Subscription, broker::Source};

/// Subscribes and unsubscribes, and returns how many messages have come: each once, and in order.
async fn come_and_go(broker: MemoryBroker, destination: &'static str) -> usize {
    let mut client = Client::fast(&broker);
    for _ in 0..300 {
        let serial = client.next_serial();
        let headers = Headers::from_iter([("id", format!("s{serial}"))]);
        let (ack, prefetch) = (AckMode::Auto, NonZero::<usize>::MIN);
        let subscription =
            Subscription::new(serial, Version::V1_2, destination.into(), headers, ack, prefetch);
        let subscribed =
            client.connection.subscribe(Source::Destination(destination.into()), Arc::new(subscription));
        subscribed.await.unwrap();
        tokio::task::yield_now().await;
        client.unsubscribe(serial);
    }
    let frames = client.frames();
    let mut last = (String::new(), 0);
    for frame in &frames {
        let (subscription, number) = (header(frame, "subscription").unwrap(), body(frame).parse().unwrap());
        if subscription == last.0 {
            assert!(number > last.1, "{number} behind {} to {subscription}", last.1);
        }
        last = (subscription.to_owned(), number);
    }
    frames.len()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn whoever_comes_and_goes_gets_no_message_twice() {
    let bus = InProcess::new();
    let node = || MemoryBroker::builder().bus(Arc::new(bus.connect())).build();
    let (here, there) = (node(), node());
    let tasks: Vec<_> = ["/topic/a", "/topic/a", "/topic/*", "/topic/*", "/topic/a"]
        .into_iter()
        .map(|destination| tokio::spawn(come_and_go(there.clone(), destination)))
        .collect();
    let (done, is_done) = std::sync::mpsc::channel::<()>();
    let sending = thread::spawn(move || {
        let mut number = 0_u64;
        while is_done.try_recv() == Err(std::sync::mpsc::TryRecvError::Empty) {
            publish(&here, "/topic/a", number).unwrap();
            number += 1;
            if number % 64 == 0 {
                thread::yield_now();
            }
        }
    });
    let mut got = 0;
    for task in tasks {
        got += task.await.unwrap();
    }
    drop(done);
    sending.join().unwrap();
    assert!(got > 0, "nothing has come");
    assert_eq!(there.link.as_ref().unwrap().interests_len(), 0);
}
