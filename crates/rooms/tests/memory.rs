//! How much memory the rooms take, and how often a message allocates: the numbers do not depend on how busy the machine
//! is, so that a change for the worse fails here.
//!
//! To see the figures: `cargo test -p axum-sockjs-rooms --test memory -- --nocapture`.

#![allow(clippy::unwrap_used, reason = "a test fails so")]

use allocation_counter::{AllocationInfo, measure};
use axum_sockjs::{Message, Pair, Peer, Session};
use axum_sockjs_rooms::{History, Member, Rooms};
use tokio::runtime::Runtime;

fn sessions(number: usize, user_tabs: Option<usize>) -> Vec<(Session, Peer)> {
    let open = |number: usize| match user_tabs {
        Some(tabs) => Pair::new().identity(format!("user {}", number / tabs)).open(),
        None => Pair::new().open(),
    };
    (0..number).map(open).collect()
}

fn runtime() -> Runtime {
    tokio::runtime::Builder::new_current_thread().enable_time().build().unwrap()
}

/// Has each session join so many rooms, and returns the bytes that a membership takes.
fn bytes_per_membership(rooms_of_each: usize, user_tabs: Option<usize>) -> f64 {
    const SESSIONS: usize = 10_000;
    const ROOMS: usize = 1_000;
    let runtime = runtime();
    let sessions = sessions(SESSIONS, user_tabs);
    let mut members: Vec<Member> = Vec::with_capacity(SESSIONS * rooms_of_each);
    let rooms = Rooms::new();
    let used: AllocationInfo = measure(|| {
        runtime.block_on(async {
            for round in 0..rooms_of_each {
                for (number, (session, _)) in sessions.iter().enumerate() {
                    let key = format!("room {}", (number + 7 * round) % ROOMS);
                    members.push(rooms.join(session, key).await.unwrap());
                }
            }
        });
    });
    let each = used.bytes_current as f64 / members.len() as f64;
    println!("{rooms_of_each} rooms of each session, tabs of each user: {user_tabs:?}: {each:.0} bytes");
    let back = measure(|| members.clear());
    // What is left is the maps' own.
    let left = (used.bytes_current + back.bytes_current) as f64 / SESSIONS as f64;
    assert!(left < 30.0, "{left} bytes are left of each session");
    each
}

#[test]
fn a_membership_is_small() {
    for (rooms_of_each, user_tabs, most) in [(1, None, 175.0), (1, Some(2), 265.0), (10, None, 80.0)] {
        let each = bytes_per_membership(rooms_of_each, user_tabs);
        assert!(each < most, "{each} bytes");
    }
}

/// Sending allocates the message, and nothing for the room or a member: each queue has grown before.
#[test]
fn a_message_allocates_nothing_for_its_members() {
    let runtime = runtime();
    let mut sessions = sessions(100, None);
    let rooms: Rooms =
        Rooms::builder().history_of(|key: &String| (key == "kept").then(|| History::last(10))).build();
    let join = |key: &str| -> Vec<Member> {
        let join = |session| runtime.block_on(rooms.join(session, key).into_future()).unwrap();
        sessions.iter().map(|(session, _)| join(session)).collect()
    };
    let (plain, kept) = (join("plain"), join("kept"));
    let mut round = |member: &Member| {
        let message = Message::from("quoted once");
        message.quoted();
        let sending = measure(|| assert_eq!(member.send(message).delivered, 100));
        for (_, peer) in &mut sessions {
            while peer.try_recv().is_some() {}
        }
        sending.count_total
    };
    for member in [&plain[0], &kept[0]] {
        (0..32).for_each(|_| _ = round(member));
    }
    assert_eq!((0..32).map(|_| round(&plain[0])).max(), Some(0));
    // Its entry, and the list of those that are forgotten.
    assert!((0..32).map(|_| round(&kept[0])).max() <= Some(2));
}
