//! A room's history over a bus that is slow, refuses, or loses it.

use std::{sync::Arc, time::Duration};

use axum_sockjs_rooms::{ConfirmError, History, Join, JoinError, Member, Outcome, Refused, Rooms};
use bytes::Bytes;
use sockjs_bus::{
    Batch, Bus, Entry, Follow, InProcess, Position, PublishError, Receiver, Retention, Stats, Status,
    StreamError, Streams, Subject, Subscription, in_process::connection::Connection,
};
use tokio::{
    sync::watch,
    time::{Instant, sleep, timeout},
};

use crate::support::{guest, of, room_for, slow, texts};

type BoxFuture<'a, T> = std::pin::Pin<Box<dyn Future<Output = T> + Send + 'a>>;

/// What a bus does that is asked for the last entries of a stream, or to append one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Last {
    Answers,
    IsSilent,
    Refuses,
}

/// A bus whose streams answer late, or not.
#[derive(Debug, Clone)]
struct Hindered {
    bus: Arc<Connection>,
    last: watch::Sender<Last>,
    appends: watch::Sender<Last>,
    /// Whether those who follow get the next entry.
    follows: watch::Sender<bool>,
}

fn refused() -> StreamError {
    StreamError::Refused(Arc::new(std::io::Error::other("no")))
}

impl Hindered {
    fn new(bus: &InProcess) -> Self {
        let [last, appends] = [0, 1].map(|_| watch::Sender::new(Last::Answers));
        Self { bus: Arc::new(bus.connect()), last, appends, follows: watch::Sender::new(true) }
    }
}

impl Bus for Hindered {
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        self.bus.publish(subject, payload)
    }

    fn flush(&self) -> BoxFuture<'_, ()> {
        self.bus.flush()
    }

    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription {
        self.bus.subscribe(subject, receiver)
    }

    fn status(&self) -> watch::Receiver<Status> {
        self.bus.status()
    }

    fn stats(&self) -> Stats {
        self.bus.stats()
    }

    fn max_payload(&self) -> usize {
        self.bus.max_payload()
    }

    fn streams(&self) -> Option<&dyn Streams> {
        Some(self)
    }
}

impl Streams for Hindered {
    fn append(
        &self,
        stream: &Subject,
        payload: Bytes,
        retention: Retention,
    ) -> BoxFuture<'static, Result<Position, StreamError>> {
        let appending = self.bus.append(stream, payload, retention);
        let mut appends = self.appends.subscribe();
        Box::pin(async move {
            let appends = *appends.wait_for(|appends| *appends != Last::IsSilent).await.unwrap();
            if appends == Last::Refuses { Err(refused()) } else { appending.await }
        })
    }

    fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> BoxFuture<'static, Result<Batch, StreamError>> {
        self.bus.read(stream, after, max)
    }

    fn last(&self, stream: &Subject, max: usize) -> BoxFuture<'static, Result<Batch, StreamError>> {
        let (bus, stream, mut last) = (Arc::clone(&self.bus), stream.clone(), self.last.subscribe());
        Box::pin(async move {
            let last = *last.wait_for(|last| *last != Last::IsSilent).await.unwrap();
            if last == Last::Refuses {
                return Err(refused());
            }
            bus.last(&stream, max).await
        })
    }

    fn follow(&self, stream: &Subject, after: Position) -> Box<dyn Follow> {
        Box::new(Following(self.bus.follow(stream, after), self.follows.subscribe(), self.last.subscribe()))
    }
}

struct Following(Box<dyn Follow>, watch::Receiver<bool>, watch::Receiver<Last>);

impl Follow for Following {
    fn next(&mut self) -> BoxFuture<'_, Result<Entry, StreamError>> {
        Box::pin(async {
            let next = self.0.next().await;
            self.1.wait_for(|follows| *follows).await.unwrap();
            if *self.2.borrow() == Last::Refuses { Err(refused()) } else { next }
        })
    }
}

