//! Who is in a room, and what is told of it.

use std::time::Duration;

use axum_sockjs::Message;
use axum_sockjs_rooms::{PresenceChanges, Present, Rooms};
use tokio::time::{Instant, timeout};

use crate::support::{self, assert_empty, guest, of, texts};

type Named = Rooms<String, String, String>;

/// Users with the data of their tabs.
fn names(present: &[Present<String, String>]) -> Vec<(&str, Vec<&str>)> {
    present
        .iter()
        .map(|present| {
            let data = present.tabs.iter().map(|tab| tab.data.as_str()).collect();
            (present.user.as_deref().unwrap_or("a guest"), data)
        })
        .collect()
}

const SECOND: Duration = Duration::from_secs(1);

#[tokio::test]
async fn users_are_there_with_their_tabs_and_data() {
    let rooms: Named = support::builder().build();
    let (first, _p1) = of("ada");
    let (second, _p2) = of("ada");
    let (bob, _p3) = of("bob");
    let (visitor, _p4) = guest();
    let one = rooms.join_with(&first, "lobby", "reads".to_owned()).await.unwrap();
    let two = rooms.join_with(&bob, "lobby", "types".to_owned()).await.unwrap();
    let three = rooms.join_with(&second, "lobby", "types".to_owned()).await.unwrap();
    let four = rooms.join(&visitor, "lobby").await.unwrap();
    let present = rooms.presence("lobby");
    assert_eq!(
        names(&present),
        [("ada", vec!["reads", "types"]), ("bob", vec!["types"]), ("a guest", vec![""])]
    );
    assert_eq!(present[0].tabs[1].id, second.id());
    one.set_data("away".to_owned());
    assert_eq!((one.data().as_str(), three.data().as_str()), ("away", "types"));
    drop(two);
    assert_eq!(names(&one.presence()), [("ada", vec!["away", "types"]), ("a guest", vec![""])]);
    assert!(rooms.presence("attic").is_empty());
    drop((one, three, four));
    assert_empty(&rooms);
}

#[tokio::test(start_paused = true)]
async fn changes_are_told_together_and_only_if_they_last() {
    let rooms: Named = support::builder().build();
    let (ada, _p1) = of("ada");
    let (bob, _p2) = of("bob");
    let (second, _p3) = of("ada");
    let one = rooms.join_with(&ada, "lobby", "1".to_owned()).await.unwrap();
    let mut watch = rooms.watch("lobby", 5 * SECOND).unwrap();
    let began = Instant::now();
    let all = watch.next().await;
    assert_eq!((names(&all.joined), all.updated.len(), all.left.len()), (vec![("ada", vec!["1"])], 0, 0));
    // Bob only looks in; Ada's second tab stays.
    drop(rooms.join(&bob, "lobby").await.unwrap());
    let two = rooms.join_with(&second, "lobby", "2".to_owned()).await.unwrap();
    let next = watch.next().await;
    assert_eq!(began.elapsed(), 5 * SECOND);
    assert_eq!(names(&next.updated), [("ada", vec!["1", "2"])]);
    assert!(next.joined.is_empty() && next.left.is_empty());
    // One is told at once after a quiet time.
    tokio::time::sleep(100 * SECOND).await;
    let three = rooms.join_with(&bob, "lobby", "3".to_owned()).await.unwrap();
    assert_eq!(names(&watch.next().await.joined), [("bob", vec!["3"])]);
    assert_eq!(began.elapsed(), 105 * SECOND);
    drop((one, two));
    three.set_data("4".to_owned());
    let next = watch.next().await;
    assert_eq!(
        (names(&next.left), names(&next.updated)),
        (vec![("ada", vec!["1", "2"])], vec![("bob", vec!["4"])])
    );
    // A user who leaves and comes back has other tabs, and has not left.
    drop(three);
    let three = rooms.join_with(&bob, "lobby", "5".to_owned()).await.unwrap();
    let next = watch.next().await;
    assert_eq!(names(&next.updated), [("bob", vec!["5"])]);
    assert!(next.joined.is_empty() && next.left.is_empty());
    assert!(timeout(1000 * SECOND, watch.next()).await.is_err(), "nothing more has changed");
    drop(three);
    assert_eq!(names(&watch.next().await.left), [("bob", vec!["5"])]);
    assert_eq!(rooms.stats().rooms, 1, "a room that is watched stays");
    drop(watch);
    assert_empty(&rooms);
}

