//! Joining, leaving, and messages to rooms.

use std::time::Duration;

use axum_sockjs::{Message, Overflow, Pair, Transport};
use axum_sockjs_rooms::{JoinError, Rooms, Sent};
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::support::{self, assert_empty, guest, of, room_for, slow, texts};

#[tokio::test]
async fn a_message_goes_to_all_who_are_in_the_room() {
    let rooms = support::rooms();
    let (ada, mut ada_hears) = guest();
    let (bob, mut bob_hears) = guest();
    let (eve, mut eve_hears) = guest();
    let in_lobby = rooms.join(&ada, "lobby").await.unwrap();
    let also = rooms.join(&bob, "lobby").await.unwrap();
    let elsewhere = rooms.join(&eve, "attic").await.unwrap();
    assert_eq!(in_lobby.send("one").delivered, 2);
    assert_eq!(also.send_to_others("two").delivered, 1);
    assert_eq!(rooms.send("lobby", "three").delivered, 2);
    assert_eq!(rooms.to("lobby").except(&ada).send("four").delivered, 1);
    assert_eq!(rooms.to("lobby").except_id(bob.id()).send("five").delivered, 1);
    assert_eq!(rooms.send("cellar", "nobody"), Sent::default());
    assert_eq!(rooms.send_to_all("all").delivered, 3);
    assert_eq!(rooms.to_all().except(&eve).send("but one").delivered, 2);
    assert_eq!(texts(&mut ada_hears), ["one", "two", "three", "five", "all", "but one"]);
    assert_eq!(texts(&mut bob_hears), ["one", "three", "four", "all", "but one"]);
    assert_eq!(texts(&mut eve_hears), ["all"]);
    assert_eq!((rooms.len("lobby"), in_lobby.len(), rooms.is_empty("cellar")), (2, 2, true));
    let mut keys = rooms.keys();
    keys.sort();
    assert_eq!(keys, ["attic", "lobby"]);
    in_lobby.leave();
    drop(also);
    assert_eq!(rooms.send("lobby", "gone"), Sent::default());
    drop(elsewhere);
    assert_empty(&rooms);
}

#[tokio::test]
async fn a_session_is_in_any_number_of_rooms_once_each() {
    let rooms = support::rooms();
    let (ada, mut hears) = of("ada");
    let first = rooms.join(&ada, "a").await.unwrap();
    let second = rooms.join(&ada, "b").await.unwrap();
    assert_eq!(rooms.join(&ada, "a").await.unwrap_err(), JoinError::AlreadyJoined);
    assert_eq!((rooms.stats().sessions, rooms.stats().members), (1, 2));
    rooms.send("a", "1");
    drop(first);
    rooms.send("a", "2");
    rooms.send("b", "3");
    let again = rooms.join(&ada, "a").await.unwrap();
    again.send("4");
    assert_eq!(texts(&mut hears), ["1", "3", "4"]);
    drop((again, second));
    assert_empty(&rooms);
}

#[tokio::test]
async fn a_slow_member_costs_the_others_nothing() {
    let rooms = support::rooms();
    let (ada, mut ada_hears) = of("ada");
    let (bob, mut bob_hears) = slow("bob", room_for(2));
    let member = rooms.join(&ada, "lobby").await.unwrap();
    let slow = rooms.join(&bob, "lobby").await.unwrap();
    assert_eq!(member.send("1").dropped + member.send("2").dropped, 0);
    let sent = member.send("3");
    assert_eq!((sent.delivered, sent.dropped, sent.gone), (1, 1, 0));
    assert_eq!(member.to_room().overflow(Overflow::DropOldest).send("4").delivered, 2);
    assert_eq!(texts(&mut bob_hears), ["2", "4"]);
    assert_eq!(texts(&mut ada_hears), ["1", "2", "3", "4"]);
    member.send("5");
    member.send("6");
    let sent = member.to_room().overflow(Overflow::Close).send("7");
    assert_eq!((sent.delivered, sent.dropped, sent.gone), (1, 0, 1));
    assert_eq!(member.send("8").gone, 1, "the session has ended, and is still a member");
    drop(slow);
    assert_eq!(member.send("9").gone, 0);
    let stats = rooms.stats();
    assert_eq!((stats.sent, stats.delivered, stats.dropped, stats.gone), (9, 14, 1, 2));
}

#[tokio::test(start_paused = true)]
async fn a_speaker_may_wait_for_those_who_are_slow() {
    let rooms = Rooms::new();
    let (ada, mut ada_hears) = of("ada");
    let (bob, mut bob_hears) = slow("bob", room_for(1));
    let (eve, _eve_hears) = slow("eve", room_for(1));
    let member = rooms.join(&ada, "lobby").await.unwrap();
    let stopped = rooms.join(&eve, "lobby").await.unwrap();
    let reads = rooms.join(&bob, "lobby").await.unwrap();
    let patience = Duration::from_secs(5);
    assert_eq!(member.to_room().send_within(patience, "1").await.delivered, 3);
    let began = Instant::now();
    let (sent, ()) = tokio::join!(member.to_room().send_within(patience, "2"), async {
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert_eq!(texts(&mut ada_hears), ["1", "2"], "those with room do not wait");
        assert_eq!(bob_hears.recv().await.unwrap(), "1");
        assert_eq!(bob_hears.recv().await.unwrap(), "2");
        assert_eq!(began.elapsed(), Duration::from_secs(1), "and nobody waits for another");
    });
    assert_eq!((sent.delivered, sent.dropped, began.elapsed()), (2, 1, patience));
    let sent = member.to_room().overflow(Overflow::Close).send_within(patience, "3").await;
    assert_eq!((sent.delivered, sent.gone), (2, 1));
    assert!(eve.is_closed());
    drop((reads, stopped));
}