fn rooms(bus: Arc<dyn Bus>) -> Rooms {
    Rooms::builder()
        .bus(bus)
        .history(History::last(9))
        .encode(|position, message| format!("{}:{}", position.number(), message.as_str().unwrap()).into())
        .build()
}

async fn settle() {
    sleep(Duration::from_millis(50)).await;
}

#[tokio::test(start_paused = true)]
async fn a_room_that_everybody_has_left_takes_no_bytes() {
    let rooms = rooms(Arc::new(InProcess::new().connect()));
    for _ in 0..100 {
        let (session, _peer) = guest();
        let member = rooms.join(&session, "lobby").await.unwrap();
        member.send("a message");
        settle().await;
        assert_ne!(rooms.stats().history_bytes, 0);
        drop(member);
        assert_eq!(rooms.stats().history_bytes, 0);
    }
    assert_eq!(rooms.stats().rooms, 0);
}

/// The bus has lost a history. Who is about to join reads the old one to its end before the new one is there.
#[tokio::test(start_paused = true)]
async fn who_joins_while_a_history_is_lost_does_not_miss_what_comes_next() {
    let bus = InProcess::new();
    let hindered = Hindered::new(&bus);
    let rooms = rooms(Arc::new(hindered.clone()));
    let (speaker, _speaker_hears) = guest();
    let _speaker = rooms.join(&speaker, "lobby").await.unwrap();
    for number in 0..5 {
        rooms.send("lobby", number.to_string());
    }
    settle().await;
    let (ada, mut hears) = slow("ada", room_for(1));
    let joining = tokio::spawn(rooms.join(&ada, "lobby").last(9).into_future());
    settle().await;
    assert!(!joining.is_finished(), "its queue is full");
    hindered.last.send_replace(Last::IsSilent);
    bus.lose_streams();
    settle().await;
    assert!(speaker.is_closed());
    rooms.send("lobby", "missing");
    let mut heard = Vec::new();
    for _ in 0..10 {
        heard.extend(texts(&mut hears));
        settle().await;
    }
    assert_eq!(heard.len(), 5);
    hindered.last.send_replace(Last::Answers);
    settle().await;
    match joining.await.unwrap() {
        Ok(_) => assert!(ada.is_closed(), "it comes back for what it has missed"),
        Err(error) => assert_eq!(error, JoinError::Lagged),
    }
}

#[tokio::test(start_paused = true)]
async fn a_history_goes_on_behind_a_message_whose_encoder_panics() {
    let rooms: Rooms = Rooms::builder()
        .bus(Arc::new(InProcess::new().connect()))
        .history(History::last(9))
        .encode(|_, message| {
            assert_ne!(message.as_str(), Some("bad"), "as the test wants it");
            message.clone()
        })
        .build();
    let (ada, mut ada_hears) = guest();
    let _ada = rooms.join(&ada, "lobby").await.unwrap();
    for text in ["1", "bad", "2"] {
        rooms.send("lobby", text);
    }
    settle().await;
    assert_eq!(texts(&mut ada_hears), ["1", "2"]);
    assert_eq!(rooms.stats().panics, 1);
    let (bob, mut bob_hears) = guest();
    let _bob = rooms.join(&bob, "lobby").last(1).await.unwrap();
    assert_eq!(texts(&mut bob_hears), ["2"]);
}

/// A user whose name is a trap for nodes that read it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, serde::Serialize)]
struct Trap(String);

impl<'de> serde::Deserialize<'de> for Trap {
    fn deserialize<T: serde::Deserializer<'de>>(from: T) -> Result<Self, T::Error> {
        let name = String::deserialize(from)?;
        assert_ne!(name, "bad", "as the test wants it");
        Ok(Self(name))
    }
}

