//! Several nodes, on a bus in process.

use std::{
    fmt,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    time::Duration,
};

use axum_stomp::{
    Bytes, ClientSend, Credentials, Headers, Message, Messenger, Payload as _, Rejection, SendError,
    SendToUser, SessionId, Stomp, StompOptions, User,
    broker::{
        BrokerError, BusStats, Published, Target,
        memory::{BuildError, DeadLetterReason, MemoryBroker, MemoryBrokerBuilder, QueueMode},
    },
    sockjs_bus::{BoxFuture, Bus, InProcess, PublishError, Receiver, Stats, Status, Subject, Subscription},
};
use sockjs_bus::in_process::{connection::Connection, faults::Faults};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::support::{Client, Scene, Way};

/// A node: a server, and its connection to the bus.
struct Node {
    scene: Scene,
    broker: MemoryBroker,
    connection: Arc<Connection>,
}

fn node_with(bus: &InProcess, configure: impl FnOnce(MemoryBrokerBuilder) -> MemoryBrokerBuilder) -> Node {
    let connection = Arc::new(bus.connect());
    let builder = MemoryBroker::builder().bus(Arc::clone(&connection) as Arc<dyn Bus>);
    let broker = configure(builder).build();
    let anywhere = StompOptions::new().client_send(ClientSend::HANDLERS.broker(true).users(true));
    let stomp = Stomp::new()
        .options(anywhere)
        .broker(broker.clone())
        .on_connect(async |credentials: Option<Credentials>| {
            credentials.map(|credentials| User(credentials.login.into()))
        })
        .message("/all", async |body: String| SendToUser::new("/queue/a", body))
        .message("/this", async |body: String| SendToUser::new("/queue/a", body).this_session_only());
    Node { scene: Scene::new(stomp), broker, connection }
}

fn node(bus: &InProcess) -> Node {
    node_with(bus, |builder| builder)
}

/// A node whose consumers of queues compete.
fn competing(bus: &InProcess) -> Node {
    node_with(bus, |builder| builder.queue_mode(QueueMode::Competing))
}

/// A client that has subscribed to a queue, which may have messages.
async fn consumer(node: &Node) -> Client {
    let mut client = node.client().await;
    client.send("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^").await;
    client
}

impl Node {
    async fn client(&self) -> Client {
        self.scene.connect(Way::SOCKET).await
    }

    async fn user(&self, name: &str) -> Client {
        let headers = format!("accept-version:1.2\nlogin:{name}\npasscode:x\n");
        self.scene.connect_with(Way::SOCKET, &headers).await
    }

    fn stats(&self) -> BusStats {
        self.broker.stats().bus.expect("it is over a bus")
    }

    async fn send(&self, destination: &'static str, body: &str) -> Result<Published, SendError> {
        self.scene.messenger().send(destination, body.to_owned()).await
    }
}

/// Longer than the way over the bus takes.
async fn settle() {
    sleep(Duration::from_millis(1)).await;
}

/// Until the nodes know each other.
async fn meet() {
    sleep(Duration::from_secs(4)).await;
}

/// Nothing but the receipt comes.
async fn has_nothing(client: &mut Client) {
    settle().await;
    client.ask("UNSUBSCRIBE\nid:none", "").await;
}

#[tokio::test(start_paused = true)]
async fn a_topic_is_that_of_all_nodes() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus), node(&bus)];
    let mut clients = Vec::new();
    for (node, way) in nodes.iter().zip([Way::SOCKET, Way::Stream, Way::POLLING]) {
        let mut client = node.scene.connect(way).await;
        client.subscribe("a", "/topic/a").await;
        clients.push(client);
    }
    // From a client, with its headers, and from code.
    clients[0].send("SEND\ndestination:/topic/a\ncontent-type:text/x\npriority:9\n\none^").await;
    for client in &mut clients {
        let message = client.message().await;
        let header = |name| message.headers.get(name);
        assert_eq!((header("content-type"), header("priority")), (Some("text/x"), Some("9")));
        assert_eq!((header("destination"), header("subscription")), (Some("/topic/a"), Some("a")));
        assert_eq!(message.body, "one");
    }
    let published = nodes[1].send("/topic/a", "two").await.unwrap();
    assert_eq!((published.delivered, published.bus), (1, None), "the numbers are of one node");
    for client in &mut clients {
        assert_eq!(client.body().await, "two");
    }
    // Who has left gets nothing, and neither does the node.
    clients[2].ask("UNSUBSCRIBE\nid:a", "").await;
    let before = nodes[2].stats().port.received;
    nodes[0].send("/topic/a", "three").await.unwrap();
    assert_eq!((clients[0].body().await, clients[1].body().await), ("three".into(), "three".into()));
    has_nothing(&mut clients[2]).await;
    assert_eq!(nodes[2].stats().port.received, before);
}

