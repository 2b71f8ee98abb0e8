//! Rooms over several nodes, on a bus in process.

use std::{sync::Arc, time::Duration};

use axum_sockjs::{Overflow, Pair, Peer, Session};
use axum_sockjs_rooms::{
    BuildError, Builder, History, JoinError, Outcome, Position, Refused, Rooms, Sent, UserEvent,
};
use sockjs_bus::{
    BoxFuture, Bus, InProcess, PublishError, Receiver, Stats, Status, Subject, Subscription,
    in_process::{connection::Connection, faults::Faults},
};
use tokio::{sync::watch, time::sleep};

use crate::support::{guest, of, room_for, slow, texts};

struct Node {
    rooms: Rooms,
    connection: Arc<Connection>,
}

fn node_with(bus: &InProcess, configure: impl FnOnce(Builder) -> Builder) -> Node {
    let connection = Arc::new(bus.connect());
    let builder = Rooms::builder().bus(Arc::clone(&connection) as Arc<dyn Bus>);
    Node { rooms: configure(builder).build(), connection }
}

fn node(bus: &InProcess) -> Node {
    node_with(bus, |builder| builder)
}

/// Longer than a batch of operations takes.
async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

/// Each user of a room with the number of its tabs.
fn who(rooms: &Rooms, key: &str) -> Vec<(Option<String>, usize)> {
    let mut who: Vec<_> =
        rooms.presence(key).into_iter().map(|present| (present.user, present.tabs.len())).collect();
    who.sort();
    who
}

fn named(user: &str, tabs: usize) -> (Option<String>, usize) {
    (Some(user.to_owned()), tabs)
}

#[tokio::test(start_paused = true)]
async fn a_message_reaches_the_members_on_all_nodes() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus), node(&bus)];
    let mut sessions: Vec<(Session, Peer)> = (0..3).map(|_| guest()).collect();
    let mut members = Vec::new();
    for (node, (session, _)) in nodes.iter().zip(&sessions) {
        members.push(node.rooms.join(session, "lobby").await.unwrap());
    }
    // Nobody of these is in it.
    let (other, mut other_hears) = guest();
    let _elsewhere = nodes[2].rooms.join(&other, "attic").await.unwrap();
    let sent = members[0].send("one");
    assert_eq!((sent.delivered, sent.bus), (1, None), "those of this node are counted");
    assert_eq!(texts(&mut sessions[0].1), ["one"], "and get it at once");
    members[1].send_to_others("two");
    settle().await;
    nodes[1].rooms.to("lobby").except(&sessions[2].0).send("three");
    nodes[2].rooms.to("lobby").except_id(sessions[0].0.id()).send("four");
    settle().await;
    assert_eq!(texts(&mut sessions[0].1), ["two", "three"]);
    assert_eq!(texts(&mut sessions[1].1), ["one", "three", "four"]);
    assert_eq!(texts(&mut sessions[2].1), ["one", "two", "four"]);
    // From where nobody is in the room.
    assert_eq!(node(&bus).rooms.send("lobby", "five"), Sent::default());
    settle().await;
    for (_, hears) in &mut sessions {
        assert_eq!(texts(hears), ["five"]);
    }
    assert_eq!(texts(&mut other_hears), [""; 0]);
    drop(members);
    settle().await;
    assert_eq!(nodes[0].rooms.len("lobby"), 0);
}

#[tokio::test(start_paused = true)]
async fn a_room_costs_only_the_nodes_that_have_members() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus), node(&bus)];
    let (ada, _ada_hears) = guest();
    let (bob, _bob_hears) = guest();
    let _ada = nodes[0].rooms.join(&ada, "lobby").await.unwrap();
    let member = nodes[1].rooms.join(&bob, "lobby").await.unwrap();
    settle().await;
    let received = |node: &Node| node.connection.stats().received;
    let before = nodes.each_ref().map(received);
    for _ in 0..10 {
        nodes[0].rooms.send("lobby", "x");
    }
    sleep(Duration::from_millis(1)).await;
    assert_eq!((received(&nodes[1]) - before[1], received(&nodes[2]) - before[2]), (10, 0));
    drop(member);
    nodes[0].rooms.send("lobby", "x");
    sleep(Duration::from_millis(1)).await;
    assert_eq!(received(&nodes[1]) - before[1], 10, "it has none any more");
}

#[tokio::test(start_paused = true)]
async fn users_and_log_outs_are_those_of_all_nodes() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let (here, mut here_hears) = of("ada");
    let (there, mut there_hears) = of("ada");
    let (bob, mut bob_hears) = of("bob");
    let _tabs = (
        nodes[0].rooms.enter(&here).unwrap(),
        nodes[1].rooms.enter(&there).unwrap(),
        nodes[1].rooms.enter(&bob).unwrap(),
    );
    settle().await;
    for node in &nodes {
        assert_eq!(node.rooms.tabs_of("ada").len(), 2);
        let mut users = node.rooms.users();
        users.sort();
        assert_eq!(users, ["ada", "bob"]);
    }
    nodes[1].rooms.send_to_user("ada", "to ada");
    nodes[0].rooms.send_to_user("bob", "to bob");
    nodes[0].rooms.send_to_all("to all");
    settle().await;
    // Those of one sender to different subjects may overtake each other.
    for (hears, expected) in
        [(&mut here_hears, "to ada"), (&mut there_hears, "to ada"), (&mut bob_hears, "to bob")]
    {
        let mut heard = texts(hears);
        heard.sort();
        let mut expected = [expected, "to all"];
        expected.sort_unstable();
        assert_eq!(heard, expected);
    }
    let closed = nodes[0].rooms.close_user("ada", 4001, "log out");
    assert_eq!((closed.sessions, closed.bus), (1, None), "those of this node are counted");
    settle().await;
    assert!(here.is_closed() && there.is_closed() && !bob.is_closed());
    assert_eq!(there.close_reason().unwrap().to_string(), here.close_reason().unwrap().to_string());
}

