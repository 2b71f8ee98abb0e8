//! Threads that join, leave and send at once.

use std::{
    collections::BTreeSet,
    pin::pin,
    sync::Arc,
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum_sockjs_rooms::{Event, History, JoinError, PresenceChanges, Rooms};

use crate::support::{assert_empty, of};

/// Each task has a session of its own, and is in one room after the other. A message that it sends as a member reaches
/// itself once; at the end nothing is left, and all that were told are right.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn who_comes_and_goes_leaves_nothing() {
    const TASKS: usize = 16;
    const TURNS: usize = 400;
    let keep = Duration::ZERO;
    let rooms: Rooms = Rooms::builder()
        .history_of(move |key: &String| (key == "2").then(|| History::last(5).keep(keep)))
        .max_rooms(4)
        .build();
    let mut events = rooms.events();
    let (stop, mut stopped) = tokio::sync::oneshot::channel::<()>();
    let mut watch = rooms.watch("0", Duration::ZERO).unwrap();
    let watches = tokio::spawn(async move {
        let mut present = BTreeSet::new();
        let mut tell = |PresenceChanges { joined, updated, left, .. }: PresenceChanges| {
            for user in joined {
                assert!(present.insert(user.user.unwrap()));
            }
            for user in updated {
                assert!(present.contains(&user.user.unwrap()));
            }
            for user in left {
                assert!(present.remove(&user.user.unwrap()));
            }
        };
        loop {
            tokio::select! {
                changes = watch.next() => tell(changes),
                _ = &mut stopped => break,
            }
        }
        // What has changed since, if anything: it is there at once.
        let last = pin!(watch.next()).poll(&mut Context::from_waker(Waker::noop()));
        if let Poll::Ready(changes) = last {
            tell(changes);
        }
        assert!(present.is_empty());
    });
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let rooms = rooms.clone();
            tokio::spawn(async move {
                let (session, mut peer) = of(&format!("user {}", task / 2));
                for turn in 0..TURNS {
                    let key = ((task * 7 + turn * 13) % 3).to_string();
                    let member = rooms.join(&session, key.as_str()).await.unwrap();
                    let text = format!("{task} {turn}");
                    let sent = member.send(text.as_str());
                    assert!(sent.delivered > 0 || sent.handed_over);
                    let mut got = 0;
                    while got == 0 {
                        got += usize::from(peer.recv().await.unwrap() == text.as_str());
                    }
                    if turn % 3 == 0 {
                        assert_eq!(
                            rooms.join(&session, key.as_str()).await.unwrap_err(),
                            JoinError::AlreadyJoined
                        );
                        member.watch(Duration::ZERO).next().await;
                    }
                    drop(member);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    stop.send(()).unwrap();
    watches.await.unwrap();
    let (mut occupied, mut online) = (BTreeSet::new(), BTreeSet::new());
    while let Some(event) = events.try_next() {
        assert!(match event {
            Event::RoomOccupied(key) => occupied.insert(key),
            Event::RoomVacated(key) => occupied.remove(&key),
            Event::UserOnline(user) => online.insert(user),
            Event::UserOffline(user) => online.remove(&user),
            _ => false,
        });
    }
    assert!(occupied.is_empty() && online.is_empty());
    assert_empty(&rooms);
}

/// All of them need the one room that there may be, and each may be the one that creates it.
#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_room_that_many_create_counts_once() {
    const TASKS: usize = 8;
    const TURNS: usize = 300;
    let rooms: Rooms = Rooms::builder().max_rooms(1).build();
    let barrier = Arc::new(tokio::sync::Barrier::new(TASKS));
    let tasks: Vec<_> = (0..TASKS)
        .map(|task| {
            let (rooms, barrier) = (rooms.clone(), Arc::clone(&barrier));
            tokio::spawn(async move {
                let (session, _peer) = of(&format!("user {task}"));
                for turn in 0..TURNS {
                    barrier.wait().await;
                    let member = rooms.join(&session, turn.to_string()).await.unwrap();
                    barrier.wait().await;
                    assert_eq!((member.len(), rooms.stats().rooms), (TASKS, 1));
                    barrier.wait().await;
                    drop(member);
                }
            })
        })
        .collect();
    for task in tasks {
        task.await.unwrap();
    }
    assert_empty(&rooms);
}