#[tokio::test(start_paused = true)]
async fn each_subscription_gets_one_copy_whatever_else_the_node_has() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut both = there.client().await;
    both.subscribe("exact", "/topic/a/b").await;
    both.subscribe("star", "/topic/*/b").await;
    let mut pattern = there.client().await;
    pattern.subscribe("all", "/topic/**").await;
    pattern.subscribe("other", "/topic/x/*").await;
    let mut exact = there.client().await;
    exact.subscribe("exact", "/topic/a/b").await;
    for number in 0..10 {
        here.send("/topic/a/b", &number.to_string()).await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..20 {
        let message = both.message().await;
        assert_eq!(message.headers.get("destination"), Some("/topic/a/b"));
        seen.push((message.headers.get("subscription").unwrap().to_owned(), message.body.to_vec()));
    }
    for subscription in ["exact", "star"] {
        let bodies: Vec<_> =
            seen.iter().filter(|(name, _)| name == subscription).map(|(_, body)| body).collect();
        let expected: Vec<_> = (0..10).map(|number| number.to_string().into_bytes()).collect();
        assert_eq!(bodies, expected.iter().collect::<Vec<_>>(), "{subscription}");
    }
    for number in 0..10 {
        assert_eq!(pattern.body().await, number.to_string());
        assert_eq!(exact.body().await, number.to_string());
    }
    // The node has one pattern less, and then none.
    both.ask("UNSUBSCRIBE\nid:star", "").await;
    here.send("/topic/a/b", "x").await.unwrap();
    assert_eq!(
        (both.body().await, pattern.body().await, exact.body().await),
        ("x".into(), "x".into(), "x".into())
    );
    pattern.ask("UNSUBSCRIBE\nid:all", "").await;
    pattern.ask("UNSUBSCRIBE\nid:other", "").await;
    let before = there.stats().port.received;
    here.send("/topic/a/b", "y").await.unwrap();
    here.send("/topic/c", "nobody").await.unwrap();
    assert_eq!((both.body().await, exact.body().await), ("y".into(), "y".into()));
    for client in [&mut both, &mut pattern, &mut exact] {
        has_nothing(client).await;
    }
    assert_eq!(
        there.stats().port.received,
        before + 1,
        "one message for a node, and none that it does not want"
    );
}

/// A bus that calls the receivers of subscriptions that have ended as well, as may happen for a moment.
#[derive(Debug)]
struct Late(Connection, Mutex<Ended>);

#[derive(Default)]
struct Ended(Vec<(Subject, Receiver)>);

impl fmt::Debug for Ended {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(subject, _)| subject)).finish()
    }
}

impl Bus for Late {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.0.publish(subject, payload)
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.0.flush()
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        let mut all = self.1.lock().expect("no test panics with it");
        all.0.push((subject.clone(), receiver));
        let receivers: Vec<_> =
            all.0.iter().filter(|(each, _)| each == subject).map(|(_, receiver)| receiver.clone()).collect();
        self.0.subscribe(
            subject,
            Arc::new(move |payload| receivers.iter().for_each(|each| each(payload.clone()))),
        )
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.0.status()
    }

    fn stats(&self) -> Stats {
        self.0.stats()
    }

    fn max_payload(&self) -> usize {
        self.0.max_payload()
    }
}

#[tokio::test(start_paused = true)]
async fn of_an_old_and_a_new_subscription_of_the_node_one_delivers() {
    let bus = InProcess::new();
    let here = node(&bus);
    let late = Late(bus.connect(), Mutex::default());
    let there = Scene::new(Stomp::new().broker(MemoryBroker::builder().bus(Arc::new(late)).build()));
    let mut client = there.connect(Way::SOCKET).await;
    for destination in ["/topic/a", "/topic/*"] {
        for id in ["a", "b", "c"] {
            client.subscribe(id, destination).await;
            here.send("/topic/a", id).await.unwrap();
            assert_eq!(client.message().await.headers.get("subscription"), Some(id));
            has_nothing(&mut client).await;
            client.ask(&format!("UNSUBSCRIBE\nid:{id}"), "").await;
        }
    }
}