#[tokio::test(start_paused = true)]
async fn a_node_hears_on_after_code_of_the_application_has_panicked() {
    let bus = InProcess::new();
    let nodes = [0, 1].map(|_| Rooms::<String, Trap, ()>::builder().bus(Arc::new(bus.connect())).build());
    let (ada, mut hears) = of("ada");
    let _ada = nodes[0].join(&ada, "lobby").await.unwrap();
    let (bad, _bad_hears) = guest();
    let _bad = nodes[1].enter_as(&bad, Trap("bad".to_owned())).unwrap();
    settle().await;
    assert_ne!(nodes[0].stats().panics, 0);
    nodes[1].send("lobby", "heard");
    settle().await;
    assert_eq!(texts(&mut hears), ["heard"]);
}

/// Whoever waits for it learns whether a message is kept, and where.
#[tokio::test(start_paused = true)]
async fn a_message_is_confirmed_when_the_engine_has_it() {
    let bus = InProcess::new();
    let hindered = Hindered::new(&bus);
    let nodes = [rooms(Arc::new(hindered.clone())), rooms(Arc::new(bus.connect()))];
    let (ada, mut hears) = of("ada");
    let member = nodes[1].join(&ada, "lobby").await.unwrap();
    let first = nodes[0].to("lobby").send_confirmed("a").await.unwrap();
    assert_eq!(member.to_room().send_confirmed("b").await.unwrap().number(), first.number() + 1);
    settle().await;
    assert_eq!(texts(&mut hears), ["1:a", "2:b"]);
    // The engine says nothing for a while, then that it has it; then that something went wrong.
    for (answer, expected) in [(Last::Answers, Ok(3)), (Last::Refuses, Err(ConfirmError::Unknown))] {
        hindered.appends.send_replace(Last::IsSilent);
        let sending = tokio::spawn({
            let rooms = nodes[0].clone();
            async move { rooms.to("lobby").send_confirmed("c").await }
        });
        settle().await;
        assert!(!sending.is_finished());
        hindered.appends.send_replace(answer);
        assert_eq!(sending.await.unwrap().map(|position| position.number()), expected);
    }
    assert_eq!(nodes[0].stats().bus.unwrap().not_kept, 1);
    hindered.appends.send_replace(Last::Answers);
    hindered.bus.disconnect();
    let refused = Refused::Bus(PublishError::Disconnected);
    assert_eq!(nodes[0].to("lobby").send_confirmed("d").await, Err(ConfirmError::Refused(refused)));
    // Nothing keeps these.
    let transient = member.to_room().transient().send_confirmed("e").await;
    let to_user = nodes[1].to_user("ada").send_confirmed("e").await;
    let to_all = nodes[1].to_all().send_confirmed("e").await;
    assert_eq!([transient, to_user, to_all], [Err(ConfirmError::NoHistory); 3]);
}

/// A client comes from a node that is ahead with the history.
#[tokio::test(start_paused = true)]
async fn a_position_that_another_node_has_given_is_not_gone_on_one_that_is_behind() {
    let bus = InProcess::new();
    let hindered = Hindered::new(&bus);
    let nodes = [rooms(Arc::new(bus.connect())), rooms(Arc::new(hindered.clone()))];
    let mut kept = Vec::new();
    for node in &nodes {
        let (session, peer) = guest();
        let member = node.join(&session, "lobby").await.unwrap();
        kept.push((session, peer, member));
    }
    hindered.follows.send_replace(false);
    for text in ["a", "b", "c"] {
        nodes[0].send("lobby", text);
    }
    settle().await;
    let start = kept[0].2.recovery().unwrap().position.to_string();
    let (stream, _) = start.split_once('-').unwrap();
    let at = |number: u64| format!("{stream}-{number}").parse::<axum_sockjs_rooms::Position>().unwrap();
    // It has given none of these.
    let (ada, mut hears) = guest();
    let began = Instant::now();
    let invented = nodes[1].join(&ada, "lobby").since(at(9)).await.unwrap();
    assert_eq!((invented.recovery().unwrap().outcome, began.elapsed()), (Outcome::Gone, Duration::ZERO));
    let (bob, mut bob_hears) = guest();
    let joining = tokio::spawn(nodes[1].join(&bob, "lobby").since(at(2)).into_future());
    settle().await;
    assert!(!joining.is_finished());
    hindered.follows.send_replace(true);
    let member = joining.await.unwrap().unwrap();
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
    settle().await;
    assert_eq!(texts(&mut bob_hears), ["3:c"]);
    assert_eq!(texts(&mut hears), ["1:a", "2:b", "3:c"]);
    // It does not wait without end, and does not say that it is gone.
    hindered.follows.send_replace(false);
    nodes[0].send("lobby", "d");
    settle().await;
    let (eve, _eve_hears) = guest();
    let began = Instant::now();
    let late = nodes[1].join(&eve, "lobby").since(at(4)).await.map(|_| ());
    assert_eq!((late, began.elapsed()), (Err(JoinError::Unavailable), Duration::from_secs(2)));
}