#[tokio::test(start_paused = true)]
async fn a_log_out_that_is_lost_is_repeated_for_those_who_were_there() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let ((ada, _ada_hears), (bob, _bob_hears)) = (of("ada"), of("bob"));
    let _tabs = [nodes[1].rooms.enter(&ada).unwrap(), nodes[1].rooms.enter(&bob).unwrap()];
    settle().await;
    bus.cut(&nodes[0].connection, &nodes[1].connection);
    assert_eq!(nodes[0].rooms.close_user("ada", 4001, "log out").bus, None, "nobody knows that it is lost");
    settle().await;
    bus.heal();
    // She logs in again, and is to stay.
    let (again, _again_hears) = of("ada");
    let _again = nodes[1].rooms.enter(&again).unwrap();
    sleep(Duration::from_secs(2)).await;
    assert!(!ada.is_closed());
    sleep(Duration::from_secs(1)).await;
    assert!(ada.is_closed());
    assert_eq!(ada.close_reason().unwrap().to_string(), {
        nodes[1].rooms.close_user("bob", 4001, "log out");
        bob.close_reason().unwrap().to_string()
    });
    sleep(Duration::from_secs(30)).await;
    assert!(!again.is_closed());
}

#[tokio::test(start_paused = true)]
async fn a_log_out_that_the_bus_refuses_is_repeated_three_times() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let (ada, _ada_hears) = of("ada");
    let _tab = nodes[1].rooms.enter(&ada).unwrap();
    settle().await;
    let log_out = || nodes[0].rooms.close_user("ada", 4001, "log out").bus;
    nodes[0].connection.set_full(true);
    assert_eq!(log_out(), Some(PublishError::Full));
    sleep(Duration::from_secs(9)).await;
    nodes[0].connection.set_full(false);
    sleep(Duration::from_secs(9)).await;
    assert!(!ada.is_closed(), "it has been given up");
    nodes[0].connection.set_full(true);
    assert_eq!(log_out(), Some(PublishError::Full));
    sleep(Duration::from_secs(6)).await;
    nodes[0].connection.set_full(false);
    sleep(Duration::from_secs(2)).await;
    assert!(ada.is_closed());
}

#[tokio::test(start_paused = true)]
async fn sessions_are_closed_on_all_nodes() {
    let bus = InProcess::new();
    let history = |key: &String| (key == "kept").then_some(History::last(9));
    let nodes = [0, 1, 2].map(|_| node_with(&bus, |builder| builder.history_of(history)));
    for key in ["lobby", "kept"] {
        let sessions: Vec<(Session, Peer)> = ["ada", "bob", "ada", "eve"].map(of).into();
        let mut members = Vec::new();
        for (at, key) in [(0, key), (1, key), (1, key), (1, "attic")].into_iter().enumerate() {
            members.push(nodes[key.0].rooms.join(&sessions[at].0, key.1).await.unwrap());
        }
        settle().await;
        let is_closed = || sessions.iter().map(|(session, _)| session.is_closed()).collect::<Vec<_>>();
        // From where nobody is.
        let closed = nodes[2].rooms.to(key).except(&sessions[2].0).close(4000, "over");
        assert_eq!((closed.sessions, closed.bus), (0, None));
        settle().await;
        assert_eq!(is_closed(), [true, true, false, false]);
        assert_eq!(nodes[0].rooms.close_session(sessions[2].0.id(), 4003, "out").sessions, 0);
        settle().await;
        assert_eq!(is_closed(), [true, true, true, false]);
        nodes[0].rooms.to_all().close(4002, "all");
        settle().await;
        assert_eq!(is_closed(), [true; 4]);
        nodes[0].connection.set_full(true);
        assert_eq!(members[0].to_room().close(4000, "over").bus, Some(PublishError::Full));
        nodes[0].connection.set_full(false);
    }
}

#[tokio::test(start_paused = true)]
async fn all_other_tabs_of_a_user_are_closed_on_all_nodes() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let ((here, _hears), (there, _there_hears), (stays, _stays_hears)) = (of("ada"), of("ada"), of("ada"));
    let _tabs = [
        nodes[0].rooms.enter(&here).unwrap(),
        nodes[1].rooms.enter(&there).unwrap(),
        nodes[1].rooms.enter(&stays).unwrap(),
    ];
    settle().await;
    // What is lost is repeated, also without the one.
    bus.cut(&nodes[0].connection, &nodes[1].connection);
    assert_eq!(nodes[0].rooms.to_user("ada").except(&stays).close(4001, "elsewhere").sessions, 1);
    settle().await;
    bus.heal();
    assert!(!there.is_closed());
    sleep(Duration::from_secs(9)).await;
    assert!(here.is_closed() && there.is_closed() && !stays.is_closed());
}

#[tokio::test(start_paused = true)]
async fn user_events_are_those_of_all_nodes() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus), node(&bus)];
    let mut events = nodes.each_ref().map(|node| node.rooms.user_events());
    let mut tell = |expected: Option<UserEvent>| {
        for events in &mut events {
            assert_eq!((events.try_next(), events.try_next()), (expected.clone(), None));
        }
    };
    let (online, offline) = (UserEvent::Online("ada".to_owned()), UserEvent::Offline("ada".to_owned()));
    let ((here, _here_hears), (there, _there_hears)) = (of("ada"), of("ada"));
    let first = nodes[0].rooms.enter(&here).unwrap();
    settle().await;
    tell(Some(online.clone()));
    let _second = nodes[1].rooms.join(&there, "lobby").await.unwrap();
    settle().await;
    tell(None);
    drop(first);
    settle().await;
    tell(None);
    // The node of the second tab dies.
    nodes[1].connection.disconnect();
    sleep(Duration::from_secs(11)).await;
    let [first, _, third] = &mut events;
    assert_eq!((first.next().await, third.next().await), (offline.clone(), offline));
    nodes[1].connection.reconnect();
    sleep(Duration::from_secs(5)).await;
    assert_eq!((first.try_next(), third.try_next()), (Some(online.clone()), Some(online)));
}