/// A node whose engine refuses subscriptions to subjects that have this in them.
fn strict(bus: &InProcess, refused: &str) -> Node {
    let connection = Arc::new(bus.connect());
    connection.refuse(refused);
    let strict = Arc::clone(&connection) as Arc<dyn Bus>;
    let node = node_with(bus, |builder| builder.queue_mode(QueueMode::Competing).bus(strict));
    Node { connection, ..node }
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_not_hear_the_others_says_so() {
    let bus = InProcess::new();
    for subject in [".nodes", ".node.", ".sessions"] {
        let node = strict(&bus, subject);
        meet().await;
        assert!(node.stats().status.is_connected() && !node.stats().is_heard, "{subject}");
        let refused = node.send("/queue/a", "x").await.unwrap_err();
        assert!(matches!(refused, SendError::Broker(BrokerError::Unavailable(_))), "{refused:?}");
    }
    let node = competing(&bus);
    assert!(!node.stats().is_heard);
    settle().await;
    assert!(node.stats().is_heard);
    node.connection.disconnect();
    settle().await;
    assert!(!node.stats().is_heard);
}

#[tokio::test(start_paused = true)]
async fn what_is_refused_after_its_receipt_is_counted() {
    let bus = InProcess::new();
    let node = strict(&bus, ".topic.");
    let mut clients = [node.client().await, node.client().await];
    settle().await;
    node.connection.disconnect();
    for client in &mut clients {
        client.subscribe("a", "/topic/a").await;
        client.subscribe("b", "/topic/*").await;
    }
    sleep(Duration::from_secs(5)).await;
    assert_eq!(node.stats().subscriptions_refused, 0);
    node.connection.reconnect();
    sleep(Duration::from_secs(5)).await;
    assert_eq!((node.stats().subscriptions_refused, node.stats().is_heard), (1, true));
    // Who comes later is refused.
    let mut client = node.client().await;
    client.send("SUBSCRIBE\nid:a\ndestination:/topic/a\n\n^").await;
    assert_eq!(client.refusal().await, "broker unavailable: ");
    sleep(Duration::from_secs(5)).await;
    assert_eq!(node.stats().subscriptions_refused, 1);
}

#[tokio::test(start_paused = true)]
async fn without_patterns_a_message_is_published_once() {
    let bus = InProcess::new();
    for (patterns, expected) in [(1000, 2), (0, 1)] {
        let node = node_with(&bus, |builder| builder.max_patterns(patterns));
        settle().await;
        let before = node.stats().port.published;
        node.send("/topic/a", "x").await.unwrap();
        assert_eq!(node.stats().port.published - before, expected);
    }
}

#[tokio::test(start_paused = true)]
async fn each_version_escapes_for_itself() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut clients = Vec::new();
    for version in ["1.0", "1.1", "1.2"] {
        let mut client = there.scene.connect_with(Way::Stream, &format!("accept-version:{version}\n")).await;
        client.subscribe("a", "/topic/ä:b").await;
        clients.push(client);
    }
    let headers = Headers::from_iter([("all", "a\nb:c\\d"), ("cr", "x\ry")]);
    let message = Message::new("/topic/ä:b", &headers, vec![0, 255, 10]);
    let target = Target::Destination("/topic/ä:b".into());
    here.scene.messenger().publish(target, message).await.unwrap();
    let expected = [("a\\nb:c\\d", "xy"), ("a\nb:c\\d", "xy"), ("a\nb:c\\d", "x\ry")];
    for (client, (all, cr)) in clients.iter_mut().zip(expected) {
        let message = client.message().await;
        assert_eq!(message.body, [0, 255, 10][..]);
        assert_eq!((message.headers.get("all"), message.headers.get("cr")), (Some(all), Some(cr)));
    }
}

#[tokio::test(start_paused = true)]
async fn a_user_has_tabs_on_all_nodes() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut tabs = [here.user("anna").await, there.user("anna").await, there.user("anna").await];
    tabs[0].subscribe("a", "/user/queue/a").await;
    tabs[1].subscribe("a", "/user/queue/a").await;
    tabs[2].subscribe("all", "/user/**").await;
    let mut bert = there.user("bert").await;
    bert.subscribe("a", "/user/queue/a").await;
    let mut nobody = there.client().await;
    nobody.subscribe("a", "/user/queue/a").await;
    // From code, a client and a handler.
    let messenger = here.scene.messenger();
    let published = messenger.send_to_user("anna", "/queue/a", "1").await.unwrap();
    assert_eq!((published.delivered, published.bus), (1, None));
    bert.send("SEND\ndestination:/user/anna/queue/a\n\n2^").await;
    for tab in &mut tabs {
        let message = tab.message().await;
        assert_eq!((message.headers.get("destination"), &*message.body), (Some("/user/queue/a"), &b"1"[..]));
        assert_eq!(tab.body().await, "2");
    }
    tabs[1].send("SEND\ndestination:/app/all\n\n3^").await;
    for tab in &mut tabs {
        assert_eq!(tab.body().await, "3");
    }
    tabs[1].send("SEND\ndestination:/app/this\n\n4^").await;
    assert_eq!(tabs[1].body().await, "4");
    for client in tabs.iter_mut().chain([&mut bert, &mut nobody]) {
        has_nothing(client).await;
    }
    // One without a user is named by its session.
    let sessions = there.scene.registry().sessions();
    let anonymous = sessions.iter().find(|session| session.user().is_none()).unwrap().id();
    messenger.send_to_user(anonymous.to_string(), "/queue/a", "5").await.unwrap();
    assert_eq!(nobody.body().await, "5");
    // Where it is known, the others need not be told.
    let before = there.stats().port.published;
    there.scene.messenger().send_to_user(anonymous.to_string(), "/queue/a", "6").await.unwrap();
    assert_eq!((nobody.body().await, there.stats().port.published), ("6".into(), before));
}

#[tokio::test(start_paused = true)]
async fn a_session_is_reached_from_another_node_by_its_id() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut one = there.user("anna").await;
    one.subscribe("a", "/user/queue/a").await;
    let id: SessionId = there.scene.session().id().to_string().parse().unwrap();
    let mut two = there.user("anna").await;
    two.subscribe("a", "/user/queue/a").await;
    settle().await;
    here.scene.messenger().send_to_session(id, "/queue/a", "x").await.unwrap();
    there.scene.messenger().send_to_session(id, "/queue/a", "y").await.unwrap();
    assert_eq!((one.body().await, one.body().await), ("y".into(), "x".into()));
    has_nothing(&mut two).await;
}