#[tokio::test(start_paused = true)]
async fn a_session_does_not_join_while_the_bus_refuses_the_history() {
    let bus = InProcess::new();
    let hindered = Hindered::new(&bus);
    let rooms = rooms(Arc::new(hindered.clone()));
    hindered.last.send_replace(Last::Refuses);
    let (ada, mut hears) = guest();
    assert_eq!(in_a_minute(rooms.join(&ada, "lobby")).await.map(|_| ()), Err(JoinError::Unavailable));
    assert_eq!(rooms.stats().rooms, 0);
    hindered.last.send_replace(Last::Answers);
    let _ada = in_a_minute(rooms.join(&ada, "lobby")).await.unwrap();
    // It is refused later, with the next message.
    hindered.last.send_replace(Last::Refuses);
    rooms.send("lobby", "1");
    settle().await;
    let (bob, mut bob_hears) = guest();
    assert_eq!(in_a_minute(rooms.join(&bob, "lobby")).await.map(|_| ()), Err(JoinError::Unavailable));
    hindered.last.send_replace(Last::Answers);
    sleep(Duration::from_secs(2)).await;
    assert_eq!(texts(&mut hears), ["1:1"], "it is read again");
    let _bob = in_a_minute(rooms.join(&bob, "lobby").last(1)).await.unwrap();
    assert_eq!(texts(&mut bob_hears), ["1:1"]);
}

async fn in_a_minute(join: Join<String, String, ()>) -> Result<Member, JoinError> {
    timeout(Duration::from_secs(60), join.into_future()).await.unwrap()
}

/// The session of a client that does not wait for the bus ends.
#[tokio::test(start_paused = true)]
async fn a_join_ends_with_its_session() {
    let bus = InProcess::new();
    let hindered = Hindered::new(&bus);
    let rooms = rooms(Arc::new(hindered.clone()));
    hindered.last.send_replace(Last::IsSilent);
    let (ada, _hears) = guest();
    let joining = tokio::spawn(rooms.join(&ada, "lobby").into_future());
    settle().await;
    assert!(!joining.is_finished());
    ada.close(1000, "bye");
    settle().await;
    assert!(joining.is_finished());
    assert_eq!(joining.await.unwrap().map(|_| ()), Err(JoinError::Closed));
    assert_eq!((rooms.stats().rooms, rooms.stats().sessions), (0, 0));
}

/// A session that ends while it is about to be a member.
#[tokio::test(start_paused = true)]
async fn a_session_that_has_ended_does_not_become_a_member() {
    let rooms = rooms(Arc::new(InProcess::new().connect()));
    let (ada, _hears) = guest();
    let sender = ada.sender();
    let joining = rooms.join(&ada, "lobby").greet(move |_| {
        sender.close(1000, "bye");
        None
    });
    assert_eq!(joining.await.map(|_| ()), Err(JoinError::Closed));
    assert_eq!(rooms.stats().members, 0);
}
