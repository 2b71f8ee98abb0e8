//! Publish and subscribe.

use std::{sync::Arc, time::Duration};

use sockjs_bus::{BoxFuture, Bus, PublishError, Status, Subject, kit};
use sockjs_bus_nats::{ConnectError, Nats, Options};
use tokio::{sync::mpsc, time::timeout};

use crate::server::Server;

pub(crate) struct Fixture(pub(crate) Server);

impl kit::Fixture for Fixture {
    fn connect(&self) -> BoxFuture<'_, Arc<dyn Bus>> {
        Box::pin(async { Arc::new(Nats::connect(&self.0.url()).await.unwrap()) as Arc<dyn Bus> })
    }

    fn set_outage(&self, is_down: bool) -> BoxFuture<'_, bool> {
        if is_down {
            self.0.kill();
        } else {
            self.0.run();
        }
        Box::pin(async { true })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nats_is_a_bus() {
    kit::all(&Fixture(Server::start(&[]))).await;
}

pub(crate) fn subject(text: &str) -> Subject {
    Subject::new(text).unwrap()
}

/// What a subscription gets.
async fn subscribe(
    bus: &Nats,
    name: &Subject,
) -> (sockjs_bus::Subscription, mpsc::UnboundedReceiver<bytes::Bytes>) {
    let (sender, received) = mpsc::unbounded_channel();
    let mut subscription = bus.subscribe(name, Arc::new(move |payload| _ = sender.send(payload)));
    timeout(Duration::from_secs(20), subscription.ready()).await.unwrap().unwrap();
    (subscription, received)
}

pub(crate) async fn until(bus: &Nats, is_connected: bool) {
    let mut status = bus.status();
    let wait = status.wait_for(|status| status.is_connected() == is_connected);
    timeout(Duration::from_secs(20), wait).await.expect("the status changes in time").unwrap();
}

pub(crate) fn quick(server: &Server) -> Options {
    Nats::options(&server.url())
        .ping_interval(Duration::from_millis(300))
        .connect_timeout(Duration::from_millis(500))
        .max_reconnect_delay(Duration::from_millis(200))
}