#[tokio::test(start_paused = true)]
async fn replies_find_their_way_to_another_node() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut server = there.client().await;
    server.subscribe("calls", "/topic/calls").await;
    let mut client = here.client().await;
    client.send("SEND\ndestination:/topic/calls\nreply-to:/temp-queue/a\n\nhello^").await;
    let call = server.message().await;
    let reply_to = call.headers.get("reply-to").unwrap().to_owned();
    assert!(reply_to.starts_with("/reply-queue/"), "{reply_to}");
    server.send(&format!("SEND\ndestination:{reply_to}\n\nHELLO^")).await;
    let reply = client.message().await;
    assert_eq!((reply.headers.get("subscription"), &*reply.body), (Some("/temp-queue/a"), &b"HELLO"[..]));
    // And from code there.
    there.scene.messenger().send(reply_to, "AGAIN").await.unwrap();
    assert_eq!(client.body().await, "AGAIN");
}

#[tokio::test(start_paused = true)]
async fn replies_to_names_that_nobody_has_been_given_stay_here() {
    let bus = InProcess::new();
    let here = node(&bus);
    let mut client = here.client().await;
    let before = here.stats().port.published;
    for name in ["x", "", "0123456789abcdef0123456789abcdeg", "0123456789ABCDEF0123456789ABCDEF", "é"] {
        client.ask(&format!("SEND\ndestination:/reply-queue/{name}"), "").await;
    }
    assert_eq!(here.stats().port.published, before);
    // Another node may have given it out.
    client.ask("SEND\ndestination:/reply-queue/0123456789abcdef0123456789abcdef", "").await;
    assert_eq!(here.stats().port.published, before + 1);
}

#[tokio::test(start_paused = true)]
async fn a_receipt_says_that_messages_of_all_nodes_come() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    bus.set_faults(Faults::none().delay(Duration::from_millis(1)..Duration::from_millis(300)), 1);
    for (number, (subscribed, sent)) in
        [("/topic/a", "/topic/a"), ("/topic/*", "/topic/b"), ("/topic/{x}/c", "/topic/b/c")]
            .into_iter()
            .enumerate()
    {
        let mut client = there.client().await;
        client.subscribe("a", subscribed).await;
        here.send(sent, &number.to_string()).await.unwrap();
        assert_eq!(client.body().await, number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_away_each_node_goes_on_by_itself() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let (mut one, mut two) = (here.client().await, there.client().await);
    one.subscribe("a", "/topic/a").await;
    two.subscribe("a", "/topic/a").await;
    here.connection.disconnect();
    let published = here.send("/topic/a", "alone").await.unwrap();
    assert_eq!((published.delivered, published.bus), (1, Some(PublishError::Disconnected)));
    assert_eq!(one.body().await, "alone");
    // A receipt is that of this node.
    one.ask("SUBSCRIBE\nid:b\ndestination:/topic/b", "").await;
    one.ask("SUBSCRIBE\nid:c\ndestination:/topic/c.*", "").await;
    let stats = here.stats();
    assert!(matches!(stats.status, Status::Reconnecting { .. }));
    assert_eq!(stats.port.refused, 2);
    assert_eq!(here.scene.server.stats().bus, Some(stats));
    has_nothing(&mut two).await;
    here.connection.reconnect();
    assert!(here.stats().status.is_connected());
    for (destination, body) in [("/topic/a", "1"), ("/topic/b", "2"), ("/topic/c.d", "3")] {
        there.send(destination, body).await.unwrap();
        assert_eq!(one.body().await, body);
    }
    here.connection.set_full(true);
    let published = here.send("/topic/a", "full").await.unwrap();
    assert_eq!((published.delivered, published.bus), (1, Some(PublishError::Full)));
}

#[tokio::test(start_paused = true)]
async fn what_is_lost_on_the_way_is_counted() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut client = there.client().await;
    client.subscribe("a", "/topic/a").await;
    settle().await;
    here.send("/topic/a", "1").await.unwrap();
    bus.set_faults(Faults::none().drop_percent(100), 1);
    here.send("/topic/a", "2").await.unwrap();
    bus.set_faults(Faults::none(), 1);
    here.send("/topic/a", "3").await.unwrap();
    assert_eq!((client.body().await, client.body().await), ("1".into(), "3".into()));
    assert_eq!(there.stats().port.missed, 1);
}

#[tokio::test(start_paused = true)]
async fn a_message_that_the_bus_does_not_take_is_refused() {
    let bus = InProcess::with_limits(2000, 1000);
    let (here, there) = (node(&bus), node(&bus));
    let mut near = here.client().await;
    near.subscribe("a", "/topic/a").await;
    let large = "x".repeat(2000);
    let refused = here.send("/topic/a", &large).await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::LimitExceeded("max_payload"))), "{refused:?}");
    has_nothing(&mut near).await;
    let mut client = there.client().await;
    client.send(&format!("SEND\ndestination:/topic/a\nreceipt:r\n\n{large}^")).await;
    let error = client.error().await;
    assert_eq!(error.headers.get("receipt-id"), Some("r"));
    assert_eq!(error.body, "The limit max_payload is exceeded.");
    let headers = (0..1001).map(|number| (number.to_string(), String::new())).collect();
    let message = Message::new("/topic/a", &headers, "");
    let refused = here.scene.messenger().publish(Target::Destination("/topic/a".into()), message).await;
    assert!(matches!(refused, Err(SendError::Broker(BrokerError::LimitExceeded("max_headers")))));
}

