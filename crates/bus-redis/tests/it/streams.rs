//! Streams, and what is not in the kit: a server that is killed, stopped and robbed.

use std::{sync::Arc, time::Duration};

use sockjs_bus::{Entry, Follow, Position, Retention, StreamError, Streams, Subject};
use sockjs_bus_redis::Redis;
use tokio::time::timeout;

use crate::{
    core::{quick, subject, until},
    server::Server,
};

const KEEP: Retention = Retention::entries(10_000);

async fn append(bus: &Redis, stream: &Subject, text: &str) -> Position {
    let appended = bus.append(stream, text.to_owned().into(), KEEP);
    timeout(Duration::from_secs(20), appended).await.unwrap().unwrap()
}

async fn next(follow: &mut dyn Follow) -> Result<Entry, StreamError> {
    timeout(Duration::from_secs(20), follow.next()).await.expect("an answer in time")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn entries_that_were_taken_are_there_once_and_in_order_whatever_happens_to_the_server() {
    let server = Server::start(&[]);
    let writer = Arc::new(quick(&server).connect().await.unwrap());
    let reader = quick(&server).connect().await.unwrap();
    let stream = subject("faults");
    let start = reader.last(&stream, 0).await.unwrap().end;
    let mut follow = reader.follow(&stream, start);
    let writing = tokio::spawn({
        let (writer, stream) = (Arc::clone(&writer), stream.clone());
        async move {
            let mut taken = Vec::new();
            for number in 0..300_u32 {
                if let Ok(position) = writer.append(&stream, number.to_string().into(), KEEP).await {
                    taken.push((position, number));
                }
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            taken
        }
    });
    for fault in ["kill", "stop", "kill"] {
        tokio::time::sleep(Duration::from_millis(300)).await;
        if fault == "kill" {
            server.kill();
            until(&reader, false).await;
            server.run();
        } else {
            server.signal("STOP");
            until(&reader, false).await;
            server.signal("CONT");
        }
        until(&reader, true).await;
    }
    let taken = writing.await.unwrap();
    assert!(taken.len() > 50, "only {} entries were taken", taken.len());
    let last = taken[taken.len() - 1].0;
    let mut seen = Vec::new();
    while seen.last().is_none_or(|&(position, _): &(Position, u32)| position.number < last.number) {
        let entry = next(follow.as_mut()).await.unwrap();
        let number = std::str::from_utf8(&entry.payload).unwrap().parse().unwrap();
        seen.push((entry.position, number));
    }
    assert!(seen.windows(2).all(|pair| pair[0].1 < pair[1].1), "once, and in order: {seen:?}");
    // One that was not acknowledged may be there all the same.
    assert!(taken.iter().all(|entry| seen.contains(entry)), "an entry that was taken is missing");
    let batch = reader.read(&stream, start, 1000).await.unwrap();
    let read: Vec<_> = batch.entries.iter().map(|entry| entry.position).collect();
    assert_eq!(read, seen.iter().map(|&(position, _)| position).collect::<Vec<_>>(), "it is what is there");
}

#[tokio::test]
async fn a_store_that_is_lost_is_told() {
    let server = Server::start(&[]);
    let bus = quick(&server).connect().await.unwrap();
    let stream = subject("lost");
    let old = append(&bus, &stream, "1").await;
    let mut follow = bus.follow(&stream, old);
    let other = append(&bus, &stream, "2").await;
    assert_eq!(next(follow.as_mut()).await.unwrap().position, other);
    server.kill();
    until(&bus, false).await;
    server.lose_store();
    server.run();
    until(&bus, true).await;
    for _ in 0..2 {
        assert!(matches!(next(follow.as_mut()).await, Err(StreamError::Gone)));
    }
    let new = append(&bus, &stream, "3").await;
    assert_ne!(new.stream, old.stream);
    for gone in [old, other, Position { number: new.number, ..old }] {
        assert!(matches!(bus.read(&stream, gone, 10).await, Err(StreamError::Gone)));
    }
    let batch = bus.last(&stream, 10).await.unwrap();
    assert_eq!((batch.entries.len(), batch.end), (1, new));
}

#[tokio::test]
async fn a_stream_that_vanishes_under_a_connection_is_told() {
    let server = Server::start(&[]);
    let bus = quick(&server).connect().await.unwrap();
    let stream = subject("vanishes");
    let old = append(&bus, &stream, "1").await;
    let mut follow = bus.follow(&stream, old);
    assert!(timeout(Duration::from_millis(100), follow.next()).await.is_err());
    server.erase().await;
    // One append may be told that the server has gone.
    let new = loop {
        match bus.append(&stream, "2".into(), KEEP).await {
            Ok(position) => break position,
            Err(error) => assert!(matches!(error, StreamError::Disconnected), "{error:?}"),
        }
    };
    assert_ne!(new.stream, old.stream);
    assert!(matches!(bus.read(&stream, old, 10).await, Err(StreamError::Gone)));
    let mut again = bus.follow(&stream, old);
    assert!(matches!(next(again.as_mut()).await, Err(StreamError::Gone)));
}

#[tokio::test]
async fn one_who_falls_far_behind_reads_on() {
    let server = Server::start(&[]);
    let bus = quick(&server).connect().await.unwrap();
    let stream = subject("behind");
    let start = bus.last(&stream, 0).await.unwrap().end;
    let mut follow = bus.follow(&stream, start);
    assert!(timeout(Duration::from_millis(50), follow.next()).await.is_err());
    for round in 0..3_usize {
        let appended: Vec<_> = (0..700)
            .map(|number| bus.append(&stream, (round * 700 + number).to_string().into(), KEEP))
            .collect();
        for appended in appended {
            appended.await.unwrap();
        }
        for number in 0..700 {
            assert_eq!(next(follow.as_mut()).await.unwrap().payload, (round * 700 + number).to_string());
        }
    }
}

#[tokio::test]
async fn the_oldest_entries_go_by_their_bytes() {
    let server = Server::start(&[]);
    let bus = quick(&server).connect().await.unwrap();
    let stream = subject("bytes");
    let retention = Retention { max_bytes: 10, ..Retention::entries(1000) };
    let append = async |text: &str, retention| {
        let position = bus.append(&stream, text.to_owned().into(), retention).await.unwrap();
        let entries = bus.last(&stream, 1000).await.unwrap().entries;
        (position, entries.iter().map(|entry| entry.payload.len()).collect::<Vec<_>>())
    };
    let (first, _) = append("1111", retention).await;
    let (second, kept) = append("222", retention).await;
    assert_eq!(kept, [4, 3]);
    append("333", retention).await;
    let (_, kept) = append("4444", retention).await;
    assert_eq!(kept, [3, 3, 4]);
    assert!(bus.read(&stream, first, 10).await.is_ok(), "what is behind it is all there");
    let (_, kept) = append(&"5".repeat(99), retention).await;
    assert_eq!(kept, [99]);
    assert!(matches!(bus.read(&stream, second, 10).await, Err(StreamError::Gone)));
    let (_, kept) = append("6", retention).await;
    assert_eq!(kept, [1]);
    // One that takes the place of many does it in steps.
    let appended: Vec<_> = (0..599).map(|_| bus.append(&stream, "7".into(), KEEP)).collect();
    for appended in appended {
        appended.await.unwrap();
    }
    for (text, expected) in [("8888888888", 345), ("9", 90), ("9", 2)] {
        assert_eq!(append(text, retention).await.1.len(), expected);
    }
}

#[tokio::test]
async fn an_idle_stream_expires_unless_it_is_used() {
    let server = Server::start(&[]);
    let bus = quick(&server).connect().await.unwrap();
    let stream = subject("idle");
    let idle = Retention { idle: Some(Duration::from_secs(60)), ..KEEP };
    let position = bus.append(&stream, "1".into(), idle).await.unwrap();
    // Of both keys: the time, and two minutes, in which whoever follows it has read it.
    let full = 179_000..=180_000;
    assert!(server.expiries().await.iter().all(|left| full.contains(left)));
    server.expire_in(1000).await;
    bus.read(&stream, position, 10).await.unwrap();
    let expiries = server.expiries().await;
    assert!(expiries.len() == 2 && expiries.iter().all(|left| full.contains(left)), "{expiries:?}");
    server.expire_in(1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(bus.read(&stream, position, 10).await, Err(StreamError::Gone)));
    append(&bus, &stream, "2").await;
    assert_eq!(server.expiries().await, [-1, -1], "one that is kept");
}
