//! STOMP's brokers of two nodes.

use std::time::{Duration, Instant};

use axum_stomp::{
    ClientSend, Credentials, SendError, Stomp, StompOptions, StompServer, User,
    broker::{
        Broker, BrokerError,
        memory::{MemoryBroker, QueueMode},
    },
    test::{TestClient, TestSession},
};

use crate::{engine::Engine, server::Server, wait::until};

async fn node(server: &Server) -> StompServer {
    let broker = MemoryBroker::builder()
        .bus(server.connect().await)
        .dead_after(Duration::from_secs(1))
        .queue_prefixes(["/queue"])
        .queue_mode(QueueMode::Competing)
        .build();
    Stomp::new()
        .options(StompOptions::new().client_send(ClientSend::HANDLERS.broker(true)))
        .broker(broker)
        .on_connect(async |credentials: Credentials| User(credentials.login.into()))
        .build()
}

async fn client(node: &StompServer, user: &str) -> TestSession {
    let app = node.sockjs().into_router("/stomp");
    TestClient::new(app, "/stomp")
        .login(user.to_owned(), "x")
        .patience(Duration::from_secs(20))
        .connect()
        .await
}

fn is_connected(node: &StompServer) -> bool {
    node.stats().bus.unwrap().status.is_connected()
}

/// Messages to topics and users reach both nodes, once and in order, and again after an outage.
pub async fn topics_and_users_are_those_of_both_nodes(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let (here, there) = (node(&server).await, node(&server).await);
    let (mut ada, mut bob) = (client(&here, "ada").await, client(&there, "bob").await);
    let exact = bob.subscribe("/topic/a/b").await;
    let pattern = bob.subscribe("/topic/a/*").await;
    let own = bob.subscribe("/user/queue/news").await;
    // In order, each once, from a client.
    for number in 0..100 {
        ada.send("/topic/a/b", number.to_string()).await;
    }
    for number in 0..100 {
        for subscription in [&exact, &pattern] {
            assert_eq!(bob.message_of(subscription).await.text(), number.to_string());
        }
    }
    // From code.
    here.messenger().send_to_user("bob", "/queue/news", "hello").await.unwrap();
    let message = bob.message_of(&own).await;
    assert_eq!((message.text(), message.destination()), ("hello", "/user/queue/news"));
    bob.expect_nothing(Duration::from_millis(50)).await;
    // After an outage messages flow again, without a restart; meanwhile each goes on by itself.
    let local = ada.subscribe("/topic/local").await;
    server.kill();
    until("the nodes see it", || !is_connected(&here) && !is_connected(&there)).await;
    let sent = here.messenger().send("/topic/local", "alone").await.unwrap();
    assert!(sent.delivered == 1 && sent.bus.is_some(), "{sent:?}");
    assert_eq!(ada.message_of(&local).await.text(), "alone");
    server.run();
    until("the nodes come back", || is_connected(&here) && is_connected(&there)).await;
    // Subscriptions may come back a little later than the connection.
    let messenger = here.messenger();
    let again = tokio::spawn(async move {
        loop {
            messenger.send("/topic/a/b", "again").await.unwrap();
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    });
    for subscription in [&exact, &pattern] {
        assert_eq!(bob.message_of(subscription).await.text(), "again");
    }
    again.abort();
}

/// One of two nodes owns a queue, and the other one says so.
pub async fn a_queue_is_that_of_one_node(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let (here, there) = (node(&server).await, node(&server).await);
    until("they know each other", || [&here, &there].iter().all(|node| node.stats().bus.unwrap().nodes == 1))
        .await;
    let (one, other) = (here.messenger(), there.messenger());
    let results = tokio::join!(one.send("/queue/a", "1"), other.send("/queue/a", "1"));
    let (owner, loser, refused) = match results {
        (Ok(_), Err(refused)) => (&here, &there, refused),
        (Err(refused), Ok(_)) => (&there, &here, refused),
        results => panic!("{results:?}"),
    };
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
    let mut lost = client(loser, "ada").await;
    lost.send_frame(
        axum_stomp::Frame::new(axum_stomp::Command::Subscribe)
            .header("id", "0")
            .header("destination", "/queue/a"),
    )
    .await;
    assert_eq!(lost.error().await.headers.get("message"), Some("queue at another node"));
    let mut consumer = client(owner, "bob").await;
    consumer.subscribe("/queue/a").await;
    assert_eq!(consumer.message().await.text(), "1");
}

/// A node that leaves the bus in order is gone at once, and does not wait long for a server that is away.
pub async fn a_node_that_stops_in_order_is_not_waited_for(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let broker = async || {
        // Longer than the test waits.
        MemoryBroker::builder().bus(server.connect().await).dead_after(Duration::from_secs(3600)).build()
    };
    let here = broker().await;
    let nodes = || here.bus_stats().unwrap().nodes;
    for _ in 0..3 {
        let there = broker().await;
        until("they know each other", || nodes() == 1 && there.bus_stats().unwrap().nodes == 1).await;
        there.leave_bus().await;
        // With the bus.
        drop(there);
        until("it has gone", || nodes() == 0).await;
    }
    // An engine that is away is waited for no longer than is said.
    server.kill();
    let start = Instant::now();
    here.leave_bus().await;
    assert!(start.elapsed() < Duration::from_secs(3), "{:?}", start.elapsed());
}