#[tokio::test(start_paused = true)]
async fn what_is_no_message_is_counted_and_dropped() {
    let bus = InProcess::new();
    let node = node(&bus);
    let mut client = node.user("anna").await;
    client.subscribe("a", "/topic/a").await;
    client.subscribe("b", "/topic/*").await;
    client.subscribe("c", "/user/queue/a").await;
    settle().await;
    // Whoever has no port, and whoever has one and says nonsense.
    let stranger = bus.connect();
    let other = sockjs_bus::Port::new(Arc::new(bus.connect()), "stomp").unwrap();
    let subjects = [
        other.subject("topic", b"/topic/a"),
        other.subject("patterns", b""),
        other.subject("user", b"anna"),
        other.subject("nodes", b""),
        other.subject("sessions", b""),
    ]
    .map(Result::unwrap);
    for subject in &subjects {
        stranger.publish(subject, "nonsense".into()).unwrap();
        other.publish(subject, &[b"nonsense"]).unwrap();
    }
    // A right one at the wrong place: a message to another topic.
    let other_node = node_with(&bus, |builder| builder);
    let wrong = Subject::new("stomp.topic.kL3RvcGljL2E").unwrap();
    assert_eq!(wrong, subjects[0]);
    let mut bytes = vec![1, 1 << 7];
    bytes.extend(8_u32.to_be_bytes());
    bytes.extend(b"/topic/b\0\0body");
    other.publish(&wrong, &[&bytes]).unwrap();
    settle().await;
    assert_eq!((node.stats().port.invalid, node.stats().invalid), (5, 6));
    has_nothing(&mut client).await;
    other_node.send("/topic/a", "x").await.unwrap();
    assert_eq!((client.body().await, client.body().await), ("x".into(), "x".into()));
}

#[tokio::test(start_paused = true)]
async fn long_names_are_told_apart() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let long = format!("/topic/{}", "x".repeat(1000));
    let mut client = there.client().await;
    client.subscribe("a", &format!("{long}/a")).await;
    client.subscribe("b", &format!("{long}/b")).await;
    for (end, expected) in [("a", Some("a")), ("c", None), ("b", Some("b"))] {
        here.scene.messenger().send(format!("{long}/{end}"), end).await.unwrap();
        if let Some(expected) = expected {
            assert_eq!(client.message().await.headers.get("subscription"), Some(expected));
        }
    }
    has_nothing(&mut client).await;
}

#[tokio::test(start_paused = true)]
async fn namespaces_are_apart() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node_with(&bus, |builder| builder.bus_namespace("other")));
    let mut client = there.client().await;
    client.subscribe("a", "/topic/a").await;
    here.send("/topic/a", "x").await.unwrap();
    has_nothing(&mut client).await;
    // Whether it is set before the bus or after it.
    let bus_of = Arc::new(bus.connect());
    let builder =
        MemoryBroker::builder().bus_namespace("other").dead_after(Duration::from_secs(30)).bus(bus_of);
    let before = builder.build();
    settle().await;
    assert_eq!((before.stats().bus.unwrap().nodes, there.stats().nodes), (1, 1));
    sleep(Duration::from_secs(20)).await;
    // It says so every 7.5 s.
    assert_eq!((there.stats().nodes, there.stats().dead), (1, 0));
    for namespace in ["", "a b", &"a".repeat(400)] {
        let builder = MemoryBroker::builder().bus(Arc::new(bus.connect())).bus_namespace(namespace);
        assert!(matches!(builder.try_build(), Err(BuildError::Namespace(_))), "{namespace}");
    }
}

#[tokio::test(start_paused = true)]
async fn several_brokers_on_one_bus_have_different_namespaces() {
    let bus: Arc<dyn Bus> = Arc::new(InProcess::new().connect());
    let builder = || MemoryBroker::builder().bus(Arc::clone(&bus));
    let first = builder().build();
    assert_eq!(builder().try_build().map(drop), Err(BuildError::NamespaceInUse));
    let _other = builder().bus_namespace("other").build();
    first.leave_bus().await;
    assert!(builder().try_build().is_ok());
}

#[test]
fn a_broker_over_a_bus_needs_a_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    let connection = runtime.block_on(async { InProcess::new().connect() });
    let built = MemoryBroker::builder().bus(Arc::new(connection)).try_build();
    assert_eq!(built.map(drop), Err(BuildError::NoRuntime));
}

#[tokio::test(start_paused = true)]
async fn queues_that_broadcast_are_topics() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let mut clients = [here.client().await, there.client().await];
    for client in &mut clients {
        client.subscribe("a", "/queue/a").await;
    }
    here.send("/queue/a", "x").await.unwrap();
    for client in &mut clients {
        assert_eq!(client.body().await, "x");
    }
}

