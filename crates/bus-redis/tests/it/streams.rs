//! What is Redis's own in streams: how they are cut, and when they expire.

use std::time::Duration;

use driver_tests::{server::Server, wait::subject};
use sockjs_bus::{Retention, StreamError, Streams};
use sockjs_bus_redis::Redis;

use crate::engine::{self, connection};

const KEEP: Retention = Retention::entries(10_000);

/// In how many milliseconds each key expires; -1 is never.
async fn expiries(server: &Server) -> Vec<i64> {
    let mut connection = connection(&server.address()).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    let mut left = Vec::new();
    for key in keys {
        left.push(redis::cmd("PTTL").arg(key).query_async(&mut connection).await.unwrap());
    }
    left
}

/// All keys expire in so many milliseconds.
async fn expire_in(server: &Server, ms: u64) {
    let mut connection = connection(&server.address()).await;
    let keys: Vec<String> = redis::cmd("KEYS").arg("*").query_async(&mut connection).await.unwrap();
    for key in keys {
        redis::cmd("PEXPIRE").arg(key).arg(ms).exec_async(&mut connection).await.unwrap();
    }
}

#[tokio::test]
async fn the_oldest_entries_go_by_their_bytes() {
    let server = Server::start(&engine::Server);
    let bus = Redis::connect(&server.address()).await.unwrap();
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
    let server = Server::start(&engine::Server);
    let bus = Redis::connect(&server.address()).await.unwrap();
    let stream = subject("idle");
    let idle = Retention { idle: Some(Duration::from_secs(60)), ..KEEP };
    let position = bus.append(&stream, "1".into(), idle).await.unwrap();
    // Of both keys: the time, and two minutes, in which whoever follows it has read it.
    let full = 179_000..=180_000;
    assert!(expiries(&server).await.iter().all(|left| full.contains(left)));
    expire_in(&server, 1000).await;
    bus.read(&stream, position, 10).await.unwrap();
    let left = expiries(&server).await;
    assert!(left.len() == 2 && left.iter().all(|left| full.contains(left)), "{left:?}");
    expire_in(&server, 1).await;
    tokio::time::sleep(Duration::from_millis(50)).await;
    assert!(matches!(bus.read(&stream, position, 10).await, Err(StreamError::Gone)));
    bus.append(&stream, "2".into(), KEEP).await.unwrap();
    assert_eq!(expiries(&server).await, [-1, -1], "one that is kept");
}