#[tokio::test(start_paused = true)]
async fn presence_is_that_of_all_nodes_and_changes_are_told() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let (ada, _ada_hears) = of("ada");
    let (again, _again_hears) = of("ada");
    let (bob, _bob_hears) = of("bob");
    let mut watch = nodes[0].rooms.watch("lobby", Duration::from_secs(1)).unwrap();
    let here = nodes[0].rooms.join(&ada, "lobby").await.unwrap();
    assert_eq!(watch.next().await.joined.len(), 1);
    let also = nodes[1].rooms.join(&again, "lobby").await.unwrap();
    let there = nodes[1].rooms.join(&bob, "lobby").await.unwrap();
    let changes = watch.next().await;
    assert_eq!((changes.joined.len(), changes.updated.len(), changes.left.len()), (1, 1, 0));
    assert_eq!((changes.joined[0].user.as_deref(), changes.updated[0].tabs.len()), (Some("bob"), 2));
    for node in &nodes {
        assert_eq!(who(&node.rooms, "lobby"), [named("ada", 2), named("bob", 1)]);
        assert_eq!((node.rooms.len("lobby"), node.rooms.keys()), (3, vec!["lobby".to_owned()]));
    }
    drop((also, there));
    let changes = watch.next().await;
    assert_eq!((changes.joined.len(), changes.updated.len(), changes.left.len()), (0, 1, 1));
    assert_eq!(here.presence().len(), 1);
    // A node that starts later knows all of it, without a member of its own.
    let late = node(&bus);
    settle().await;
    assert_eq!(who(&late.rooms, "lobby"), [named("ada", 1)]);
}

#[tokio::test(start_paused = true)]
async fn data_of_members_are_seen_on_other_nodes() {
    let bus = InProcess::new();
    let nodes = [0, 1].map(|_| Rooms::<u32, String, u8>::builder().bus(Arc::new(bus.connect())).build());
    let (ada, _hears) = of("ada");
    let member = nodes[0].join_with(&ada, 7_u32, 1).await.unwrap();
    settle().await;
    assert_eq!(nodes[1].presence(&7)[0].tabs[0].data, 1);
    member.set_data(2);
    member.set_data(3);
    settle().await;
    let present = nodes[1].presence(&7);
    assert_eq!((present[0].tabs[0].data, present[0].tabs[0].id), (3, ada.id()));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_stops_is_gone_at_once_and_a_dead_one_after_ten_seconds() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let (ada, _ada_hears) = of("ada");
    let (bob, _bob_hears) = of("bob");
    let stopping = node(&bus);
    let member = stopping.rooms.join(&ada, "lobby").await.unwrap();
    let _there = nodes[1].rooms.join(&bob, "lobby").await.unwrap();
    settle().await;
    assert_eq!(nodes[0].rooms.len("lobby"), 2);
    drop(member);
    drop(stopping);
    sleep(Duration::from_millis(1)).await;
    assert_eq!(nodes[0].rooms.len("lobby"), 1);
    assert_eq!(nodes[0].rooms.stats().bus.unwrap().nodes, 1);
    nodes[1].connection.disconnect();
    sleep(Duration::from_millis(7_400)).await;
    assert_eq!(nodes[0].rooms.len("lobby"), 1, "it may come back");
    sleep(Duration::from_millis(2_600)).await;
    assert_eq!((nodes[0].rooms.len("lobby"), nodes[1].rooms.len("lobby")), (0, 1));
    assert_eq!(nodes[0].rooms.stats().bus.unwrap().dead, 1);
    nodes[1].connection.reconnect();
    sleep(Duration::from_secs(4)).await;
    assert_eq!(nodes[0].rooms.len("lobby"), 1, "it was not dead");
}

#[tokio::test(start_paused = true)]
async fn a_node_that_leaves_the_bus_says_nothing_more() {
    let bus = InProcess::new();
    let (here, there) = (node(&bus), node(&bus));
    let ((ada, mut ada_hears), (bob, _bob_hears)) = (of("ada"), of("bob"));
    let _ada = here.rooms.join(&ada, "lobby").await.unwrap();
    let bob = there.rooms.join(&bob, "lobby").await.unwrap();
    settle().await;
    assert_eq!(here.rooms.len("lobby"), 2);
    there.rooms.leave_bus().await;
    sleep(Duration::from_millis(1)).await;
    assert_eq!(here.rooms.len("lobby"), 1);
    // It is not taken for one that is there again, whatever it still does.
    assert_eq!(bob.send("x").bus, Some(PublishError::Disconnected));
    drop(bob);
    sleep(Duration::from_secs(30)).await;
    let stats = here.rooms.stats().bus.unwrap();
    assert_eq!((stats.nodes, stats.dead, here.rooms.len("lobby")), (0, 0, 1));
    assert_eq!(texts(&mut ada_hears), [""; 0]);
    there.rooms.leave_bus().await;
    // Without a bus there is nothing to leave.
    Rooms::<String, String, ()>::builder().build().leave_bus().await;
}

