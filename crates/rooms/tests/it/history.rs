//! What a room has kept, and who comes back for it.

use std::{
    pin::pin,
    sync::{Arc, Mutex, OnceLock},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum_sockjs::{Message, Pair, Peer};
use axum_sockjs_rooms::{
    Builder, ConfirmError, History, JoinError, Member, Outcome, Position, Refused, Rooms, Sent,
};

use crate::support::{assert_empty, guest, of, room_for, slow, texts};

/// Rooms that send each message with its number in front.
fn numbered(history: History) -> Builder {
    Rooms::builder()
        .history(history)
        .encode(|position, message| format!("{}:{}", position.number(), message.as_str().unwrap()).into())
}

fn send_all(rooms: &Rooms, texts: &[&str]) -> Position {
    let sent: Vec<Sent> = texts.iter().map(|text| rooms.send("lobby", *text)).collect();
    sent.last().unwrap().position.unwrap()
}

async fn back(rooms: &Rooms, since: Option<Position>, last: usize) -> (Member, Peer) {
    let (session, peer) = guest();
    let member = rooms.join(&session, "lobby").since(since).last(last).await.unwrap();
    // The peer is all that is needed of it.
    tokio::spawn(async move { session.closed().await });
    (member, peer)
}

#[tokio::test(start_paused = true)]
async fn who_comes_later_gets_the_last_messages() {
    let rooms = numbered(History::last(3)).build();
    send_all(&rooms, &["a", "b", "c", "d"]);
    for (last, expected) in [(0, &[][..]), (2, &["3:c", "4:d"]), (9, &["2:b", "3:c", "4:d"])] {
        let (member, mut peer) = back(&rooms, None, last).await;
        let recovery = member.recovery().unwrap();
        let start = 4 - expected.len() as u64;
        assert_eq!((recovery.outcome, recovery.position.number()), (Outcome::New, start));
        assert_eq!(recovery.messages, expected.len() as u64);
        assert_eq!(texts(&mut peer), expected);
    }
}

#[tokio::test(start_paused = true)]
async fn who_comes_back_gets_exactly_what_is_missing() {
    let rooms = numbered(History::last(3)).build();
    let (member, mut peer) = back(&rooms, None, 0).await;
    let start = member.recovery().unwrap().position;
    assert_eq!(start.number(), 0);
    member.send("a");
    let position = rooms.send("lobby", "b").position.unwrap();
    assert_eq!(texts(&mut peer), ["1:a", "2:b"]);
    drop(member);
    send_all(&rooms, &["c", "d"]);
    let (member, mut peer) = back(&rooms, Some(position), 1).await;
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
    rooms.send("lobby", "e");
    assert_eq!(texts(&mut peer), ["3:c", "4:d", "5:e"]);
    drop(member);
    // The position is now too old for the three that are kept.
    rooms.send("lobby", "f");
    let (member, mut peer) = back(&rooms, Some(position), 1).await;
    let recovery = member.recovery().unwrap();
    assert_eq!((recovery.outcome, recovery.messages), (Outcome::Gone, 1));
    assert_eq!(texts(&mut peer), ["6:f"]);
    assert_eq!((rooms.stats().recovered, rooms.stats().positions_gone), (1, 1));
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_was_forgotten_is_not_taken_for_another() {
    let rooms = numbered(History::last(3).keep(Duration::from_secs(60))).build();
    let (member, _peer) = back(&rooms, None, 0).await;
    let position = member.send("a").position.unwrap();
    drop(member);
    tokio::time::sleep(Duration::from_secs(59)).await;
    assert_eq!(rooms.stats().rooms, 1);
    let (member, _peer) = back(&rooms, Some(position), 0).await;
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
    drop(member);
    tokio::time::sleep(Duration::from_secs(61)).await;
    assert_empty(&rooms);
    send_all(&rooms, &["b", "c"]);
    let (member, mut peer) = back(&rooms, Some(position), 9).await;
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Gone);
    assert_eq!(texts(&mut peer), ["1:b", "2:c"]);
}

#[tokio::test(start_paused = true)]
async fn old_messages_are_not_sent() {
    let rooms = numbered(History::within(Duration::from_secs(60))).build();
    let first = send_all(&rooms, &["a"]);
    tokio::time::sleep(Duration::from_secs(40)).await;
    let second = send_all(&rooms, &["b"]);
    tokio::time::sleep(Duration::from_secs(30)).await;
    let (_member, mut peer) = back(&rooms, None, 9).await;
    assert_eq!(texts(&mut peer), ["2:b"]);
    let (member, _peer) = back(&rooms, Some(first), 9).await;
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole, "only what has been received is too old");
    tokio::time::sleep(Duration::from_secs(60)).await;
    let (member, _peer) = back(&rooms, Some(second), 9).await;
    assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
}