#[tokio::test]
async fn a_server_that_says_nothing_is_noticed_and_comes_back() {
    let server = Server::start(&[]);
    let (here, there) = (quick(&server).connect().await.unwrap(), quick(&server).connect().await.unwrap());
    let name = subject("stopped");
    let (_subscription, mut received) = subscribe(&there, &name).await;
    server.signal("STOP");
    // What is published does not hide it.
    let mut status = here.status();
    let start = std::time::Instant::now();
    while status.borrow_and_update().is_connected() {
        assert!(start.elapsed() < Duration::from_secs(10), "a server that is stopped is noticed");
        _ = here.publish(&name, "lost or late".into());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    assert_eq!(here.publish(&name, "refused".into()), Err(PublishError::Disconnected));
    until(&there, false).await;
    let late =
        timeout(Duration::from_secs(1), quick(&server).connect()).await.expect("it is answered in time");
    assert!(matches!(late, Err(ConnectError::TimedOut)), "{late:?}");
    server.signal("CONT");
    until(&here, true).await;
    until(&there, true).await;
    here.publish(&name, "again".into()).unwrap();
    loop {
        let next =
            timeout(Duration::from_secs(20), received.recv()).await.expect("messages flow again").unwrap();
        if next == "again" {
            break;
        }
    }
    let stats = here.stats();
    assert!(stats.disconnected >= 1 && stats.reconnects == 1, "{stats:?}");
}

#[tokio::test]
async fn a_queue_that_is_full_refuses_and_nothing_waits() {
    let server = Server::start(&[]);
    let bus = Nats::options(&server.url()).queue(10, 1 << 20).connect().await.unwrap();
    // On this runtime nothing is sent before this test waits.
    let results: Vec<_> = (0..20).map(|_| bus.publish(&subject("a"), "x".into())).collect();
    assert_eq!(results[..10], [Ok(()); 10]);
    assert_eq!(results[10..], [Err(PublishError::Full); 10]);
    assert_eq!((bus.stats().published, bus.stats().full), (10, 10));
    let bytes = Nats::options(&server.url()).queue(1000, 1 << 20).connect().await.unwrap();
    let results: Vec<_> = (0..3).map(|_| bytes.publish(&subject("a"), vec![0; 1 << 19].into())).collect();
    assert_eq!(results, [Ok(()), Ok(()), Err(PublishError::Full)]);
}

#[tokio::test]
async fn what_waits_when_the_server_goes_is_lost_and_counted() {
    let server = Server::start(&[]);
    let bus = quick(&server).connect().await.unwrap();
    server.kill();
    // Before this node can know it.
    for _ in 0..100 {
        bus.publish(&subject("a"), "x".into()).unwrap();
    }
    until(&bus, false).await;
    assert_eq!(bus.publish(&subject("a"), "x".into()), Err(PublishError::Disconnected));
    assert!(bus.stats().disconnected >= 1);
    assert!(matches!(*bus.status().borrow(), Status::Reconnecting { .. }));
}

#[tokio::test]
async fn what_a_slow_receiver_loses_is_counted() {
    const COUNT: u64 = 100;
    let server = Server::start(&[]);
    let here = Nats::connect(&server.url()).await.unwrap();
    let there = Nats::options(&server.url()).subscription_queue(1).connect().await.unwrap();
    let name = subject("slow");
    let (_subscription, _received) = subscribe(&there, &name).await;
    // They come with one read, and on this runtime no receiver is called meanwhile.
    for _ in 0..COUNT {
        here.publish(&name, "x".into()).unwrap();
    }
    let start = std::time::Instant::now();
    while there.stats().received + there.stats().overflowed < COUNT {
        assert!(start.elapsed() < Duration::from_secs(10), "{:?}", there.stats());
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let stats = there.stats();
    assert!(stats.overflowed > 0 && stats.received + stats.overflowed == COUNT, "{stats:?}");
}

#[tokio::test]
async fn credentials_and_addresses_that_are_wrong_are_told() {
    let server = Server::start(&["--user", "chat", "--pass", "s@cret"]);
    let connect = |options: Options| async move { options.connect().await };
    assert!(connect(Nats::options(&server.url()).user_and_password("chat", "s@cret")).await.is_ok());
    let url = format!("nats://chat:s%40cret@127.0.0.1:{}", server.port());
    assert!(Nats::connect(&url).await.is_ok());
    for wrong in
        [Nats::options(&server.url()), Nats::options(&server.url()).user_and_password("chat", "guess")]
    {
        let error = connect(wrong).await.unwrap_err();
        assert!(matches!(error, ConnectError::Unauthorized(_)), "{error:?}");
        assert_eq!(error.to_string(), "the NATS server refuses the credentials");
    }
    let url = server.url();
    drop(server);
    let error = Nats::connect(&url).await.unwrap_err();
    assert!(matches!(error, ConnectError::Unreachable(_)), "{error:?}");
    let error = Nats::connect("nats://chat:secret@host:port").await.unwrap_err();
    assert!(matches!(error, ConnectError::Invalid(_)), "{error:?}");
    assert!(!error.to_string().contains("secret"));
    let error = Nats::options("nats://127.0.0.1:1").queue(0, 1).connect().await.unwrap_err();
    assert!(matches!(error, ConnectError::Invalid(_)), "{error:?}");
}

#[tokio::test]
async fn a_bus_can_be_there_before_its_server() {
    let server = Server::start(&[]);
    server.kill();
    let bus = quick(&server).wait_for_server(false).connect().await.unwrap();
    assert_eq!(bus.publish(&subject("a"), "x".into()), Err(PublishError::Disconnected));
    let (sender, mut received) = mpsc::unbounded_channel();
    let mut subscription = bus.subscribe(&subject("a"), Arc::new(move |payload| _ = sender.send(payload)));
    server.run();
    until(&bus, true).await;
    subscription.ready().await.unwrap();
    bus.publish(&subject("a"), "x".into()).unwrap();
    assert_eq!(received.recv().await.unwrap(), "x");
    assert_eq!(bus.stats().reconnects, 0, "it is the first connection");
    let mut status = bus.status();
    drop(bus);
    assert_eq!(*status.borrow_and_update(), Status::Closed);
    assert!(subscription.ready().await.is_ok(), "the answer is kept");
}

#[tokio::test]
async fn a_subscription_that_is_not_allowed_is_refused() {
    let directory = std::env::temp_dir().join(format!("sockjs-bus-nats-rights-{}", std::process::id()));
    std::fs::create_dir_all(&directory).unwrap();
    let config = directory.join("nats.conf");
    let rights = r#"authorization { users = [ { user: a, password: b, permissions: {
        publish: ["_INBOX.>", "chat.>"], subscribe: ["_INBOX.>", "chat.>"] } } ] }"#;
    std::fs::write(&config, rights).unwrap();
    let server = Server::start(&["-c", config.to_str().unwrap()]);
    let bus = Nats::options(&server.url()).user_and_password("a", "b").connect().await.unwrap();
    let (_allowed, _received) = subscribe(&bus, &subject("chat.room")).await;
    let mut refused = bus.subscribe(&subject("other.room"), Arc::new(|_| {}));
    let error = timeout(Duration::from_secs(20), refused.ready()).await.unwrap().unwrap_err();
    assert!(matches!(error, sockjs_bus::SubscribeError::Refused(_)), "{error:?}");
    std::fs::remove_dir_all(&directory).unwrap();
}
