//! What the broker does as a whole.

mod nodes_model;
mod nodes_stress;
mod queue_model;
mod stress;
mod support;
mod topic_model;

use std::{
    collections::HashSet,
    num::NonZero,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use futures_util::FutureExt as _;
use stomp_codec::{Headers, Version};

use self::support::{ALWAYS, Client, body, header, message, publish};
use super::{store::Store, *};
use crate::{
    AckMode,
    broker::{Settlement, Source},
};

fn competing() -> MemoryBrokerBuilder {
    MemoryBroker::builder().queue_mode(QueueMode::Competing)
}

fn to_user(broker: &MemoryBroker, name: &str, destination: &str) -> usize {
    let target = Target::User { name: name.into(), destination: destination.into() };
    broker.publish(target, message("/user/queue/a", "x")).now_or_never().unwrap().unwrap().delivered
}

#[test]
fn a_queue_broadcasts_by_default() {
    let broker = MemoryBroker::new();
    let (mut first, mut second) = (Client::fast(&broker), Client::fast(&broker));
    assert_eq!(publish(&broker, "/queue/a", 1).unwrap(), Published::default());
    first.subscribe("/queue/a", AckMode::Client, 1);
    first.subscribe("/queue/**", AckMode::Auto, 1);
    second.subscribe("/queue/a", AckMode::Auto, 1);
    for number in 2..5 {
        assert_eq!(publish(&broker, "/queue/a", number).unwrap().delivered, 3);
    }
    // An acknowledgement has no effect.
    first.accept(0, 1);
    first.reject(0, 2, true);
    assert_eq!(first.bodies(), ["2", "2", "3", "3", "4", "4"]);
    assert_eq!(second.bodies(), ["2", "3", "4"]);
    let stats = broker.stats();
    assert_eq!((stats.topics, stats.patterns, stats.queues, stats.subscriptions), (1, 1, 0, 3));
}

#[test]
fn a_message_that_is_published_again_is_another_one() {
    let broker = MemoryBroker::new();
    let mut clients = [Client::fast(&broker), Client::fast(&broker)];
    for client in &mut clients {
        client.subscribe("/topic/a", AckMode::Auto, 1);
    }
    let message = message("/topic/a", "x");
    for _ in 0..4 {
        let published = broker.publish(Target::Destination("/topic/a".into()), message.clone());
        assert_eq!(published.now_or_never().unwrap().unwrap().delivered, 2);
    }
    for client in &mut clients {
        let frames = client.frames();
        let ids: HashSet<_> = frames.iter().map(|frame| header(frame, "message-id").unwrap()).collect();
        assert_eq!((frames.len(), ids.len()), (4, 4), "{ids:?}");
        assert!(frames.iter().all(|frame| body(frame) == "x"));
    }
}

#[test]
fn a_destination_that_is_sent_to_is_never_a_pattern() {
    let broker = MemoryBroker::new();
    let mut client = Client::fast(&broker);
    client.subscribe("/topic/a", AckMode::Auto, 1);
    client.subscribe("/topic/a/b", AckMode::Auto, 1);
    client.subscribe("/topic/*", AckMode::Auto, 1);
    assert_eq!(publish(&broker, "/topic/**", "text").unwrap().delivered, 1);
    assert_eq!(publish(&broker, "/topic/?", "text").unwrap().delivered, 1);
    for frame in client.frames() {
        assert_eq!(header(&frame, "subscription"), Some("s2"));
    }
}

#[test]
fn what_has_no_prefix_is_refused() {
    let broker = competing().build();
    let mut client = Client::fast(&broker);
    for destination in ["/topicX", "/**", "/{x}/a", "/to?ic/a", "/user/ann/queue/a", ""] {
        assert!(!broker.has(destination));
        let published = publish(&broker, destination, "x");
        assert!(matches!(published, Err(BrokerError::InvalidDestination(_))), "{destination}");
        let source = Source::Destination(destination.into());
        let subscribed = client.try_subscribe(source, AckMode::Auto, 1);
        assert!(matches!(subscribed, Err(BrokerError::InvalidDestination(_))), "{destination}");
    }
    let source = Source::Destination("/topic/*a?b*".into());
    let subscribed = client.try_subscribe(source, AckMode::Auto, 1);
    assert!(matches!(subscribed, Err(BrokerError::InvalidDestination(_))));
    assert_eq!(broker.stats().subscriptions, 0);
}

#[test]
fn queues_that_are_competed_for_have_no_patterns() {
    let broker = competing().build();
    let mut client = Client::fast(&broker);
    for name in ["/queue/*", "/queue/**", "/queue/a?", "/queue/{x}"] {
        let subscribed = client.try_subscribe(Source::Destination(name.into()), AckMode::Auto, 1);
        assert!(matches!(subscribed, Err(BrokerError::InvalidDestination(_))), "{name}");
        assert!(matches!(publish(&broker, name, "x"), Err(BrokerError::InvalidDestination(_))), "{name}");
    }
    // Of a user's own destinations nothing is kept, so they are topics.
    client.try_subscribe(Source::User("/queue/**".into()), AckMode::Auto, 1).unwrap();
    assert_eq!(to_user(&broker, &client.id.to_string(), "/queue/a"), 1);
    assert_eq!(broker.stats().queues, 0);
}

#[test]
fn a_user_has_all_of_his_sessions_and_no_others() {
    let broker = MemoryBroker::new();
    let mut clients: Vec<_> = [Some("ann"), Some("ann"), Some("bob"), None]
        .into_iter()
        .map(|user| Client::new(&broker, user, ALWAYS, ALWAYS))
        .collect();
    for client in &mut clients {
        client.try_subscribe(Source::User("/queue/a".into()), AckMode::Auto, 1).unwrap();
        client.try_subscribe(Source::User("/**".into()), AckMode::Auto, 1).unwrap();
        // What a client may try to hear others by.
        for pattern in ["/topic/**", "/queue/**", "/queue/a"] {
            client.subscribe(pattern, AckMode::Auto, 1);
        }
    }
    let ids: Vec<_> = clients.iter().map(|client| client.id).collect();
    let anonymous = ids[3].to_string();
    let with_user = ids[0].to_string();
    for (name, reached) in [
        ("ann", &[0, 1][..]),
        ("bob", &[2]),
        (&*anonymous, &[3]),
        (&*with_user, &[]),
        ("carl", &[]),
        ("**", &[]),
    ] {
        assert_eq!(to_user(&broker, name, "/queue/a"), 2 * reached.len(), "{name}");
        for (index, client) in clients.iter().enumerate() {
            assert_eq!(client.bodies().len(), if reached.contains(&index) { 2 } else { 0 }, "{name}");
        }
    }
    let session = |id| {
        let target = Target::Session { id, destination: "/queue/b".into() };
        broker.publish(target, message("/user/queue/b", "x")).now_or_never().unwrap().unwrap().delivered
    };
    assert_eq!(session(ids[1]), 1);
    assert_eq!(clients[1].bodies(), ["x"]);
    assert_eq!((broker.stats().sessions, broker.stats().users), (4, 3));
    clients.truncate(1);
    assert_eq!((to_user(&broker, "ann", "/queue/a"), session(ids[1])), (2, 0));
    drop(clients);
    assert_eq!(to_user(&broker, "ann", "/queue/a"), 0);
    assert_eq!(broker.stats(), MemoryBrokerStats::default());
}

#[test]
fn a_user_with_the_name_of_a_session_gets_nothing_of_it() {
    let broker = MemoryBroker::new();
    let mut session = Client::fast(&broker);
    let id = session.id.to_string();
    let mut user = Client::new(&broker, Some(&id), ALWAYS, ALWAYS);
    for client in [&mut session, &mut user] {
        client.try_subscribe(Source::User("/queue/a".into()), AckMode::Auto, 1).unwrap();
    }
    assert_eq!(broker.stats().users, 2);
    assert_eq!(to_user(&broker, &id, "/queue/a"), 1);
    assert_eq!((session.bodies().len(), user.bodies().len()), (1, 0));
    session.end();
    assert_eq!((broker.stats().sessions, broker.stats().users), (1, 1));
    assert_eq!(to_user(&broker, &id, "/queue/a"), 1);
    drop(user);
    assert_eq!((broker.stats().sessions, broker.stats().users), (0, 0));
}

#[test]
fn with_dots_a_slash_is_a_character() {
    let broker = MemoryBroker::builder().separator('.').build();
    let mut client = Client::fast(&broker);
    for pattern in ["/topic/a.*", "/topic/*.**", "/topic/*"] {
        client.subscribe(pattern, AckMode::Auto, 1);
    }
    for (destination, count) in [("/topic/a.b", 2), ("/topic/a", 2), ("/topic/b.c.d", 1), ("/topic/a/b", 2)] {
        assert_eq!(publish(&broker, destination, "x").unwrap().delivered, count, "{destination}");
    }
}

#[test]
fn limits_are_named() {
    let limit = |result: Result<Published, _>| match result {
        Err(BrokerError::LimitExceeded(name)) => name,
        other => panic!("{other:?}"),
    };
    let broker = competing()
        .max_patterns(2)
        .max_pattern_bytes(20)
        .max_segments(5)
        .max_queues(2)
        .max_queue_messages(2)
        .max_queue_bytes(2000)
        .max_total_queue_bytes(2200)
        .build();
    let mut client = Client::fast(&broker);
    let mut subscribe = |destination: &str| {
        let source = Source::Destination(destination.into());
        client.try_subscribe(source, AckMode::Auto, 1).map(|_| Published::default())
    };
    subscribe("/topic/*").unwrap();
    subscribe("/topic/**").unwrap();
    // These are the same pattern, and the same again with another name.
    subscribe("/topic/{a}").unwrap();
    subscribe("/topic/{b}").unwrap();
    assert_eq!(limit(subscribe("/topic/a*")), "max_patterns");
    assert_eq!(limit(subscribe(&format!("/topic/{}*", "a".repeat(20)))), "max_pattern_bytes");
    subscribe(&format!("/topic/{}", "a".repeat(20))).unwrap();
    assert_eq!(limit(subscribe("/topic/a/b/c/d")), "max_segments");
    assert_eq!(limit(publish(&broker, "/topic/a/b/c/d", "x")), "max_segments");
    client.unsubscribe(1);
    client.subscribe(&format!("/topic/{}*", "a".repeat(12)), AckMode::Auto, 1);

    assert_eq!(limit(publish(&broker, "/queue/a", "x".repeat(2000))), "max_queue_bytes");
    assert_eq!(broker.stats().queues, 0);
    publish(&broker, "/queue/a", "x").unwrap();
    publish(&broker, "/queue/a", "x").unwrap();
    assert_eq!(limit(publish(&broker, "/queue/a", "x")), "max_queue_messages");
    publish(&broker, "/queue/b", "x".repeat(600)).unwrap();
    assert_eq!(limit(publish(&broker, "/queue/b", "x".repeat(100))), "max_total_queue_bytes");
    assert_eq!(limit(publish(&broker, "/queue/c", "x")), "max_queues");
    let source = Source::Destination("/queue/c".into());
    let subscribed = client.try_subscribe(source, AckMode::Auto, 1);
    assert_eq!(limit(subscribed.map(|_| Published::default())), "max_queues");
    // A consumer makes room.
    let consumer = client.subscribe("/queue/a", AckMode::Auto, 1);
    client.unsubscribe(consumer);
    assert_eq!(broker.stats().queues, 1, "{:?}", broker.stats());
    publish(&broker, "/queue/c", "x").unwrap();
    assert_eq!(broker.stats().queued_messages, 2);
}

#[test]
fn one_session_cannot_use_up_all_patterns() {
    let broker = MemoryBroker::builder().max_patterns(4).max_patterns_per_session(3).build();
    let [mut greedy, mut other] = [Client::fast(&broker), Client::fast(&broker)];
    let subscribe = |client: &mut Client, source| client.try_subscribe(source, AckMode::Auto, 1);
    let topic = |name: &str| Source::Destination(format!("/topic/{name}").into());
    for source in [topic("a*"), topic("a*"), Source::User("/queue/*".into())] {
        subscribe(&mut greedy, source).unwrap();
    }
    for source in [topic("b*"), topic("a*"), Source::User("/a*".into())] {
        let refused = subscribe(&mut greedy, source);
        assert!(
            matches!(refused, Err(BrokerError::LimitExceeded("max_patterns_per_session"))),
            "{refused:?}"
        );
    }
    // What is no pattern does not count, and others have what is left.
    subscribe(&mut greedy, topic("b")).unwrap();
    for name in ["b*", "c*", "d*"] {
        subscribe(&mut other, topic(name)).unwrap();
    }
    // One that has ended makes room.
    for ended in [1, 2] {
        greedy.unsubscribe(ended);
    }
    subscribe(&mut greedy, topic("b*")).unwrap();
    subscribe(&mut greedy, topic("c*")).unwrap();
    assert!(subscribe(&mut greedy, topic("d*")).is_err());
}

#[test]
fn a_limit_of_bytes_may_be_reached() {
    let body = |length: usize| "x".repeat(length - Store::size(&message("/queue/a", "")));
    for (queue, total) in [(2000, usize::MAX), (usize::MAX, 2000)] {
        let broker = competing().max_queue_bytes(queue).max_total_queue_bytes(total).build();
        assert!(publish(&broker, "/queue/a", body(2001)).is_err());
        publish(&broker, "/queue/a", body(2000)).unwrap();
        assert!(publish(&broker, "/queue/a", "").is_err());
        assert_eq!(broker.stats().queued_bytes, 2000);
    }
}

#[test]
fn a_number_of_a_subscription_is_used_once() {
    let broker = competing().build();
    let mut client = Client::fast(&broker);
    client.subscribe("/queue/a", AckMode::Auto, 1);
    let other = Client::fast(&broker);
    let subscription = Arc::new(crate::Subscription::new(
        0,
        Version::V1_2,
        "/queue/b".into(),
        Headers::new(),
        AckMode::Auto,
        NonZero::new(1).unwrap(),
    ));
    for (connection, is_free) in [(&client.connection, false), (&other.connection, true)] {
        let source = Source::Destination("/queue/b".into());
        let subscribed = connection.subscribe(source, subscription.clone()).now_or_never().unwrap();
        assert_eq!(subscribed.is_ok(), is_free);
    }
    assert_eq!(broker.stats().subscriptions, 2);
}

#[test]
fn who_comes_and_goes_leaves_no_turns() {
    let broker = competing().build();
    let (mut one, mut other) = (Client::fast(&broker), Client::fast(&broker));
    one.subscribe("/queue/a", AckMode::Auto, 1);
    for _ in 0..100 {
        let serial = other.subscribe("/queue/a", AckMode::Auto, 1);
        other.unsubscribe(serial);
        broker.shared.queues.check();
    }
}

#[test]
fn nobody_refuses_a_message_for_ever() {
    let dead = Arc::<Mutex<Vec<_>>>::default();
    let collected = dead.clone();
    let broker = competing()
        .max_deliveries(3)
        .on_dead_letter(move |each| {
            let text = String::from_utf8_lossy(each.message().body()).into_owned();
            collected.lock().unwrap().push((text, each.queue().to_owned(), each.deliveries(), each.reason()));
        })
        .build();
    let mut client = Client::fast(&broker);
    client.subscribe("/queue/a", AckMode::ClientIndividual, 1);
    for text in ["a", "b"] {
        publish(&broker, "/queue/a", text).unwrap();
    }
    let mut number = 0;
    let mut refused = Vec::new();
    loop {
        let frames = client.frames();
        if frames.is_empty() {
            break;
        }
        for frame in frames {
            number += 1;
            refused.push((body(&frame).to_owned(), header(&frame, "redelivered").is_some()));
            client.reject(0, number, true);
        }
    }
    let each = |text: &str| [false, true, true].map(|is_redelivered| (text.to_owned(), is_redelivered));
    assert_eq!(refused, [each("a"), each("b")].concat());
    publish(&broker, "/queue/a", "c").unwrap();
    client.reject(0, 7, false);
    let dead = dead.lock().unwrap();
    let expected = [("a", 3, DeadLetterReason::Deliveries), ("b", 3, DeadLetterReason::Deliveries)]
        .into_iter()
        .chain([("c", 1, DeadLetterReason::Rejected)])
        .map(|(text, deliveries, reason)| (text.to_owned(), "/queue/a".to_owned(), deliveries, reason));
    assert_eq!(*dead, expected.collect::<Vec<_>>());
    assert_eq!(broker.stats().dead_letters, 3);
}

#[test]
fn none_at_all_is_the_same_as_one_delivery() {
    for deliveries in [0, 1] {
        let broker = competing().max_deliveries(deliveries).build();
        publish(&broker, "/queue/a", "x").unwrap();
        let mut slow = Client::new(&broker, None, 0, ALWAYS);
        slow.subscribe("/queue/a", AckMode::Auto, 1);
        // It has not been written, and nobody was to acknowledge it.
        slow.end();
        let mut client = Client::fast(&broker);
        client.subscribe("/queue/a", AckMode::Client, 1);
        assert_eq!(client.bodies(), ["x"], "{deliveries}");
        client.reject(0, 1, true);
        assert_eq!((client.bodies().len(), broker.stats().dead_letters), (0, 1), "{deliveries}");
    }
}

#[test]
fn a_dead_letter_may_be_sent_on_and_a_panic_harms_nobody() {
    let slot = Arc::<std::sync::OnceLock<MemoryBroker>>::default();
    let weak = Arc::downgrade(&slot);
    let broker = competing()
        .max_deliveries(1)
        .on_dead_letter(move |each| {
            let slot = weak.upgrade().unwrap();
            let broker = slot.get().unwrap();
            // Into the same queue, and into another one.
            for queue in [each.queue(), "/queue/dead"] {
                let target = Target::Destination(queue.into());
                broker.publish(target, each.message().clone()).now_or_never().unwrap().unwrap();
            }
            panic!("not handled");
        })
        .build();
    slot.set(broker.clone()).unwrap();
    let mut client = Client::fast(&broker);
    client.subscribe("/queue/a", AckMode::Client, 10);
    for text in ["a", "b", "c"] {
        publish(&broker, "/queue/a", text).unwrap();
    }
    assert_eq!(client.bodies(), ["a", "b", "c"]);
    client.reject(0, 2, true);
    assert_eq!(client.bodies(), ["a", "b"]);
    // By the end of the connection, too.
    client.end();
    let mut last = Client::fast(&broker);
    last.subscribe("/queue/a", AckMode::Auto, 1);
    last.subscribe("/queue/dead", AckMode::Auto, 1);
    // The first two have died twice.
    let bodies = last.bodies();
    let (again, dead) = bodies.split_at(3);
    assert_eq!((again.len(), dead.len()), (3, 5), "{bodies:?}");
    assert_eq!(broker.stats().dead_letters, 5);
}

#[test]
fn what_is_on_its_way_is_not_given_back() {
    let broker = competing().build();
    let mut slow = Client::new(&broker, None, 1, ALWAYS);
    slow.subscribe("/queue/a", AckMode::Auto, 2);
    for number in 1..6 {
        publish(&broker, "/queue/a", number).unwrap();
    }
    // One has been written, two wait for that, and two for room.
    slow.unsubscribe(0);
    slow.unsubscribe(0);
    let mut other = Client::fast(&broker);
    other.subscribe("/queue/a", AckMode::Auto, 1);
    assert_eq!(other.bodies(), ["4", "5"]);
    slow.link.allow(1);
    slow.run();
    assert_eq!(slow.bodies(), ["1", "2"]);
    assert_eq!(broker.stats().subscriptions, 1);
    // What has not been written when the session ends goes to others.
    slow.end();
    let frames = other.frames();
    assert_eq!((frames.len(), body(&frames[0]), header(&frames[0], "redelivered")), (1, "3", Some("true")));
    other.end();
    assert_eq!(broker.stats(), MemoryBrokerStats::default());
}

#[test]
fn what_several_subscriptions_of_a_session_give_back_comes_in_its_old_order() {
    let broker = competing().build();
    let (mut gone, mut other) = (Client::fast(&broker), Client::fast(&broker));
    for ack in [AckMode::Client, AckMode::ClientIndividual] {
        gone.subscribe("/queue/a", ack, 10);
    }
    for number in 1..=6 {
        publish(&broker, "/queue/a", number).unwrap();
    }
    assert_eq!(gone.bodies().len(), 6);
    other.subscribe("/queue/a", AckMode::Client, 10);
    gone.end();
    assert_eq!(other.bodies(), ["1", "2", "3", "4", "5", "6"]);
}

#[test]
fn a_session_that_is_being_closed_still_gets_what_waits() {
    let broker = competing().build();
    let mut client = Client::new(&broker, None, 0, ALWAYS);
    client.subscribe("/queue/a", AckMode::Auto, 2);
    publish(&broker, "/queue/a", 1).unwrap();
    client.outbox.close(None);
    assert!(publish(&broker, "/queue/a", 2).unwrap().is_stored);
    client.link.allow(9);
    client.run();
    assert_eq!(client.bodies(), ["1"]);
    client.end();
    let stats = broker.stats();
    assert_eq!((stats.queued_messages, stats.subscriptions), (1, 0));
}

#[test]
fn a_slow_client_does_not_stand_in_the_way() {
    let broker = competing().build();
    let mut slow = Client::new(&broker, None, 0, 1);
    let mut fast = Client::fast(&broker);
    slow.subscribe("/queue/a", AckMode::Auto, 9);
    fast.subscribe("/queue/a", AckMode::Auto, 9);
    for number in 0..5 {
        assert_eq!(publish(&broker, "/queue/a", number).unwrap().delivered, 1);
    }
    assert_eq!(fast.bodies(), ["1", "2", "3", "4"]);
    slow.link.allow(2);
    slow.run();
    publish(&broker, "/queue/a", 5).unwrap();
    publish(&broker, "/queue/a", 6).unwrap();
    assert_eq!((slow.bodies(), fast.bodies()), (vec!["0".into(), "6".into()], vec!["5".to_owned()]));
}

#[test]
fn queues_of_a_slow_client_get_their_turns() {
    let broker = competing().build();
    let mut client = Client::new(&broker, None, 0, 1);
    for name in ["/queue/a", "/queue/b", "/queue/c"] {
        for _ in 0..6 {
            publish(&broker, name, name).unwrap();
        }
        client.subscribe(name, AckMode::Auto, 9);
    }
    let mut got = Vec::new();
    for _ in 0..10 {
        client.link.allow(1);
        client.run();
        got.extend(client.bodies());
    }
    let count = |name| got.iter().filter(|each| *each == name).count();
    // The first one had a message before the others were there.
    assert_eq!((count("/queue/a"), count("/queue/b"), count("/queue/c")), (4, 3, 3), "{got:?}");
}

/// A body of an application's, which does what `Drop` may do.
struct Owned(MemoryBroker, Arc<AtomicUsize>);

impl AsRef<[u8]> for Owned {
    fn as_ref(&self) -> &[u8] {
        b"body"
    }
}

impl Drop for Owned {
    fn drop(&mut self) {
        self.1.fetch_add(1, Ordering::Relaxed);
        publish(&self.0, "/queue/a", "dropped").unwrap();
        publish(&self.0, "/topic/a", "dropped").unwrap();
    }
}

#[test]
fn nothing_that_is_kept_shares_memory_with_what_was_sent() {
    let broker = competing().build();
    let dropped = Arc::new(AtomicUsize::new(0));
    let mut client = Client::fast(&broker);
    let send = |destination: &'static str| {
        let body = Bytes::from_owner(Owned(broker.clone(), dropped.clone()));
        let message = Message::new(destination, &Headers::from_iter([("a", "b")]), body);
        broker
            .publish(Target::Destination(destination.into()), message.into())
            .now_or_never()
            .unwrap()
            .unwrap()
    };
    // It is stored, then unacknowledged, then written, and of a topic.
    assert!(send("/queue/a").is_stored);
    client.subscribe("/queue/b", AckMode::Client, 1);
    assert_eq!(send("/queue/b").delivered, 1);
    client.subscribe("/queue/c", AckMode::Auto, 1);
    assert_eq!(send("/queue/c").delivered, 1);
    client.subscribe("/topic/a", AckMode::Auto, 1);
    send("/topic/a");
    assert_eq!(dropped.load(Ordering::Relaxed), 4);
    client.bodies();
    client.subscribe("/queue/a", AckMode::Auto, 1);
    assert_eq!(client.bodies(), ["body", "dropped", "dropped", "dropped", "dropped"]);
}