#[tokio::test(start_paused = true)]
async fn a_queue_stays_with_its_node_and_is_refused_at_others() {
    let bus = InProcess::new();
    let (here, there) = (competing(&bus), competing(&bus));
    meet().await;
    assert_eq!((here.stats().nodes, there.stats().nodes), (1, 1));
    // A message comes first.
    assert!(here.send("/queue/a", "1").await.unwrap().is_stored);
    let refused = there.send("/queue/a", "2").await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
    for lines in ["SUBSCRIBE\nid:a", "SEND"] {
        let mut client = there.client().await;
        client.send(&format!("{lines}\ndestination:/queue/a\nreceipt:r\n\n^")).await;
        let error = client.error().await;
        assert_eq!(error.headers.get("message"), Some("queue at another node"));
        assert_eq!(error.headers.get("receipt-id"), Some("r"));
        assert_eq!(error.body, "Another node has this queue: connect to that one.");
    }
    let mut client = consumer(&here).await;
    assert_eq!(client.body().await, "1");
    here.send("/queue/a", "3").await.unwrap();
    assert_eq!(client.body().await, "3");
    // Other queues are other nodes'.
    assert!(there.send("/queue/b", "4").await.unwrap().is_stored);
    assert_eq!((here.broker.stats().queues, there.broker.stats().queues), (1, 1));
    // When nobody uses it, it is free.
    client.close().await;
    settle().await;
    assert_eq!(here.broker.stats().queues, 0);
    let mut client = there.client().await;
    client.subscribe("a", "/queue/a").await;
    let refused = here.send("/queue/a", "5").await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn of_nodes_that_want_a_queue_at_the_same_time_one_gets_it() {
    let bus = InProcess::new();
    let nodes = [competing(&bus), competing(&bus), competing(&bus)];
    meet().await;
    bus.set_faults(Faults::none().delay(Duration::from_millis(1)..Duration::from_millis(100)), 7);
    for round in 0..20 {
        let queue = format!("/queue/{round}");
        let send = |node: &Node| node.scene.messenger().send(queue.clone(), "x");
        let results = tokio::join!(send(&nodes[0]), send(&nodes[1]), send(&nodes[2]));
        let results = [results.0, results.1, results.2];
        let winners = results.iter().filter(|result| result.is_ok()).count();
        assert_eq!(winners, 1, "{results:?}");
        let refused = results.iter().flat_map(|result| result.as_ref().err());
        for error in refused {
            assert!(matches!(error, SendError::Broker(BrokerError::QueueElsewhere)), "{error:?}");
        }
    }
    let queues: usize = nodes.iter().map(|node| node.broker.stats().queues).sum();
    assert_eq!(queues, 20);
}

#[tokio::test(start_paused = true)]
async fn the_order_of_what_waits_for_a_queue_is_kept() {
    let bus = InProcess::new();
    let (here, _there) = (competing(&bus), competing(&bus));
    meet().await;
    let messenger = here.scene.messenger();
    let outcomes: Vec<_> = (0..100).map(|number| messenger.send("/queue/a", number.to_string())).collect();
    for (number, outcome) in outcomes.into_iter().enumerate() {
        // What is not awaited is sent all the same.
        if number % 2 == 0 {
            assert!(outcome.await.unwrap().is_stored);
        }
        if number == 50 {
            messenger.send("/queue/a", "100").await.unwrap();
        }
    }
    let mut client = consumer(&here).await;
    for number in 0..=100 {
        assert_eq!(client.body().await, number.to_string());
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_sends_without_a_pause_does_not_silence_the_node() {
    let bus = InProcess::new();
    let (here, there) = (competing(&bus), competing(&bus));
    meet().await;
    let mut senders = tokio::task::JoinSet::new();
    for number in 0..64 {
        let messenger = here.scene.messenger();
        senders.spawn(async move {
            // When the node has the queue, nothing is waited for; and after some time it is full.
            for sent in number.. {
                _ = messenger.send("/queue/a", "x").await;
                if sent % 8 == 0 {
                    tokio::task::yield_now().await;
                }
            }
        });
    }
    // Twice the time after which a silent node counts as dead.
    for _ in 0..20 {
        tokio::time::advance(Duration::from_secs(1)).await;
        for _ in 0..5 {
            tokio::task::yield_now().await;
        }
    }
    assert!(here.broker.stats().queued_messages > 64);
    assert_eq!((there.stats().nodes, there.stats().dead), (1, 0));
    let refused = there.send("/queue/a", "x").await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
    senders.shutdown().await;
}

#[tokio::test(start_paused = true)]
async fn an_outage_for_all_does_not_make_two_owners() {
    let bus = InProcess::new();
    let (here, there) = (competing(&bus), competing(&bus));
    meet().await;
    here.send("/queue/a", "1").await.unwrap();
    here.connection.disconnect();
    there.connection.disconnect();
    sleep(Duration::from_secs(60)).await;
    there.connection.reconnect();
    let refused = there.scene.messenger().send("/queue/a", "2");
    sleep(Duration::from_secs(8)).await;
    here.connection.reconnect();
    let refused = refused.await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
    assert_eq!((here.stats().dead, there.stats().dead), (0, 0));
    assert_eq!(consumer(&here).await.body().await, "1");
}

#[tokio::test(start_paused = true)]
async fn while_the_bus_is_away_a_queue_is_used_where_it_is_and_no_other() {
    let bus = InProcess::new();
    let (here, there) = (competing(&bus), competing(&bus));
    meet().await;
    here.send("/queue/a", "1").await.unwrap();
    here.connection.disconnect();
    there.connection.disconnect();
    settle().await;
    assert!(here.send("/queue/a", "2").await.unwrap().is_stored);
    for node in [&here, &there] {
        let refused = node.send("/queue/b", "x").await.unwrap_err();
        assert!(matches!(refused, SendError::Broker(BrokerError::Unavailable(_))), "{refused:?}");
    }
    let mut client = there.client().await;
    client.send("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^").await;
    assert_eq!(client.refusal().await, "broker unavailable: ");
    here.connection.reconnect();
    there.connection.reconnect();
    // It waits until the others are known.
    assert!(here.send("/queue/b", "x").await.unwrap().is_stored);
    let refused = there.send("/queue/a", "3").await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
}

#[tokio::test(start_paused = true)]
async fn the_queues_of_a_node_that_is_gone_are_free() {
    let bus = InProcess::new();
    let (here, there) = (competing(&bus), competing(&bus));
    let dies = competing(&bus);
    meet().await;
    dies.send("/queue/a", "lost").await.unwrap();
    there.send("/queue/b", "lost").await.unwrap();
    // One is stopped in order: at once.
    drop(there);
    settle().await;
    let start = Instant::now();
    assert!(here.send("/queue/b", "1").await.unwrap().is_stored);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    // The other one falls silent: in the stated time.
    dies.connection.disconnect();
    let start = Instant::now();
    assert!(here.send("/queue/a", "2").await.unwrap().is_stored);
    let time = start.elapsed();
    assert!((Duration::from_secs(7)..=Duration::from_secs(10)).contains(&time), "{time:?}");
    assert_eq!((here.stats().nodes, here.stats().dead), (0, 1));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_the_bus_says_nothing_more() {
    let bus = InProcess::new();
    let (here, there) = (competing(&bus), competing(&bus));
    meet().await;
    there.send("/queue/b", "lost").await.unwrap();
    let mut client = here.client().await;
    client.subscribe("a", "/topic/a").await;
    there.broker.leave_bus().await;
    settle().await;
    assert_eq!((here.stats().nodes, here.stats().dead), (0, 0));
    let start = Instant::now();
    assert!(here.send("/queue/b", "1").await.unwrap().is_stored);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
    // It is not taken for one that is there again, whatever it still does.
    let published = there.send("/topic/a", "x").await.unwrap();
    assert_eq!(published.bus, Some(PublishError::Disconnected));
    let refused = there.send("/queue/c", "x").await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::Unavailable(_))), "{refused:?}");
    sleep(Duration::from_secs(30)).await;
    assert_eq!((here.stats().nodes, here.stats().dead), (0, 0));
    has_nothing(&mut client).await;
    there.broker.leave_bus().await;
    drop(there);
    // Without a bus there is nothing to leave.
    MemoryBroker::new().leave_bus().await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_is_started_again_by_its_name_is_not_waited_for() {
    let bus = InProcess::new();
    let named = |builder: MemoryBrokerBuilder| builder.queue_mode(QueueMode::Competing).node_name("one");
    let (here, before) = (competing(&bus), node_with(&bus, named));
    meet().await;
    before.send("/queue/a", "lost").await.unwrap();
    before.connection.disconnect();
    let _after = node_with(&bus, named);
    settle().await;
    let start = Instant::now();
    assert!(here.send("/queue/a", "1").await.unwrap().is_stored);
    assert!(start.elapsed() < Duration::from_millis(100), "{:?}", start.elapsed());
}

#[tokio::test(start_paused = true)]
async fn after_a_partition_one_owner_is_left_and_nothing_waits_unseen() {
    let bus = InProcess::new();
    let (letters, mut given_up) = tokio::sync::mpsc::unbounded_channel();
    let (here, there) = (
        competing(&bus),
        node_with(&bus, |builder| {
            builder
                .queue_mode(QueueMode::Competing)
                .on_dead_letter(move |letter| _ = letters.send(letter.clone()))
        }),
    );
    meet().await;
    here.send("/queue/a", "1").await.unwrap();
    bus.cut(&here.connection, &there.connection);
    sleep(Duration::from_secs(11)).await;
    let mut client = there.client().await;
    client.ask("SUBSCRIBE\nid:a\ndestination:/queue/a\nack:client\nprefetch-count:1", "").await;
    for body in ["2", "3"] {
        there.send("/queue/a", body).await.unwrap();
    }
    assert_eq!(client.body().await, "2");
    bus.heal();
    // Whoever has had it for a shorter time gives it up.
    let error = timeout(Duration::from_secs(4), client.error()).await.unwrap();
    assert_eq!(error.headers.get("message"), Some("closed by the broker"));
    assert_eq!(error.body, "The queue is another node's.");
    let mut letters = [given_up.recv().await.unwrap(), given_up.recv().await.unwrap()];
    letters.sort_by_key(|letter| letter.message().body().clone());
    for (letter, (body, deliveries)) in letters.iter().zip([("2", 1), ("3", 0)]) {
        assert_eq!((&**letter.message().body(), letter.deliveries()), (body.as_bytes(), deliveries));
        assert_eq!((letter.reason(), letter.queue()), (DeadLetterReason::OwnedElsewhere, "/queue/a"));
    }
    assert_eq!((here.stats().queues_given_up, there.stats().queues_given_up), (0, 1));
    assert_eq!(there.scene.events.all().last().unwrap(), "disconnected: error");
    let refused = there.send("/queue/a", "4").await.unwrap_err();
    assert!(matches!(refused, SendError::Broker(BrokerError::QueueElsewhere)), "{refused:?}");
    let mut client = consumer(&here).await;
    assert_eq!(client.body().await, "1");
}

#[tokio::test(start_paused = true)]
async fn while_a_queue_is_given_up_others_have_their_turns() {
    let bus = InProcess::new();
    let letters = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&letters);
    let here = competing(&bus);
    let there = node_with(&bus, |builder| {
        builder.queue_mode(QueueMode::Competing).on_dead_letter(move |_| _ = count.fetch_add(1, Relaxed))
    });
    meet().await;
    for queue in ["/queue/a", "/queue/b"] {
        here.send(queue, "x").await.unwrap();
    }
    bus.cut(&here.connection, &there.connection);
    sleep(Duration::from_secs(11)).await;
    for _ in 0..1000 {
        there.send("/queue/a", "x").await.unwrap();
    }
    for _ in 0..10 {
        there.send("/queue/b", "x").await.unwrap();
    }
    bus.heal();
    let (mut before, mut most) = (0, 0);
    while before < 1010 {
        tokio::time::advance(Duration::from_millis(10)).await;
        let now = letters.load(Relaxed);
        most = most.max(now - before);
        before = now;
    }
    assert!(most < 100, "{most} at once");
    assert_eq!((there.stats().queues_given_up, there.broker.stats().dead_letters), (2, 1010));
    assert_eq!(there.broker.stats().queued_messages, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_its_queue_is_claimed_leaves_nothing() {
    let bus = InProcess::new();
    let here = competing(&bus);
    let mut client = here.client().await;
    // Nobody is known yet, so it takes some seconds.
    client.send("SUBSCRIBE\nid:a\ndestination:/queue/a\n\n^").await;
    settle().await;
    client.abort();
    meet().await;
    assert_eq!((here.broker.stats().queues, here.broker.stats().subscriptions), (0, 0));
    assert_eq!(here.broker.stats().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn more_than_may_wait_for_a_queue_is_refused() {
    let bus = InProcess::new();
    let node = node_with(&bus, |builder| builder.queue_mode(QueueMode::Competing).max_queue_messages(3));
    let messenger: Messenger = node.scene.messenger();
    let outcomes: Vec<_> = (0..4).map(|number| messenger.send("/queue/a", number.to_string())).collect();
    let mut refused = 0;
    for outcome in outcomes {
        refused += usize::from(match outcome.await {
            Ok(published) => !published.is_stored,
            Err(SendError::Broker(BrokerError::LimitExceeded("max_queue_messages"))) => true,
            Err(error) => panic!("{error:?}"),
        });
    }
    assert_eq!((refused, node.broker.stats().queued_messages), (1, 3));
}

#[tokio::test(start_paused = true)]
async fn the_headers_of_a_subscription_that_waits_for_a_queue_count() {
    let bus = InProcess::new();
    let node = node_with(&bus, |builder| builder.queue_mode(QueueMode::Competing).max_queue_bytes(1000));
    let header = "x".repeat(900);
    let mut clients = [node.client().await, node.client().await];
    for client in &mut clients {
        client.send(&format!("SUBSCRIBE\nid:a\ndestination:/queue/a\nlong:{header}\n\n^")).await;
        settle().await;
    }
    let error = clients[1].error().await;
    assert_eq!(error.headers.get("message"), Some("limit exceeded"), "{error:?}");
    meet().await;
    assert_eq!(node.broker.stats().subscriptions, 1);
}

#[tokio::test(start_paused = true)]
async fn a_payload_with_headers_comes_whole() {
    async fn answer(headers: Headers, messenger: Messenger) -> Result<(), Rejection> {
        let id = headers.get("correlation-id").unwrap_or("none").to_owned();
        let payload = axum::Json([1, 2]).with_header("correlation-id", id);
        messenger.send("/topic/answers", payload).await.map_err(|_| Rejection::new("no answer"))?;
        Ok(())
    }

    let bus = InProcess::new();
    let broker = || MemoryBroker::builder().bus(Arc::new(bus.connect())).build();
    let here = Scene::new(Stomp::new().broker(broker()).message("/ask", answer));
    let there = Scene::new(Stomp::new().broker(broker()));
    let (mut one, mut two) = (here.connect(Way::SOCKET).await, there.connect(Way::POLLING).await);
    two.subscribe("a", "/topic/answers").await;
    one.send("SEND\ndestination:/app/ask\ncorrelation-id:7\n\n^").await;
    let message = two.message().await;
    let header = |name| message.headers.get(name);
    assert_eq!((header("content-type"), header("correlation-id")), (Some("application/json"), Some("7")));
    assert_eq!(message.body, "[1,2]");
}
