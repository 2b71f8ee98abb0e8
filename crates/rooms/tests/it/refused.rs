//! An engine that does not let a node subscribe.

use std::{sync::Arc, time::Duration};

use axum_sockjs_rooms::{BusStats, JoinError, Rooms};
use sockjs_bus::{Bus, InProcess, in_process::connection::Connection};
use tokio::time::sleep;

use crate::support::{guest, of, texts};

/// Rooms of a node whose engine refuses subscriptions to subjects that have this in them.
fn strict(bus: &InProcess, refused: &str) -> (Rooms, Arc<Connection>) {
    let connection = Arc::new(bus.connect());
    connection.refuse(refused);
    let rooms = Rooms::builder().bus(Arc::clone(&connection) as Arc<dyn Bus>).build();
    (rooms, connection)
}

fn stats(rooms: &Rooms) -> BusStats {
    rooms.stats().bus.unwrap()
}

/// Longer than a node is silent.
async fn beat() {
    sleep(Duration::from_secs(3)).await;
}

#[tokio::test(start_paused = true)]
async fn a_node_that_may_not_hear_the_others_says_so() {
    let bus = InProcess::new();
    for subject in ["rooms.nodes.", "rooms.all."] {
        let (rooms, _connection) = strict(&bus, subject);
        beat().await;
        assert!(stats(&rooms).status.is_connected() && !stats(&rooms).is_heard, "{subject}");
    }
    let (rooms, connection) = strict(&bus, "nothing");
    assert!(!stats(&rooms).is_heard, "it has just started");
    beat().await;
    assert!(stats(&rooms).is_heard);
    connection.disconnect();
    assert!(!stats(&rooms).is_heard);
    connection.reconnect();
    assert!(stats(&rooms).is_heard);
}

#[tokio::test(start_paused = true)]
async fn users_who_cannot_be_subscribed_to_are_counted_once() {
    let bus = InProcess::new();
    let (rooms, connection) = strict(&bus, "rooms.user.");
    let other: Rooms = Rooms::builder().bus(Arc::new(bus.connect())).build();
    let ((ada, mut ada_hears), (again, _again_hears), (bob, _bob_hears)) = (of("ada"), of("ada"), of("bob"));
    let _tabs = [rooms.enter(&ada).unwrap(), rooms.enter(&again).unwrap()];
    beat().await;
    assert_eq!(stats(&rooms).subscriptions_refused, 1);
    other.send_to_user("ada", "missed");
    beat().await;
    assert_eq!(texts(&mut ada_hears), [""; 0]);
    // While the bus is away, nobody knows.
    connection.disconnect();
    let bob = rooms.enter(&bob).unwrap();
    let (eve, _eve_hears) = of("eve");
    drop(rooms.enter(&eve).unwrap());
    beat().await;
    assert_eq!(stats(&rooms).subscriptions_refused, 1);
    connection.reconnect();
    beat().await;
    beat().await;
    assert_eq!(stats(&rooms).subscriptions_refused, 2, "eve has gone");
    drop(bob);
    assert_eq!((stats(&rooms).is_heard, stats(&other).subscriptions_refused), (true, 0));
}

#[tokio::test(start_paused = true)]
async fn a_room_that_was_joined_while_the_bus_was_away_and_is_refused_is_counted() {
    let bus = InProcess::new();
    let (rooms, connection) = strict(&bus, "rooms.room.");
    beat().await;
    let ((ada, _ada_hears), (bob, _bob_hears)) = (guest(), guest());
    assert_eq!(rooms.join(&ada, "lobby").await.map(drop), Err(JoinError::Unavailable));
    assert_eq!(stats(&rooms).subscriptions_refused, 0, "the session was told");
    connection.disconnect();
    let member = rooms.join(&ada, "lobby").await.unwrap();
    drop(rooms.join(&bob, "attic").await.unwrap());
    connection.reconnect();
    beat().await;
    beat().await;
    assert_eq!(stats(&rooms).subscriptions_refused, 1, "nobody is in the attic any more");
    assert_eq!(rooms.join(&bob, "lobby").await.map(drop), Err(JoinError::Unavailable));
    drop(member);
}
