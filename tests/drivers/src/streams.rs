//! Streams, and what is not in the kit: a server that is killed, stopped and robbed.

use std::{sync::Arc, time::Duration};

use sockjs_bus::{Bus, Entry, Follow, Position, Retention, StreamError, Streams, Subject};
use tokio::time::timeout;

use crate::{
    engine::Engine,
    server::Server,
    wait::{connected, limited, subject, subscribe},
};

const KEEP: Retention = Retention::entries(10_000);

fn streams(bus: &dyn Bus) -> &dyn Streams {
    bus.streams().unwrap()
}

async fn append(bus: &dyn Streams, stream: &Subject, text: &str) -> Position {
    limited("an entry is appended", bus.append(stream, text.to_owned().into(), KEEP)).await.unwrap()
}

async fn next(follow: &mut dyn Follow) -> Result<Entry, StreamError> {
    limited("an answer", follow.next()).await
}

/// What was acknowledged is read once and in order, though the server is killed and stopped.
pub async fn entries_that_were_taken_are_there_once_and_in_order_whatever_happens_to_the_server(
    engine: &'static dyn Engine,
) {
    let server = Server::start(engine);
    let writer = server.connect_quick().await;
    let reading = server.connect_quick().await;
    let reader = streams(&*reading);
    let stream = subject("faults");
    let start = reader.last(&stream, 0).await.unwrap().end;
    let mut follow = reader.follow(&stream, start);
    let writing = tokio::spawn({
        let (writer, stream) = (Arc::clone(&writer), stream.clone());
        async move {
            let mut taken = Vec::new();
            for number in 0..300_u32 {
                if let Ok(position) = streams(&*writer).append(&stream, number.to_string().into(), KEEP).await
                {
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
            connected(&*reading, false).await;
            server.run();
        } else {
            server.signal("STOP");
            connected(&*reading, false).await;
            server.signal("CONT");
        }
        connected(&*reading, true).await;
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

/// Positions in a store that was lost are gone.
pub async fn a_store_that_is_lost_is_told(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let node = server.connect_quick().await;
    let bus = streams(&*node);
    let stream = subject("lost");
    let old = append(bus, &stream, "1").await;
    let mut follow = bus.follow(&stream, old);
    let other = append(bus, &stream, "2").await;
    assert_eq!(next(follow.as_mut()).await.unwrap().position, other);
    server.kill();
    connected(&*node, false).await;
    server.lose_store();
    server.run();
    connected(&*node, true).await;
    for _ in 0..2 {
        assert!(matches!(next(follow.as_mut()).await, Err(StreamError::Gone)));
    }
    let new = append(bus, &stream, "3").await;
    assert_ne!(new.stream, old.stream);
    for gone in [old, other, Position { number: new.number, ..old }] {
        assert!(matches!(bus.read(&stream, gone, 10).await, Err(StreamError::Gone)));
    }
    let batch = bus.last(&stream, 10).await.unwrap();
    assert_eq!((batch.entries.len(), batch.end), (1, new));
}

/// Positions in a stream that was deleted are gone, and a new one begins.
pub async fn a_stream_that_vanishes_under_a_connection_is_told(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let node = server.connect_quick().await;
    let bus = streams(&*node);
    let stream = subject("vanishes");
    let old = append(bus, &stream, "1").await;
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

/// A burst that is longer than all queues is followed without a hole.
pub async fn one_who_falls_far_behind_reads_on(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let node = server.connect_quick().await;
    let bus = streams(&*node);
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

/// On a thread that has no runtime.
pub async fn all_of_it_may_be_dropped_outside_of_the_runtime(engine: &'static dyn Engine) {
    let server = Server::start(engine);
    let node = server.connect_quick().await;
    let bus = streams(&*node);
    let stream = subject("dropped");
    let start = bus.last(&stream, 0).await.unwrap().end;
    let mut follow = bus.follow(&stream, start);
    append(bus, &stream, "1").await;
    assert_eq!(next(follow.as_mut()).await.unwrap().payload, "1");
    let (subscription, mut received) = subscribe(&*node, "dropped").await;
    let ends = std::thread::spawn(move || drop((follow, subscription, node)));
    limited("the receiver is dropped", async { while received.recv().await.is_some() {} }).await;
    ends.join().expect("no panic");
}