#[tokio::test]
async fn binary_messages_reach_those_who_carry_them() {
    let rooms = support::rooms();
    let (raw, mut raw_hears) = guest();
    let (framed, mut framed_hears) = Pair::new().transport(Transport::XhrPolling).open();
    let member = rooms.join(&raw, "lobby").await.unwrap();
    let other = rooms.join(&framed, "lobby").await.unwrap();
    let sent = member.send(Message::binary(&b"x"[..]));
    assert_eq!((sent.delivered, sent.unsupported), (1, 1));
    assert!(raw_hears.try_recv().unwrap().is_binary());
    assert_eq!(framed_hears.try_recv(), None);
    drop(other);
}

#[tokio::test]
async fn a_session_that_has_ended_does_not_join() {
    let rooms = support::rooms();
    let (ada, _peer) = guest();
    ada.close(1000, "");
    assert_eq!(rooms.join(&ada, "lobby").await.unwrap_err(), JoinError::Closed);
    let (bob, _peer) = guest();
    let tab = rooms.enter(&bob).unwrap();
    bob.close(1000, "");
    assert_eq!(tab.join("lobby").await.unwrap_err(), JoinError::Closed);
    drop(tab);
    assert_empty(&rooms);
}

#[tokio::test]
async fn a_join_that_is_dropped_leaves_nothing() {
    let rooms = support::rooms();
    let (ada, _peer) = guest();
    drop(rooms.join(&ada, "lobby"));
    let tab = rooms.enter(&ada).unwrap();
    drop(tab.join("lobby"));
    drop(tab);
    assert_empty(&rooms);
}

#[tokio::test]
async fn limits_are_errors() {
    let rooms: Rooms =
        support::builder().max_rooms(2).max_rooms_per_session(2).max_members_per_room(1).build();
    let (ada, _ada_hears) = guest();
    let (bob, _bob_hears) = guest();
    let first = rooms.join(&ada, "a").await.unwrap();
    assert_eq!(rooms.join(&bob, "a").await.unwrap_err(), JoinError::RoomFull);
    let second = rooms.join(&ada, "b").await.unwrap();
    assert_eq!(rooms.join(&ada, "c").await.unwrap_err(), JoinError::TooManyRoomsOfSession);
    assert_eq!(rooms.join(&bob, "c").await.unwrap_err(), JoinError::TooManyRooms);
    drop(first);
    // Whatever has failed has given back what it had taken.
    let third = rooms.join(&bob, "c").await.unwrap();
    drop((second, third));
    assert_empty(&rooms);
}

#[tokio::test]
async fn a_handler_may_return_the_error() {
    let rooms: Rooms = support::builder().max_members_per_room(1).build();
    let (ada, _ada_hears) = guest();
    let member = rooms.join(&ada, "lobby").await.unwrap();
    let of_handler = rooms.clone();
    let (mut bob, handler) = Pair::new().serve(async move |session| {
        drop(of_handler.join(&session, "lobby").await?);
        Ok::<(), JoinError>(())
    });
    handler.await;
    assert_eq!(bob.recv().await, None);
    assert_eq!(bob.close_frame().unwrap().code(), 1013);
    drop(member);
}

/// Keys of an application's own.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
enum Place {
    Lobby,
    Game(u32),
}

#[tokio::test]
async fn keys_and_users_are_of_any_type() {
    let rooms: Rooms<Place, u64, String> = support::builder().build();
    let (ada, mut hears) = Pair::new().identity(7_u64).open();
    let member = rooms.join_with(&ada, Place::Game(1), "white".to_owned()).await.unwrap();
    assert_eq!((member.key(), member.user()), (&Place::Game(1), Some(&7)));
    assert_eq!(*member.data(), "white");
    assert_eq!(rooms.send(&Place::Game(1), "1").delivered, 1);
    assert_eq!(rooms.send(&Place::Lobby, "2").delivered, 0);
    assert_eq!(rooms.send_to_user(&7, "3").delivered, 1);
    assert_eq!(texts(&mut hears), ["1", "3"]);
}

#[tokio::test]
async fn many_members_come_and_go_in_any_order() {
    const MANY: usize = 1000;
    let rooms = support::rooms();
    let mut members = Vec::new();
    for number in 0..MANY {
        let (session, peer) = guest();
        members.push((rooms.join(&session, "lobby").await.unwrap(), session, peer));
        assert_eq!(rooms.len("lobby"), number + 1);
    }
    // Each third, from the middle on.
    for round in 0..MANY {
        let at = (MANY / 2 + 3 * round) % members.len();
        drop(members.swap_remove(at));
        assert_eq!(rooms.send("lobby", "x").delivered, members.len());
        for (_, _, peer) in &mut members {
            assert_eq!(texts(peer), ["x"]);
        }
        if round > 50 && members.len() > 60 {
            members.truncate(members.len() - 40);
        }
        if members.is_empty() {
            break;
        }
    }
    assert_empty(&rooms);
}