#[tokio::test(start_paused = true)]
async fn without_the_bus_a_node_goes_on_by_itself() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let (ada, mut ada_hears) = of("ada");
    let (bob, mut bob_hears) = of("bob");
    let (eve, mut eve_hears) = of("eve");
    let ada = nodes[0].rooms.join(&ada, "lobby").await.unwrap();
    let _bob = nodes[1].rooms.join(&bob, "lobby").await.unwrap();
    let (dan, _dan_hears) = of("dan");
    let _dan = nodes[1].rooms.enter(&dan).unwrap();
    settle().await;
    nodes[0].connection.disconnect();
    let sent = ada.send("1");
    assert_eq!((sent.delivered, sent.bus), (1, Some(PublishError::Disconnected)));
    assert_eq!(nodes[0].rooms.send_to_user("bob", "2").bus, Some(PublishError::Disconnected));
    assert_eq!(nodes[0].rooms.send_to_all("3").bus, Some(PublishError::Disconnected));
    assert_eq!(nodes[0].rooms.close_user("dan", 4001, "log out").bus, Some(PublishError::Disconnected));
    // Whoever joins now does not wait.
    let eve = nodes[0].rooms.join(&eve, "lobby").await.unwrap();
    assert_eq!(eve.send("4").delivered, 2);
    assert_eq!(texts(&mut ada_hears), ["1", "3", "4"]);
    assert_eq!(texts(&mut eve_hears), ["4"]);
    let stats = nodes[0].rooms.stats().bus.unwrap();
    assert!(matches!(stats.status, Status::Reconnecting { .. }) && stats.port.refused >= 4, "{stats:?}");
    assert!(!dan.is_closed());
    nodes[0].connection.reconnect();
    sleep(Duration::from_secs(4)).await;
    assert!(dan.is_closed(), "the log-out is repeated");
    assert_eq!(nodes[1].rooms.send("lobby", "5").bus, None);
    settle().await;
    for hears in [&mut ada_hears, &mut bob_hears, &mut eve_hears] {
        assert_eq!(texts(hears), ["5"]);
    }
    assert_eq!(who(&nodes[1].rooms, "lobby"), [named("ada", 1), named("bob", 1), named("eve", 1)]);
    // What is too large for the bus is not for those who are here.
    nodes[0].connection.set_full(true);
    assert_eq!(ada.send("6").bus, Some(PublishError::Full));
    nodes[0].connection.set_full(false);
    let large = "x".repeat(nodes[0].connection.max_payload());
    let sent = nodes[0].rooms.to("lobby").overflow(Overflow::DropOldest).send(large);
    assert!(matches!(sent.bus, Some(PublishError::TooLarge { .. })), "{sent:?}");
}

/// A bus without streams.
#[derive(Debug)]
struct Plain(Connection);

