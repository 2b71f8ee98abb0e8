//! A room's history over a bus that is slow, refuses, or loses it.

use std::{sync::Arc, time::Duration};

use axum_sockjs_rooms::{History, Rooms};
use sockjs_bus::{Bus, InProcess};
use tokio::time::sleep;

use crate::support::guest;

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
