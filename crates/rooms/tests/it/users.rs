//! Users and their tabs.

use axum_sockjs::{CloseReason, Pair};
use axum_sockjs_rooms::{Event, JoinError, UserEvent};

use crate::support::{self, assert_empty, guest, of, texts};

#[tokio::test]
async fn a_user_is_reached_in_all_tabs() {
    let rooms = support::rooms();
    let (first, mut first_hears) = of("ada");
    let (second, mut second_hears) = of("ada");
    let (bob, mut bob_hears) = of("bob");
    let tabs = [rooms.enter(&first).unwrap(), rooms.enter(&second).unwrap(), rooms.enter(&bob).unwrap()];
    assert_eq!(rooms.send_to_user("ada", "1").delivered, 2);
    assert_eq!(rooms.to_user("ada").except(&first).send("2").delivered, 1);
    assert_eq!(rooms.send_to_user("eve", "3").delivered, 0);
    assert_eq!(texts(&mut first_hears), ["1"]);
    assert_eq!(texts(&mut second_hears), ["1", "2"]);
    assert_eq!(texts(&mut bob_hears), [""; 0]);
    let mut ids = rooms.tabs_of("ada");
    ids.sort();
    let mut expected = [first.id(), second.id()];
    expected.sort();
    assert_eq!(ids, expected);
    assert_eq!(rooms.users().len(), 2);
    drop(tabs);
    assert_empty(&rooms);
}

#[tokio::test]
async fn a_log_out_closes_all_tabs() {
    let rooms = support::rooms();
    let (first, mut first_hears) = of("ada");
    let (second, _second_hears) = of("ada");
    let (bob, _bob_hears) = of("bob");
    let member = rooms.join(&first, "lobby").await.unwrap();
    let tab = rooms.enter(&second).unwrap();
    let other = rooms.join(&bob, "lobby").await.unwrap();
    rooms.send_to_user("ada", "bye");
    assert_eq!(rooms.close_user("ada", 4001, "logged out").sessions, 2);
    assert_eq!(rooms.close_user("ada", 4001, "logged out").sessions, 0);
    assert_eq!(texts(&mut first_hears), ["bye"]);
    assert_eq!(first_hears.close_frame().unwrap().code(), 4001);
    assert!(
        matches!(second.close_reason(), Some(CloseReason::Server(frame)) if frame.reason() == "logged out")
    );
    assert!(!bob.is_closed());
    drop((member, tab, other));
    assert_empty(&rooms);
}

#[tokio::test]
async fn sessions_are_closed_by_room_user_and_id() {
    let rooms = support::rooms();
    let sessions = ["ada", "ada", "bob", "eve"].map(of);
    let [ada, again, bob, eve] = sessions.each_ref().map(|(session, _)| session);
    let mut members = Vec::new();
    for session in [ada, again, bob] {
        members.push(rooms.join(session, "lobby").await.unwrap());
    }
    let tab = rooms.enter(eve).unwrap();
    let is_closed = || [ada, again, bob, eve].map(|session| session.is_closed());
    assert_eq!(rooms.to_user("ada").except(ada).close(4001, "elsewhere").sessions, 1);
    assert_eq!(is_closed(), [false, true, false, false]);
    assert_eq!(
        rooms.to("lobby").except_id(ada.id()).close(4000, "over").sessions,
        1,
        "one is closed already"
    );
    assert_eq!(is_closed(), [false, true, true, false]);
    assert_eq!(rooms.to("attic").close(4000, "over").sessions, 0);
    assert_eq!(rooms.close_session(ada.id(), 4003, "out").sessions, 1);
    assert_eq!(rooms.close_session(ada.id(), 4003, "out").sessions, 0);
    assert_eq!(is_closed(), [true, true, true, false]);
    assert_eq!(rooms.to_all().close(4002, "all").sessions, 1);
    let codes = [ada, again, bob, eve].map(|session| match session.close_reason() {
        Some(CloseReason::Server(frame)) => frame.code(),
        other => panic!("{other:?}"),
    });
    assert_eq!(codes, [4003, 4001, 4000, 4002]);
    drop((members, tab));
    assert_empty(&rooms);
}