impl Bus for Plain {
    fn publish(&self, subject: &Subject, payload: bytes::Bytes) -> Result<(), PublishError> {
        self.0.publish(subject, payload)
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.0.flush()
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        self.0.subscribe(subject, receiver)
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
async fn a_bus_without_streams_refuses_history() {
    let plain = || Arc::new(Plain(InProcess::new().connect()));
    let history = History::last(3);
    let refused = Rooms::<String, String, ()>::builder().bus(plain()).history(history).try_build();
    assert_eq!(refused.map(|_| ()), Err(BuildError::NoStreams));
    assert!(Rooms::<String, String, ()>::builder().bus(plain()).try_build().is_ok());
    let named = Rooms::<String, String, ()>::builder().bus(plain()).bus_namespace("a b").try_build();
    assert!(matches!(named.map(|_| ()), Err(BuildError::Namespace(_))));
}

#[tokio::test(start_paused = true)]
async fn what_is_set_before_the_bus_counts_as_well() {
    let bus = InProcess::new();
    let connect = || Arc::new(bus.connect());
    let before: Rooms = Rooms::builder()
        .bus_namespace("other")
        .dead_after(Duration::from_secs(2))
        .max_remote_members(2)
        .bus(connect())
        .build();
    let after: Rooms = Rooms::builder().bus(connect()).bus_namespace("other").build();
    let ((ada, _ada_hears), (bob, mut bob_hears)) = (of("ada"), of("bob"));
    let _bob = before.enter(&bob).unwrap();
    let ada = after.join(&ada, "lobby").await.unwrap();
    settle().await;
    ada.send("x");
    assert_eq!(after.send_to_user("bob", "heard").bus, None);
    settle().await;
    assert_eq!((texts(&mut bob_hears), before.len("lobby")), (vec!["heard".to_owned()], 1));
    let (eve, _eve_hears) = of("eve");
    let _eve = after.enter(&eve).unwrap();
    settle().await;
    assert_eq!(before.stats().bus.unwrap().unknown_members, 1);
    // A node that is there says so every 2.5 s.
    sleep(Duration::from_secs(5)).await;
    assert_ne!(before.stats().bus.unwrap().dead, 0);
}

#[tokio::test(start_paused = true)]
async fn several_rooms_on_one_bus_have_different_namespaces() {
    let bus: Arc<dyn Bus> = Arc::new(InProcess::new().connect());
    let chat: Rooms = Rooms::builder().bus(Arc::clone(&bus)).build();
    let games = || Rooms::<String, String, u32>::builder().bus(Arc::clone(&bus));
    assert_eq!(games().try_build().map(drop), Err(BuildError::NamespaceInUse));
    let apart = games().bus_namespace("games").build();
    let ((ada, mut ada_hears), (bob, _bob_hears)) = (of("ada"), of("bob"));
    let _ada = chat.join(&ada, "lobby").await.unwrap();
    let _bob = apart.join(&bob, "lobby").await.unwrap();
    apart.send("lobby", "x");
    settle().await;
    assert_eq!((chat.len("lobby"), apart.len("lobby"), texts(&mut ada_hears)), (1, 1, vec![]));
    // It is free when the first has left, whatever is left of it.
    chat.leave_bus().await;
    let second = games().build();
    drop(second);
    assert!(games().try_build().is_ok());
}

#[test]
fn without_a_runtime_there_is_no_bus() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let connection = runtime.block_on(async { InProcess::new().connect() });
    let refused = Rooms::<String, String, ()>::builder().bus(Arc::new(connection)).try_build();
    assert_eq!(refused.map(|_| ()), Err(BuildError::NoRuntime));
}

#[tokio::test(start_paused = true)]
async fn a_key_that_is_too_long_for_the_bus_is_refused() {
    let bus = InProcess::new();
    let node = node(&bus);
    let (ada, _hears) = guest();
    let key = "x".repeat(1000);
    assert_eq!(node.rooms.join(&ada, key.as_str()).await.unwrap_err(), JoinError::Unavailable);
    let sent = node.rooms.send(key.as_str(), "x");
    assert_eq!(sent.bus, Some(PublishError::TooLarge { max: Subject::MAX_LEN }));
}

/// What comes from the bus is not trusted.
#[tokio::test(start_paused = true)]
async fn no_bytes_from_the_bus_harm() {
    let bus = InProcess::new();
    let node = node(&bus);
    let (ada, mut hears) = of("ada");
    let _member = node.rooms.join(&ada, "lobby").await.unwrap();
    let foe = bus.connect();
    let port = sockjs_bus::Port::new(Arc::new(bus.connect()), "rooms").unwrap();
    let lobby = port.subject("room", b"\"lobby\"").unwrap();
    let user = port.subject("user", b"\"ada\"").unwrap();
    let (nodes, all) = (port.subject("nodes", b"").unwrap(), port.subject("all", b"").unwrap());
    for subject in [&lobby, &user, &nodes, &all] {
        for first in 0..=255_u8 {
            for bytes in
                [&[][..], &[first], &[1, first], &[1, first, 0, 0, 0, 0, 0, 0, 0, 0, 255, 255, 255, 255]]
            {
                foe.publish(subject, bytes.to_vec().into()).unwrap();
                port.publish(subject, &[bytes]).unwrap();
            }
        }
    }
    settle().await;
    while hears.try_recv().is_some() {}
    assert!(!ada.is_closed());
    port.publish(&lobby, &[&[1, 0], b"a message"]).unwrap();
    settle().await;
    assert_eq!(texts(&mut hears), ["a message"]);
    assert!(node.rooms.stats().bus.unwrap().port.invalid > 1000);
}

/// Under loss, delay and repetition: none twice, in order for each sender, none lost among those of a node, and in the
/// end everybody knows who is there.
#[tokio::test(start_paused = true)]
async fn with_faults_nothing_comes_twice_and_those_of_a_node_lose_nothing() {
    const MESSAGES: usize = 200;
    for seed in 0..20 {
        let bus = InProcess::new();
        let nodes = [node(&bus), node(&bus), node(&bus)];
        let faults = Faults::none().drop_percent(20).repeat_percent(20);
        bus.set_faults(faults.delay(Duration::ZERO..Duration::from_millis(300)), seed);
        let mut sessions: Vec<(Session, Peer)> = Vec::new();
        let mut members = Vec::new();
        for number in 0..6 {
            let (session, peer) = Pair::new().identity(format!("user {number}")).open();
            members.push(nodes[number % 3].rooms.join(&session, "lobby").await.unwrap());
            sessions.push((session, peer));
        }
        for number in 0..MESSAGES {
            for (sender, member) in members.iter().enumerate() {
                member.send(format!("{sender} {number}"));
            }
            if number == 50 {
                bus.cut(&nodes[0].connection, &nodes[1].connection);
            }
            if number == 100 {
                bus.heal();
                nodes[2].connection.disconnect();
            }
            if number == 150 {
                nodes[2].connection.reconnect();
            }
            sleep(Duration::from_millis(100)).await;
        }
        bus.set_faults(Faults::none(), 0);
        sleep(Duration::from_secs(11)).await;
        let mut came_from_elsewhere = 0;
        for (at, (_, peer)) in sessions.iter_mut().enumerate() {
            let mut heard = vec![Vec::new(); members.len()];
            for text in texts(peer) {
                let (sender, number) = text.split_once(' ').unwrap();
                heard[sender.parse::<usize>().unwrap()].push(number.parse::<usize>().unwrap());
            }
            for (sender, heard) in heard.iter().enumerate() {
                if sender % 3 == at % 3 {
                    assert_eq!(*heard, (0..MESSAGES).collect::<Vec<_>>(), "of the same node");
                } else {
                    assert!(heard.windows(2).all(|pair| pair[0] < pair[1]), "{heard:?}");
                    came_from_elsewhere += heard.len();
                }
            }
        }
        let all = 24 * MESSAGES;
        assert!(came_from_elsewhere > all / 3 && came_from_elsewhere < all, "{came_from_elsewhere} of {all}");
        for node in &nodes {
            assert_eq!(node.rooms.presence("lobby").len(), 6, "seed {seed}");
            assert!(node.rooms.stats().bus.unwrap().port.missed > 0);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_over_a_bus_refuses_what_the_bus_does_not_take() {
    let bus = InProcess::new();
    let node = node_with(&bus, |builder| builder.history(History::last(3)));
    node.connection.disconnect();
    let sent = node.rooms.send("lobby", "x");
    assert_eq!(sent.refused, Some(Refused::Bus(PublishError::Disconnected)));
    let (ada, _hears) = guest();
    assert_eq!(node.rooms.join(&ada, "lobby").await.unwrap_err(), JoinError::Unavailable);
    assert_eq!((node.rooms.stats().refused, node.rooms.stats().bus.unwrap().not_kept), (1, 1));
}

/// Rooms with history that send each message with its number in front.
fn historic(bus: &InProcess, history: History) -> Node {
    node_with(bus, |builder| {
        builder
            .history(history)
            .encode(|position, message| format!("{}:{}", position.number(), message.as_str().unwrap()).into())
    })
}

#[tokio::test(start_paused = true)]
async fn a_history_is_that_of_all_nodes_in_one_order() {
    let bus = InProcess::new();
    let nodes = [historic(&bus, History::last(100)), historic(&bus, History::last(100))];
    let mut sessions: Vec<(Session, Peer)> = (0..2).map(|_| guest()).collect();
    let mut members = Vec::new();
    for (node, (session, _)) in nodes.iter().zip(&sessions) {
        members.push(node.rooms.join(session, "lobby").await.unwrap());
    }
    // Another room's messages take numbers too.
    let sent = nodes[0].rooms.send("attic", "elsewhere");
    assert_eq!((sent.handed_over, sent.position, sent.refused), (true, None, None));
    for number in 0..20 {
        members[number % 2].send(number.to_string());
    }
    settle().await;
    let heard = texts(&mut sessions[0].1);
    assert_eq!(heard.len(), 20);
    assert_eq!(heard, texts(&mut sessions[1].1), "one order for all");
    // Whoever comes back gets exactly the rest, on a node that has never had the room as on others.
    let late = historic(&bus, History::last(100));
    let start = members[0].recovery().unwrap().position;
    let at = |text: &str| {
        let (stream, _) =
            start.to_string().split_once('-').map(|(a, b)| (a.to_owned(), b.to_owned())).unwrap();
        format!("{stream}-{}", text.split_once(':').unwrap().0).parse::<Position>().unwrap()
    };
    for node in [&nodes[0], &nodes[1], &late] {
        for behind in [0, 7, 19] {
            let (session, mut peer) = guest();
            let member = node.rooms.join(&session, "lobby").since(at(&heard[behind])).await.unwrap();
            let recovery = member.recovery().unwrap();
            assert_eq!((recovery.outcome, recovery.messages), (Outcome::Whole, 19 - behind as u64));
            assert_eq!(texts(&mut peer), heard[behind + 1..]);
        }
        let (session, mut peer) = guest();
        let member = node.rooms.join(&session, "lobby").last(3).await.unwrap();
        assert_eq!(member.recovery().unwrap().outcome, Outcome::New);
        assert_eq!(texts(&mut peer), heard[17..]);
    }
    assert_eq!(late.rooms.stats().rooms, 0, "the bus has it");
    // Transient messages are for those who are there.
    members[0].to_room().transient().send("types");
    settle().await;
    assert_eq!(texts(&mut sessions[1].1), ["types"]);
}

#[tokio::test(start_paused = true)]
async fn a_position_before_the_first_message_is_whole_on_a_node_that_comes_later() {
    let bus = InProcess::new();
    let node = historic(&bus, History::last(100));
    node.rooms.send("attic", "elsewhere");
    let (session, peer) = guest();
    let member = node.rooms.join(&session, "lobby").await.unwrap();
    let start = member.recovery().unwrap().position;
    drop((member, peer));
    node.rooms.send("attic", "elsewhere");
    for text in ["a", "b"] {
        node.rooms.send("lobby", text);
    }
    settle().await;
    let late = historic(&bus, History::last(100));
    for node in [&node, &late] {
        let (session, mut peer) = guest();
        let member = node.rooms.join(&session, "lobby").since(start).await.unwrap();
        assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
        assert_eq!(texts(&mut peer).len(), 2);
    }
}

#[tokio::test(start_paused = true)]
async fn a_position_that_is_too_old_is_gone() {
    let bus = InProcess::new();
    let nodes = [historic(&bus, History::last(3)), historic(&bus, History::last(3))];
    let (session, mut peer) = guest();
    let member = nodes[0].rooms.join(&session, "lobby").await.unwrap();
    let start = member.recovery().unwrap().position;
    for text in ["a", "b", "c", "d", "e"] {
        nodes[1].rooms.send("lobby", text);
    }
    settle().await;
    assert_eq!(texts(&mut peer).len(), 5);
    for node in &nodes {
        let (session, mut peer) = guest();
        let member = node.rooms.join(&session, "lobby").since(start).last(2).await.unwrap();
        let recovery = member.recovery().unwrap();
        assert_eq!((recovery.outcome, recovery.messages), (Outcome::Gone, 2));
        assert_eq!(texts(&mut peer).len(), 2);
    }
}

/// What the bus says while a node is away is there when it comes back, once.
#[tokio::test(start_paused = true)]
async fn a_history_has_no_hole_after_an_outage() {
    let bus = InProcess::new();
    let nodes = [historic(&bus, History::last(100)), historic(&bus, History::last(100))];
    let (session, mut peer) = guest();
    let member = nodes[0].rooms.join(&session, "lobby").await.unwrap();
    nodes[1].rooms.send("lobby", "1");
    settle().await;
    nodes[0].connection.disconnect();
    nodes[1].rooms.send("lobby", "2");
    assert_eq!(member.send("x").refused, Some(Refused::Bus(PublishError::Disconnected)));
    // The history is that of the moment at which the bus was lost.
    let (other, mut other_hears) = guest();
    let _other = nodes[0].rooms.join(&other, "lobby").last(9).await.unwrap();
    settle().await;
    assert_eq!(texts(&mut other_hears), ["1:1"]);
    assert_eq!(texts(&mut peer), ["1:1"]);
    nodes[0].connection.reconnect();
    nodes[1].rooms.send("lobby", "3");
    settle().await;
    assert_eq!(texts(&mut peer), ["2:2", "3:3"]);
    assert_eq!(texts(&mut other_hears), ["2:2", "3:3"]);
}

/// The bus keeps messages longer than the room wants them. On a node that reads them later, they are as old.
#[tokio::test(start_paused = true)]
async fn a_message_is_as_old_on_each_node() {
    let bus = InProcess::new();
    let nodes = [0, 1, 2].map(|_| historic(&bus, History::within(Duration::from_secs(60))));
    let join = async |node: &Node| {
        let (session, mut peer) = guest();
        let member = node.rooms.join(&session, "lobby").last(9).await.unwrap();
        settle().await;
        (texts(&mut peer), session, peer, member)
    };
    // Each life of a room on a node reads it anew.
    let follows = join(&nodes[0]).await;
    follows.3.send("old");
    settle().await;
    nodes[2].connection.disconnect();
    sleep(Duration::from_secs(40)).await;
    let reads = join(&nodes[1]).await;
    assert_eq!(reads.0, ["1:old"]);
    follows.3.send("new");
    sleep(Duration::from_secs(30)).await;
    // The one node has heard both, the next one has read the first, and the last reads both.
    nodes[2].connection.reconnect();
    settle().await;
    for node in &nodes {
        assert_eq!(join(node).await.0, ["2:new"]);
    }
}

/// An engine that comes back with nothing: members have missed something, and come back.
#[tokio::test(start_paused = true)]
async fn a_history_that_is_lost_closes_those_who_would_miss_it() {
    let bus = InProcess::new();
    let node = historic(&bus, History::last(100));
    let (session, mut peer) = guest();
    let member = node.rooms.join(&session, "lobby").await.unwrap();
    member.send("1");
    settle().await;
    assert_eq!(texts(&mut peer), ["1:1"]);
    let start = member.recovery().unwrap().position;
    bus.lose_streams();
    settle().await;
    assert!(session.is_closed());
    drop(member);
    assert_eq!(node.rooms.stats().bus.unwrap().histories_lost, 1);
    let (session, mut peer) = guest();
    let member = node.rooms.join(&session, "lobby").since(start).last(9).await.unwrap();
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Gone);
    member.send("2");
    settle().await;
    assert_eq!(texts(&mut peer), ["1:2"]);
}

/// Many come back on several nodes while messages are sent: each gets each message once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_come_back_at_once_on_several_nodes() {
    const CLIENTS: usize = 10_000;
    const MESSAGES: usize = 60;
    let bus = InProcess::new();
    let nodes = [0, 1, 2].map(|_| historic(&bus, History::last(1000)));
    let (speaker, _speaker_hears) = guest();
    let speaker = nodes[0].rooms.join(&speaker, "lobby").await.unwrap();
    let start = speaker.recovery().unwrap().position;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|number| {
            let rooms = nodes[number % 3].rooms.clone();
            tokio::spawn(async move {
                let (session, mut peer) = Pair::new().open();
                let member = rooms.join(&session, "lobby").since(start).await.unwrap();
                assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
                let mut heard = Vec::new();
                for _ in 0..MESSAGES {
                    heard.push(peer.recv().await.unwrap().as_str().unwrap().to_owned());
                }
                assert_eq!(peer.try_recv(), None);
                heard
            })
        })
        .collect();
    for number in 0..MESSAGES {
        assert_eq!(nodes[number % 3].rooms.send("lobby", number.to_string()).refused, None);
        tokio::task::yield_now().await;
    }
    let expected: Vec<String> = (0..MESSAGES).map(|number| format!("{}:{number}", number + 1)).collect();
    for client in clients {
        assert_eq!(client.await.unwrap(), expected);
    }
}

/// Waits for something that takes as long as the machine does.
async fn until(is_so: impl Fn() -> bool) {
    for _ in 0..3_000 {
        if is_so() {
            return;
        }
        sleep(Duration::from_millis(10)).await;
    }
    panic!("it never is");
}

/// Threads join, leave and change at once: what other nodes are told last is what is so last.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn what_threads_do_at_once_is_told_in_the_end() {
    const SESSIONS: usize = 40;
    const ROUNDS: u8 = 100;
    let bus = InProcess::new();
    let nodes = [0, 1].map(|_| Rooms::<u8, String, u8>::builder().bus(Arc::new(bus.connect())).build());
    let tasks: Vec<_> = (0..SESSIONS)
        .map(|number| {
            let rooms = nodes[number % 2].clone();
            tokio::spawn(async move {
                let (session, peer) = Pair::new().identity(format!("user {}", number % 7)).open();
                for round in 0..ROUNDS {
                    let member = rooms.join_with(&session, round % 3, round).await.unwrap();
                    let other = rooms.join_with(&session, 3, round).await.unwrap();
                    // Another thread ends the one while this one begins anew.
                    let ends = tokio::spawn(async move { drop(member) });
                    other.set_data(round + 100);
                    drop(other);
                    if round % 2 == 0 {
                        ends.await.unwrap();
                    } else {
                        tokio::task::yield_now().await;
                        while !ends.is_finished() {
                            tokio::task::yield_now().await;
                        }
                    }
                }
                let member = rooms.join_with(&session, 3, 0).await.unwrap();
                member.set_data(u8::try_from(number).unwrap());
                (session, peer, member)
            })
        })
        .collect();
    let mut kept = Vec::new();
    for task in tasks {
        kept.push(task.await.unwrap());
    }
    until(|| nodes.iter().all(|rooms| rooms.keys() == [3] && rooms.len(&3) == SESSIONS)).await;
    // Nothing comes later that is not so.
    sleep(Duration::from_millis(200)).await;
    for rooms in &nodes {
        for key in 0..3 {
            assert_eq!(rooms.presence(&key), []);
        }
        let present = rooms.presence(&3);
        let mut data: Vec<u8> = present.iter().flat_map(|user| &user.tabs).map(|tab| tab.data).collect();
        data.sort_unstable();
        assert_eq!(data, (0..SESSIONS).map(|number| number as u8).collect::<Vec<_>>());
        assert_eq!((present.len(), rooms.users().len()), (7, 7));
        assert_eq!(rooms.stats().bus.unwrap().holes, 0);
    }
    drop(kept);
    until(|| nodes.iter().all(|rooms| rooms.users().is_empty() && rooms.keys().is_empty())).await;
}

