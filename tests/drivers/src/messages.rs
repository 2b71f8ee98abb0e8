//! Publish and subscribe.

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use sockjs_bus::{ConnectError, PublishError, Status, SubscribeError, kit};
use tokio::{sync::mpsc, time::timeout};

use crate::{
    engine::{Engine, Settings, USER},
    server::Server,
    wait::{connected, limited, subject, subscribe, until},
};

/// All rules of the kit.
pub async fn a_driver_is_a_bus(engine: &'static dyn Engine) {
    kit::all(&Server::start(engine)).await;
}

/// A server that is stopped is one that is away, until it goes on.
pub async fn a_server_that_says_nothing_is_noticed_and_comes_back(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let (here, there) = (server.connect_quick().await, server.connect_quick().await);
    let name = subject("stopped");
    let (_subscription, mut received) = subscribe(&*there, "stopped").await;
    server.signal("STOP");
    // What is published does not hide it.
    let mut status = here.status();
    let start = Instant::now();
    while status.borrow_and_update().is_connected() {
        assert!(start.elapsed() < Duration::from_secs(10), "a server that is stopped is noticed");
        _ = here.publish(&name, "lost or late".into());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(here.publish(&name, "refused".into()), Err(PublishError::Disconnected));
    connected(&*there, false).await;
    let late = timeout(Duration::from_secs(1), server.try_connect(&Settings::quick())).await;
    let late = late.expect("it is answered in time");
    assert!(matches!(late, Err(ConnectError::TimedOut)), "{late:?}");
    server.signal("CONT");
    connected(&*here, true).await;
    connected(&*there, true).await;
    here.publish(&name, "again".into()).unwrap();
    loop {
        if limited("messages flow again", received.recv()).await.unwrap() == "again" {
            break;
        }
    }
    let stats = here.stats();
    assert!(stats.disconnected >= 1 && stats.reconnects == 1, "{stats:?}");
}

/// A queue is full by the number of its messages, or by their bytes.
pub async fn a_queue_that_is_full_refuses_and_nothing_waits(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let of = |messages, bytes| Settings { queue: Some((messages, bytes)), ..Settings::default() };
    let bus = server.try_connect(&of(10, 1 << 20)).await.unwrap();
    // On this runtime nothing is sent before this test waits.
    let results: Vec<_> = (0..20).map(|_| bus.publish(&subject("a"), "x".into())).collect();
    assert_eq!(results[..10], [Ok(()); 10]);
    assert_eq!(results[10..], [Err(PublishError::Full); 10]);
    assert_eq!((bus.stats().published, bus.stats().full), (10, 10));
    let bytes = server.try_connect(&of(1000, 1 << 20)).await.unwrap();
    let results: Vec<_> = (0..3).map(|_| bytes.publish(&subject("a"), vec![0; 1 << 19].into())).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(PublishError::Full)]);
}

/// What was taken, and cannot be sent any more, is counted.
pub async fn what_waits_when_the_server_goes_is_lost_and_counted(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let bus = server.connect_quick().await;
    server.kill();
    // Before this node can know it.
    for _ in 0..100 {
        bus.publish(&subject("a"), "x".into()).unwrap();
    }
    connected(&*bus, false).await;
    assert_eq!(bus.publish(&subject("a"), "x".into()), Err(PublishError::Disconnected));
    assert!(bus.stats().disconnected >= 1);
    assert!(matches!(*bus.status().borrow(), Status::Reconnecting { .. }));
}

/// Each message is given to a receiver or counted.
pub async fn what_a_slow_receiver_loses_is_counted(engine: &'static dyn Engine) {
    const COUNT: u64 = 100;
    let server = Server::start(engine);
    let here = server.connect().await;
    let slow = Settings { subscription_queue: Some(1), ..Settings::default() };
    let there = server.try_connect(&slow).await.unwrap();
    let name = subject("slow");
    let (_subscription, _received) = subscribe(&*there, "slow").await;
    // They come with one read, and on this runtime no receiver is called meanwhile.
    for _ in 0..COUNT {
        here.publish(&name, "x".into()).unwrap();
    }
    until("each is received or counted", || there.stats().received + there.stats().overflowed >= COUNT).await;
    let stats = there.stats();
    assert!(stats.overflowed > 0 && stats.received + stats.overflowed == COUNT, "{stats:?}");
}