#[tokio::test]
async fn the_first_tab_and_the_last_are_events() {
    let rooms = support::rooms();
    let mut events = rooms.events();
    let (first, _first_hears) = of("ada");
    let (second, _second_hears) = of("ada");
    let (guest, _guest_hears) = guest();
    let member = rooms.join(&first, "lobby").await.unwrap();
    let tab = rooms.enter(&second).unwrap();
    let visitor = rooms.join(&guest, "lobby").await.unwrap();
    assert_eq!(events.next().await, Event::UserOnline("ada".into()));
    assert_eq!(events.next().await, Event::RoomOccupied("lobby".into()));
    assert_eq!(events.try_next(), None);
    drop(member);
    drop(visitor);
    assert_eq!(events.next().await, Event::RoomVacated("lobby".into()));
    assert_eq!(events.try_next(), None, "the second tab is still there");
    drop(tab);
    assert_eq!(events.next().await, Event::UserOffline("ada".into()));
    let again = rooms.join(&first, "lobby").await.unwrap();
    drop(again);
    assert_eq!(events.try_next(), None, "nothing has changed since it was read last");
    let late = rooms.join(&first, "lobby").await.unwrap();
    assert_eq!(events.next().await, Event::UserOnline("ada".into()));
    assert_eq!(events.next().await, Event::RoomOccupied("lobby".into()));
    drop(late);
}

#[tokio::test]
async fn users_come_with_the_first_tab_and_leave_with_the_last() {
    let rooms = support::rooms();
    let [(early, _early_hears), (ada, _ada_hears), (again, _again_hears)] = ["early", "ada", "ada"].map(of);
    let (guest, _guest_hears) = guest();
    let early = rooms.enter(&early).unwrap();
    let mut events = rooms.user_events();
    let (member, visitor) = (rooms.join(&ada, "lobby").await.unwrap(), rooms.enter(&guest).unwrap());
    let tab = rooms.enter(&again).unwrap();
    assert_eq!(events.next().await, UserEvent::Online("ada".into()));
    drop((member, visitor));
    assert_eq!(events.try_next(), None, "the second tab is still there");
    drop((tab, early));
    let both = [events.next().await, events.next().await];
    assert_eq!(both, [UserEvent::Offline("ada".into()), UserEvent::Offline("early".into())]);
    drop(rooms.join(&ada, "lobby").await.unwrap());
    assert_eq!(events.try_next(), None, "nothing has changed since it was read last");
    let many: Vec<_> = (0..5_000).map(|number| of(&format!("user {number}"))).collect();
    let tabs: Vec<_> = many.iter().map(|(session, _)| rooms.enter(session).unwrap()).collect();
    let told: std::collections::HashSet<_> = std::iter::from_fn(|| events.try_next()).collect();
    assert_eq!(told.len(), 5_000);
    assert!(told.contains(&UserEvent::Online("user 4999".into())));
    drop(tabs);
    assert_eq!(std::iter::from_fn(|| events.try_next()).count(), 5_000);
    assert_empty(&rooms);
}

#[tokio::test]
async fn a_tab_lasts_as_long_as_its_last_handle() {
    let rooms = support::rooms();
    let (ada, _peer) = of("ada");
    let tab = rooms.enter(&ada).unwrap();
    let again = rooms.enter(&ada).unwrap();
    let copy = again.clone();
    drop(tab);
    drop(again);
    assert_eq!(rooms.stats().users, 1);
    let member = copy.join("lobby").await.unwrap();
    drop(copy);
    assert_eq!((rooms.stats().users, member.user().map(String::as_str)), (1, Some("ada")));
    drop(member);
    assert_empty(&rooms);
}

#[tokio::test]
async fn the_application_may_say_who_it_is() {
    let rooms = support::rooms();
    let (session, _peer) = guest();
    let tab = rooms.enter_as(&session, "ada").unwrap();
    assert_eq!(rooms.enter_as(&session, "bob").unwrap_err(), JoinError::OtherUser);
    let same = rooms.enter_as(&session, "ada").unwrap();
    let member = rooms.join(&session, "lobby").await.unwrap();
    assert_eq!(member.user().map(String::as_str), Some("ada"));
    drop((tab, same, member));
    let (session, _peer) = guest();
    let as_guest = rooms.enter(&session).unwrap();
    assert_eq!(as_guest.user(), None);
    assert_eq!(rooms.enter_as(&session, "ada").unwrap_err(), JoinError::OtherUser);
    drop(as_guest);
    assert_empty(&rooms);
}

#[tokio::test]
async fn an_optional_identity_is_a_user_or_a_guest() {
    let rooms = support::rooms();
    let (session, _peer) = Pair::new().identity(Some("ada".to_owned())).open();
    let (visitor, _visitor_hears) = Pair::new().identity(None::<String>).open();
    assert_eq!(rooms.enter(&session).unwrap().user().map(String::as_str), Some("ada"));
    assert_eq!(rooms.enter(&visitor).unwrap().user(), None);
    assert_empty(&rooms);
}