#[tokio::test(start_paused = true)]
async fn who_waits_for_slow_members_keeps_nobody_else_waiting() {
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let (ada, mut ada_hears) = slow("ada", room_for(1));
    let (bob, mut bob_hears) = guest();
    let ada = nodes[0].rooms.join(&ada, "lobby").await.unwrap();
    let _bob = nodes[1].rooms.join(&bob, "lobby").await.unwrap();
    ada.send("1");
    let sending = tokio::spawn(async move {
        let sent = ada.to_room().send_within(Duration::from_secs(60), "2").await;
        (sent, ada)
    });
    settle().await;
    assert_eq!(texts(&mut bob_hears), ["1", "2"]);
    assert_eq!(texts(&mut ada_hears), ["1"]);
    let (sent, _ada) = sending.await.unwrap();
    assert_eq!((sent.delivered, sent.dropped, sent.bus), (1, 0, None));
    assert_eq!(texts(&mut ada_hears), ["2"]);
}

#[tokio::test(start_paused = true)]
async fn a_large_node_that_dies_is_gone_in_time_everywhere() {
    const SESSIONS: usize = 10_000;
    const ROOMS: usize = 1_000;
    let bus = InProcess::new();
    let nodes = [node(&bus), node(&bus)];
    let mut kept = Vec::with_capacity(SESSIONS);
    for number in 0..SESSIONS {
        let (session, peer) = Pair::new().identity(format!("user {}", number % 3_000)).open();
        let member = nodes[0].rooms.join(&session, format!("room {}", number % ROOMS)).await.unwrap();
        kept.push((session, peer, member));
    }
    settle().await;
    // One that was there, and one that gets a snapshot in parts.
    let late = node(&bus);
    sleep(Duration::from_secs(1)).await;
    for rooms in [&nodes[1].rooms, &late.rooms] {
        assert_eq!((rooms.keys().len(), rooms.users().len()), (ROOMS, 3_000));
        assert!((0..ROOMS).all(|number| rooms.len(&format!("room {number}")) == SESSIONS / ROOMS));
        assert_eq!(rooms.stats().bus.unwrap().holes, 0);
    }
    nodes[0].connection.disconnect();
    sleep(Duration::from_secs(10)).await;
    for rooms in [&nodes[1].rooms, &late.rooms] {
        assert_eq!((rooms.keys().len(), rooms.users().len()), (0, 0));
    }
    nodes[0].connection.reconnect();
    sleep(Duration::from_secs(4)).await;
    for rooms in [&nodes[1].rooms, &late.rooms] {
        assert_eq!((rooms.keys().len(), rooms.users().len()), (ROOMS, 3_000));
    }
    // This drops all of them without waiting for the bus.
    drop(kept);
    settle().await;
    assert_eq!(late.rooms.keys().len(), 0);
}