/// Each reason not to connect has its error, in which nothing is secret.
pub async fn credentials_and_addresses_that_are_wrong_are_told(engine: &'static dyn Engine) {
    let server = Server::start_with(engine, false, |directory, _| engine.restricted(directory, USER));
    let of = |user, password| Settings { user: Some((user, password)), ..Settings::default() };
    assert!(server.try_connect(&of(USER.0, USER.1)).await.is_ok());
    let encoded = server.address_of("chat:s%40cret@");
    assert!(engine.connect(&encoded, &Settings::default()).await.is_ok());
    for wrong in [Settings::default(), of(USER.0, "guess"), of("eve", USER.1)] {
        let error = server.try_connect(&wrong).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unauthorized(_)), "{error:?}");
        assert_eq!(error.to_string(), "the server of the bus refuses the credentials");
    }
    let address = server.address();
    drop(server);
    let error = engine.connect(&address, &Settings::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    let address = format!("{}://chat:secret@host:port", engine.scheme(false));
    let error = engine.connect(&address, &Settings::default()).await.unwrap_err();
    assert!(matches!(error, ConnectError::Invalid(_)), "{error:?}");
    assert!(!format!("{error:?} {error}").contains("secret"));
    let none = Settings { queue: Some((0, 1)), ..Settings::default() };
    let error = engine.connect(&format!("{}://127.0.0.1:1", engine.scheme(false)), &none).await.unwrap_err();
    assert!(matches!(error, ConnectError::Invalid(_)), "{error:?}");
}

/// The last reason is there while a bus tries to connect, and no longer than that.
pub async fn a_bus_that_is_not_let_in_says_why_and_goes_on_trying(engine: &'static dyn Engine) {
    let server = Server::start_with(engine, false, |directory, _| engine.restricted(directory, USER));
    let settings = Settings { user: Some((USER.0, "guess")), is_early: true, ..Settings::quick() };
    let bus = server.try_connect(&settings).await.unwrap();
    until("it is not let in", || matches!(bus.failure(), Some(ConnectError::Unauthorized(_)))).await;
    assert!(matches!(*bus.status().borrow(), Status::Reconnecting { .. }));
    assert_eq!(bus.publish(&subject("a"), "x".into()), Err(PublishError::Disconnected));
    server.kill();
    until("no server is there", || matches!(bus.failure(), Some(ConnectError::Unreachable(_)))).await;
    server.set_arguments(|directory| engine.restricted(directory, (USER.0, "guess")));
    server.run();
    limited("it is let in", connected(&*bus, true)).await;
    assert!(bus.failure().is_none(), "{:?}", bus.failure());
}

/// A bus that does not wait for its server connects when that is there.
pub async fn a_bus_can_be_there_before_its_server(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    server.kill();
    let early = Settings { is_early: true, ..Settings::quick() };
    let bus = server.try_connect(&early).await.unwrap();
    assert_eq!(bus.publish(&subject("a"), "x".into()), Err(PublishError::Disconnected));
    let (sender, mut received) = mpsc::unbounded_channel();
    let mut subscription = bus.subscribe(&subject("a"), Arc::new(move |payload| _ = sender.send(payload)));
    server.run();
    connected(&*bus, true).await;
    subscription.ready().await.unwrap();
    bus.publish(&subject("a"), "x".into()).unwrap();
    assert_eq!(received.recv().await.unwrap(), "x");
    assert_eq!(bus.stats().reconnects, 0, "it is the first connection");
    let mut status = bus.status();
    drop(bus);
    assert_eq!(*status.borrow_and_update(), Status::Closed);
    assert!(subscription.ready().await.is_ok(), "the answer is kept");
}

/// A subscription is refused with the server's words, messages are counted, and others are not touched by that.
pub async fn what_a_user_may_not_do_is_refused(engine: &'static dyn Engine) {
    let server = Server::start_with(engine, false, |directory, _| engine.restricted(directory, USER));
    let user = Settings { user: Some(USER), ..Settings::default() };
    let bus = server.try_connect(&user).await.unwrap();
    let (_allowed, mut received) = subscribe(&*bus, "chat.room").await;
    let mut refused = bus.subscribe(&subject("other.room"), Arc::new(|_| {}));
    let error = limited("an answer", refused.ready()).await.unwrap_err();
    assert!(matches!(error, SubscribeError::Refused(_)), "{error:?}");
    for name in ["other.room", "chat.room", "other.room"] {
        bus.publish(&subject(name), name.into()).unwrap();
    }
    assert_eq!(limited("a message", received.recv()).await.unwrap(), "chat.room");
    until("they are counted", || bus.stats().forbidden == 2).await;
    assert_eq!((bus.stats().published, bus.stats().disconnected), (3, 0));
}