#[test]
fn a_message_that_is_settled_stays_so() {
    let broker = competing().build();
    let mut client = Client::fast(&broker);
    client.subscribe("/queue/a", AckMode::Client, 9);
    for number in 1..5 {
        publish(&broker, "/queue/a", number).unwrap();
    }
    client.accept(0, 2);
    client.reject(0, 1, true);
    client.reject(0, 2, true);
    client.accept(7, 1);
    client.connection.written(crate::MessageId { subscription: 0, number: 3 });
    assert_eq!(broker.stats().queued_messages, 2);
    client.settle(0, u64::MAX, Settlement::Accepted);
    assert_eq!(broker.stats().queued_messages, 0);
    client.unsubscribe(0);
    client.reject(0, 4, true);
    assert_eq!(client.bodies(), ["1", "2", "3", "4"]);
    assert_eq!(broker.stats().queues, 0);
}

#[test]
fn what_slow_clients_do_not_get_is_counted() {
    let broker = MemoryBroker::new();
    let mut slow = Client::new(&broker, None, 0, 1);
    slow.subscribe("/topic/a", AckMode::Auto, 1);
    for _ in 0..3 {
        publish(&broker, "/topic/a", "x").unwrap();
    }
    assert_eq!(broker.stats().dropped, 2);
}