#[tokio::test]
async fn a_message_that_is_kept_is_confirmed() {
    let kept = numbered(History::last(3)).build();
    let (member, mut peer) = back(&kept, None, 0).await;
    assert_eq!(member.to_room().send_confirmed("a").await.unwrap().number(), 1);
    // The room is there for its history alone.
    assert_eq!(kept.to("attic").send_confirmed("b").await.unwrap().number(), 1);
    assert_eq!(texts(&mut peer), ["1:a"]);
    let one = numbered(History::last(3)).max_rooms(1).build();
    one.to("lobby").send_confirmed("a").await.unwrap();
    let refused = one.to("attic").send_confirmed("b").await;
    assert_eq!(refused, Err(ConfirmError::Refused(Refused::TooManyRooms)));
    let forgets = crate::support::rooms();
    let (session, mut peer) = guest();
    let member = forgets.join(&session, "lobby").await.unwrap();
    assert_eq!(member.to_room().send_confirmed("a").await, Err(ConfirmError::NoHistory));
    assert_eq!(forgets.to("attic").send_confirmed("a").await, Err(ConfirmError::NoHistory));
    assert_eq!(texts(&mut peer), [""; 0]);
}

#[tokio::test(start_paused = true)]
async fn a_greeting_comes_first() {
    let rooms = numbered(History::last(3)).build();
    send_all(&rooms, &["a", "b"]);
    let (session, mut peer) = guest();
    let greet = |recovery: &axum_sockjs_rooms::Recovery| {
        Some(Message::from(format!("{:?} {}", recovery.outcome, recovery.messages)))
    };
    let member = rooms.join(&session, "lobby").last(1).greet(greet).await.unwrap();
    member.send("c");
    assert_eq!(texts(&mut peer), ["New 1", "2:b", "3:c"]);
}