/// Data as deep as a client may send them are too deep for what stands around them between nodes.
#[tokio::test(start_paused = true)]
async fn data_that_other_nodes_cannot_read_hide_only_their_member() {
    type Deep = Rooms<String, String, serde_json::Value>;
    let bus = InProcess::new();
    let nodes = [0, 1].map(|_| Deep::builder().bus(Arc::new(bus.connect())).build());
    let deep: serde_json::Value =
        serde_json::from_str(&format!("{}{}", "[".repeat(127), "]".repeat(127))).unwrap();
    let (ada, _ada_hears) = of("ada");
    let (bob, _bob_hears) = of("bob");
    let ada = nodes[0].join_with(&ada, "lobby", 1.into()).await.unwrap();
    let _bob = nodes[0].join_with(&bob, "lobby", 2.into()).await.unwrap();
    settle().await;
    assert_eq!(nodes[1].len("lobby"), 2);
    ada.set_data(deep);
    settle().await;
    let seen =
        |node: &Deep| node.presence("lobby").into_iter().filter_map(|one| one.user).collect::<Vec<_>>();
    assert_eq!(seen(&nodes[1]), ["bob"], "not with data that are no longer hers");
    // One that reads it from a snapshot.
    let late = Deep::builder().bus(Arc::new(bus.connect())).build();
    sleep(Duration::from_secs(60)).await;
    for node in [&nodes[1], &late] {
        assert_eq!(seen(node), ["bob"]);
        let stats = node.stats().bus.unwrap();
        assert!((1..=2).contains(&stats.unknown_members) && stats.holes == 0, "{stats:?}");
    }
    ada.set_data(3.into());
    settle().await;
    assert_eq!((nodes[1].len("lobby"), late.len("lobby")), (2, 2));
}

#[tokio::test(start_paused = true)]
async fn a_node_that_starts_while_the_bus_is_away_keeps_nothing_for_it() {
    let bus = InProcess::new();
    let there = node(&bus);
    let (ada, _ada_hears) = of("ada");
    let _ada = there.rooms.join(&ada, "lobby").await.unwrap();
    let late = node(&bus);
    late.connection.disconnect();
    let (bob, _bob_hears) = of("bob");
    let _bob = late.rooms.join(&bob, "lobby").await.unwrap();
    for _ in 0..100 {
        let (eve, _eve_hears) = of("eve");
        drop(late.rooms.join(&eve, "lobby").await.unwrap());
        settle().await;
    }
    let refused = late.connection.stats().disconnected;
    assert!(refused >= 100, "what nobody can be told does not wait: {refused}");
    late.connection.reconnect();
    settle().await;
    assert_eq!(who(&late.rooms, "lobby"), [named("ada", 1), named("bob", 1)], "it asks at once");
    settle().await;
    assert_eq!(who(&there.rooms, "lobby"), [named("ada", 1), named("bob", 1)]);
}