#[tokio::test(start_paused = true)]
async fn a_watch_that_is_dropped_while_it_waits_loses_nothing() {
    let rooms = support::rooms();
    let (ada, _p1) = of("ada");
    let (bob, _p2) = of("bob");
    let one = rooms.join(&ada, "lobby").await.unwrap();
    let mut watch = one.watch(10 * SECOND);
    assert_eq!(watch.next().await.joined.len(), 1);
    let two = rooms.join(&bob, "lobby").await.unwrap();
    for _ in 0..3 {
        assert!(timeout(SECOND, watch.next()).await.is_err());
    }
    assert_eq!(watch.next().await.joined[0].user.as_deref(), Some("bob"));
    drop((one, two));
}

#[tokio::test(start_paused = true)]
async fn a_room_is_watched_before_anybody_is_there() {
    let rooms = support::rooms();
    let mut watch = rooms.watch("lobby", SECOND).unwrap();
    assert!(timeout(SECOND, watch.next()).await.is_err());
    let (ada, _peer) = of("ada");
    let member = rooms.join(&ada, "lobby").await.unwrap();
    assert_eq!(watch.next().await.joined.len(), 1);
    drop(member);
    assert_eq!(watch.next().await.left.len(), 1);
}

/// The data of those who have joined, and the number of those who have left.
fn told(changes: &PresenceChanges<String, String>) -> Option<Message> {
    let data: Vec<_> = changes.joined.iter().map(|present| present.tabs[0].data.as_str()).collect();
    Some(format!("+{} -{}", data.join(","), changes.left.len()).into())
}

#[tokio::test(start_paused = true)]
async fn the_members_are_told() {
    let rooms: Named = support::builder().announce(SECOND, |_, changes| told(changes)).build();
    let (ada, mut ada_hears) = of("ada");
    let (bob, mut bob_hears) = of("bob");
    let (eve, _eve_hears) = of("eve");
    let one = rooms.join_with(&ada, "lobby", "1".to_owned()).await.unwrap();
    tokio::time::sleep(10 * SECOND).await;
    let two = rooms.join_with(&bob, "lobby", "2".to_owned()).await.unwrap();
    tokio::time::sleep(SECOND / 2).await;
    let three = rooms.join_with(&eve, "lobby", "3".to_owned()).await.unwrap();
    drop(rooms.join_with(&eve, "attic", "4".to_owned()).await.unwrap());
    tokio::time::sleep(SECOND).await;
    drop(three);
    tokio::time::sleep(SECOND).await;
    assert_eq!(texts(&mut ada_hears), ["+1 -0", "+2 -0", "+3 -0", "+ -1"]);
    assert_eq!(texts(&mut bob_hears), ["+2 -0", "+3 -0", "+ -1"]);
    drop((one, two));
    tokio::time::sleep(2 * SECOND).await;
    assert_empty(&rooms);
    // It is told anew to those who come next.
    let again = rooms.join_with(&ada, "lobby", "5".to_owned()).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(texts(&mut ada_hears), ["+5 -0"]);
    drop(again);
}

/// A function that panics ends the task of its room, and the next who joins gets another.
#[tokio::test(start_paused = true)]
async fn whoever_joins_next_is_told_after_a_panic() {
    let tell = |_: &String, changes: &PresenceChanges<String, String>| {
        assert_ne!(changes.joined[0].tabs[0].data, "bad", "as the test wants it");
        told(changes)
    };
    let rooms: Named = support::builder().announce(SECOND, tell).build();
    let (ada, mut ada_hears) = of("ada");
    let (bob, _bob_hears) = of("bob");
    let one = rooms.join_with(&bob, "lobby", "bad".to_owned()).await.unwrap();
    tokio::time::sleep(SECOND).await;
    one.set_data("good".to_owned());
    let two = rooms.join_with(&ada, "lobby", "1".to_owned()).await.unwrap();
    tokio::time::sleep(SECOND).await;
    assert_eq!(texts(&mut ada_hears), ["+good,1 -0"]);
    drop((one, two));
}

#[test]
fn changes_are_json() {
    let json = r#"{"joined":[{"user":"ada","tabs":[{"id":"67e55044-10b1-426f-9247-bb680e5fe0c8","data":null}]}],"updated":[],"left":[]}"#;
    let changes: PresenceChanges = serde_json::from_str(json).unwrap();
    assert_eq!(changes.joined[0].user.as_deref(), Some("ada"));
    assert_eq!(serde_json::to_string(&changes).unwrap(), json);
}