#[tokio::test(start_paused = true)]
async fn transient_messages_are_not_kept() {
    let rooms = numbered(History::last(3)).build();
    let (member, mut peer) = back(&rooms, None, 0).await;
    assert_eq!(member.send("a").position.unwrap().number(), 1);
    let sent = member.to_room().transient().send("types");
    assert_eq!((sent.delivered, sent.position), (1, None));
    assert_eq!(member.send("b").position.unwrap().number(), 2);
    assert_eq!(texts(&mut peer), ["1:a", "types", "2:b"]);
    let (_second, mut peer) = back(&rooms, None, 9).await;
    assert_eq!(texts(&mut peer), ["1:a", "2:b"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_is_waited_for_while_it_recovers() {
    let rooms = numbered(History::last(200)).build();
    let (speaker, _speaker_hears) = back(&rooms, None, 0).await;
    for number in 0..100 {
        speaker.send(number.to_string());
    }
    let (session, mut peer) = slow("ada", room_for(5));
    let joins = tokio::spawn(rooms.join(&session, "lobby").last(100).into_future());
    let mut got = Vec::new();
    for number in 100..150 {
        tokio::task::yield_now().await;
        assert_eq!(rooms.len("lobby"), 1, "it has not joined yet");
        speaker.send(number.to_string());
        got.extend(peer.try_recv());
    }
    while !joins.is_finished() {
        got.extend(peer.try_recv());
        tokio::task::yield_now().await;
    }
    let member = joins.await.unwrap().unwrap();
    got.extend(std::iter::from_fn(|| peer.try_recv()));
    speaker.send("150");
    got.extend(peer.try_recv());
    let expected: Vec<Message> = (0..=150).map(|number| format!("{}:{number}", number + 1).into()).collect();
    assert_eq!(got, expected);
    assert_eq!(member.recovery().unwrap().messages, 100);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_is_too_slow_for_the_history_does_not_join() {
    let rooms = numbered(History::last(40)).build();
    for number in 0..40 {
        rooms.send("lobby", number.to_string());
    }
    let (session, mut peer) = slow("ada", room_for(5));
    let joins = tokio::spawn(rooms.join(&session, "lobby").last(40).into_future());
    for number in 40..200 {
        rooms.send("lobby", number.to_string());
        tokio::task::yield_now().await;
    }
    while !joins.is_finished() {
        peer.try_recv();
        tokio::task::yield_now().await;
    }
    assert_eq!(joins.await.unwrap().unwrap_err(), JoinError::Lagged);
    assert_eq!((rooms.stats().members, rooms.stats().sessions), (0, 0));
    drop(session);
}

#[tokio::test(start_paused = true)]
async fn a_join_that_waits_can_be_dropped() {
    let rooms = numbered(History::last(40)).build();
    send_all(&rooms, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (session, mut peer) = slow("ada", room_for(3));
    let joins = rooms.join(&session, "lobby").last(8).into_future();
    assert!(tokio::time::timeout(Duration::from_secs(1), joins).await.is_err());
    assert_eq!((rooms.stats().members, rooms.stats().sessions, rooms.stats().users), (0, 0, 0));
    assert_eq!(texts(&mut peer), ["1:a", "2:b", "3:c"]);
    assert_eq!(rooms.send("lobby", "i").delivered, 0);
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_while_it_waits_does_not_join() {
    let rooms = numbered(History::last(40)).build();
    send_all(&rooms, &["a", "b", "c", "d", "e", "f", "g", "h"]);
    let (session, peer) = slow("ada", room_for(3));
    let joins = tokio::spawn(rooms.join(&session, "lobby").last(8).into_future());
    tokio::task::yield_now().await;
    drop(peer);
    assert_eq!(joins.await.unwrap().unwrap_err(), JoinError::Closed);
    assert_eq!(rooms.stats().sessions, 0);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_too_slow_later_is_closed_and_comes_back() {
    let rooms = numbered(History::last(100)).build();
    let (session, mut peer) = slow("ada", room_for(3));
    let member = rooms.join(&session, "lobby").await.unwrap();
    let mut sent = Vec::new();
    for text in ["a", "b", "c", "d"] {
        sent.push(rooms.send("lobby", text));
    }
    assert_eq!((sent[2].delivered, sent[3].delivered, sent[3].gone), (1, 0, 1));
    assert!(session.is_closed(), "otherwise it would miss one");
    drop(member);
    assert_eq!(texts(&mut peer), [""; 0], "what was queued is lost with the session");
    let (_member, mut peer) = back(&rooms, Some(member_start(&rooms).await), 0).await;
    assert_eq!(texts(&mut peer), ["1:a", "2:b", "3:c", "4:d"]);
}

/// The position before the first message.
async fn member_start(rooms: &Rooms) -> Position {
    let (member, _peer) = back(rooms, None, 0).await;
    let head = member.recovery().unwrap().position.to_string();
    let (stream, _) = head.split_once('-').unwrap();
    format!("{stream}-0").parse().unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_room_without_history_refuses_it() {
    let rooms: Rooms =
        Rooms::builder().history_of(|key: &String| (key == "lobby").then(|| History::last(5))).build();
    let (session, _peer) = guest();
    let position = rooms.send("lobby", "a").position.unwrap();
    assert_eq!(rooms.send("attic", "a").position, None);
    assert_eq!(rooms.join(&session, "attic").last(1).await.unwrap_err(), JoinError::NoHistory);
    assert_eq!(rooms.join(&session, "attic").since(position).await.unwrap_err(), JoinError::NoHistory);
    let member = rooms.join(&session, "attic").await.unwrap();
    assert_eq!(member.recovery(), None);
    let other = rooms.join(&session, "lobby").last(1).await.unwrap();
    assert!(other.recovery().is_some());
}

#[tokio::test(start_paused = true)]
async fn all_histories_have_one_limit() {
    let rooms: Rooms = Rooms::builder().history(History::last(1000)).max_history_bytes(1000).build();
    for key in ["a", "b", "c"] {
        rooms.send(key, "x".repeat(200));
        tokio::time::sleep(Duration::from_secs(1)).await;
    }
    assert_eq!((rooms.stats().rooms, rooms.stats().history_bytes), (3, 3 * 328));
    rooms.send("d", "x".repeat(200));
    assert_eq!((rooms.stats().rooms, rooms.stats().history_bytes), (3, 3 * 328), "`a` was idle longest");
    let (ada, _ada_hears) = of("ada");
    let member = rooms.join(&ada, "d").await.unwrap();
    for _ in 0..10 {
        member.send("x".repeat(200));
    }
    assert_eq!((rooms.stats().rooms, rooms.stats().history_bytes), (1, 3 * 328), "then the room's own");
    member.send("x".repeat(2000));
    assert_eq!(rooms.stats().history_bytes, 0);
    assert_eq!(member.send("x").position.unwrap().number(), 13);
}

#[tokio::test(start_paused = true)]
async fn rooms_that_are_kept_count_as_rooms() {
    let rooms: Rooms = Rooms::builder().history(History::last(10)).max_rooms(2).build();
    assert!(rooms.send("a", "1").position.is_some() && rooms.send("b", "1").position.is_some());
    let sent = rooms.send("c", "1");
    assert_eq!(sent.refused, Some(Refused::TooManyRooms));
    assert_eq!(rooms.stats().refused, 1);
    tokio::time::sleep(Duration::from_secs(301)).await;
    assert!(rooms.send("c", "1").position.is_some());
}

/// Ten thousand clients come back at once while others go on: each gets every message once, in order.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn many_come_back_at_once() {
    const CLIENTS: usize = 10_000;
    const BEFORE: u64 = 20;
    const MEANWHILE: u64 = 40;
    let rooms = numbered(History::last(1000)).build();
    let (speaker, mut speaker_hears) = back(&rooms, None, 0).await;
    let start = speaker.recovery().unwrap().position;
    for number in 0..BEFORE {
        speaker.send(number.to_string());
    }
    let went_on = Arc::new(tokio::sync::Barrier::new(2));
    let speaks = {
        let (rooms, went_on) = (rooms.clone(), Arc::clone(&went_on));
        tokio::spawn(async move {
            went_on.wait().await;
            for number in 0..MEANWHILE {
                while rooms.send("lobby", number.to_string()).refused.is_some() {
                    tokio::task::yield_now().await;
                }
                tokio::task::yield_now().await;
            }
        })
    };
    went_on.wait().await;
    let clients: Vec<_> = (0..CLIENTS)
        .map(|_| {
            let rooms = rooms.clone();
            tokio::spawn(async move {
                let (session, mut peer) = Pair::new().open();
                let member = rooms.join(&session, "lobby").since(start).await.unwrap();
                assert_eq!(member.recovery().unwrap().outcome, Outcome::Whole);
                for number in 1..=BEFORE + MEANWHILE {
                    let message = peer.recv().await.unwrap();
                    let (got, _) = message.as_str().unwrap().split_once(':').unwrap();
                    assert_eq!(got.parse(), Ok(number));
                }
                assert_eq!(peer.try_recv(), None);
            })
        })
        .collect();
    for client in clients {
        client.await.unwrap();
    }
    speaks.await.unwrap();
    while speaker_hears.try_recv().is_some() {}
}

/// Threads send at once: what a member gets is in the order of the positions, without a hole.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn threads_that_send_at_once_make_one_order() {
    const EACH: u64 = 2000;
    const THREADS: u64 = 4;
    let rooms = numbered(History::last(10)).build();
    let (session, mut peer) = Pair::new().open();
    let member = rooms.join(&session, "lobby").await.unwrap();
    let threads: Vec<_> = (0..THREADS)
        .map(|thread| {
            let rooms = rooms.clone();
            tokio::spawn(async move {
                let mut last = 0;
                for number in 0..EACH {
                    loop {
                        let sent = rooms.send("lobby", format!("{thread} {number}"));
                        let Some(position) = sent.position else {
                            tokio::task::yield_now().await;
                            continue;
                        };
                        assert!(position.number() > last);
                        last = position.number();
                        break;
                    }
                    if number % 16 == 0 {
                        tokio::task::yield_now().await;
                    }
                }
            })
        })
        .collect();
    let mut next = [0; THREADS as usize];
    for number in 1..=THREADS * EACH {
        let message = peer.recv().await.unwrap();
        let (position, rest) = message.as_str().unwrap().split_once(':').unwrap();
        assert_eq!(position.parse(), Ok(number));
        let (thread, of_thread) = rest.split_once(' ').unwrap();
        let expected: &mut u64 = &mut next[thread.parse::<usize>().unwrap()];
        assert_eq!(of_thread.parse(), Ok(*expected));
        *expected += 1;
    }
    for thread in threads {
        thread.await.unwrap();
    }
    drop(member);
}

/// A function of the application that panics takes one call down, and not the room.
#[tokio::test]
async fn a_room_survives_an_encoder_that_panics() {
    let rooms: Rooms = Rooms::builder()
        .history(History::last(10))
        .encode(|_, message| {
            assert_ne!(message.as_str(), Some("bad"), "as the test wants it");
            message.clone()
        })
        .build();
    let (session, mut peer) = guest();
    let member = rooms.join(&session, "lobby").await.unwrap();
    let of_others = rooms.clone();
    let panics = tokio::spawn(async move { of_others.send("lobby", "bad") });
    assert!(panics.await.is_err());
    assert_eq!(member.send("good").delivered, 1);
    assert_eq!(texts(&mut peer), ["good"]);
}

/// The call that delivers is given the messages of others, here by the function that it calls. It delivers some of them
/// itself, and leaves the rest to a task.
#[tokio::test]
async fn what_others_send_meanwhile_waits_up_to_a_limit() {
    const LIMIT: usize = 1024;
    let of_encoder = Arc::new(OnceLock::<Rooms>::new());
    let encode = {
        let rooms = Arc::clone(&of_encoder);
        move |_, message: &Message| {
            if message.as_str() == Some("first") {
                let rooms = rooms.get().unwrap();
                for number in 0..LIMIT {
                    let sent = rooms.send("lobby", number.to_string());
                    assert!(sent.handed_over && sent.delivered == 0 && sent.refused.is_none());
                }
                assert_eq!(rooms.send("lobby", "too many").refused, Some(Refused::Busy));
            }
            message.clone()
        }
    };
    let rooms: Rooms = Rooms::builder().history(History::last(10)).encode(encode).build();
    assert!(of_encoder.set(rooms.clone()).is_ok());
    let (session, mut peer) = guest();
    let member = rooms.join(&session, "lobby").await.unwrap();
    let sent = member.send("first");
    assert_eq!((sent.delivered, sent.handed_over), (1, false));
    assert!(texts(&mut peer).len() < 100, "nobody delivers for others without end");
    let mut got = Vec::new();
    while got.len() < LIMIT - 100 {
        tokio::task::yield_now().await;
        got.extend(texts(&mut peer));
    }
    let last = member.send("last");
    while got.last().map(String::as_str) != Some("last") {
        tokio::task::yield_now().await;
        got.extend(texts(&mut peer));
    }
    assert!(last.delivered == 1 || last.handed_over);
    let stats = rooms.stats();
    assert_eq!((stats.sent, stats.delivered, stats.refused), (LIMIT as u64 + 2, LIMIT as u64 + 2, 1));
}

/// Whoever joins while messages wait for the call that delivers has read them in the history, and does not get them a
/// second time.
#[tokio::test]
async fn who_joins_between_a_message_and_its_delivery_gets_it_once() {
    struct Late {
        rooms: Rooms,
        session: axum_sockjs::Session,
        member: Mutex<Option<Member>>,
    }
    let late = Arc::new(OnceLock::<Late>::new());
    let encode = {
        let late = Arc::clone(&late);
        move |_, message: &Message| {
            // The first is being delivered.
            if message.as_str() == Some("first") {
                let Late { rooms, session, member } = late.get().unwrap();
                assert!(rooms.send("lobby", "second").handed_over);
                let joins = pin!(rooms.join(session, "lobby").last(1).into_future());
                match joins.poll(&mut Context::from_waker(Waker::noop())) {
                    Poll::Ready(joined) => *member.lock().unwrap() = Some(joined.unwrap()),
                    Poll::Pending => panic!("its queue has room"),
                }
            }
            message.clone()
        }
    };
    let rooms: Rooms = Rooms::builder().history(History::last(10)).encode(encode).build();
    let (early, mut early_hears) = guest();
    let member = rooms.join(&early, "lobby").await.unwrap();
    let (session, mut late_hears) = guest();
    assert!(late.set(Late { rooms: rooms.clone(), session, member: Mutex::default() }).is_ok());
    assert_eq!(member.send("first").delivered, 1);
    member.send("third");
    assert_eq!(texts(&mut early_hears), ["first", "second", "third"]);
    assert_eq!(texts(&mut late_hears), ["second", "third"]);
}
