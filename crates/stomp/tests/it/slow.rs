//! Clients that read slowly, or not at all.

use std::time::Duration;

use axum_stomp::{Stomp, StompOptions, outbox::Overflow};
use sockjs_client::Transport;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    time::{Instant, sleep},
};

use crate::support::{Scene, Way, settle};

/// What the connections below hold, and more.
const MESSAGES: usize = 500;

fn scene(overflow: Overflow) -> Scene {
    let options =
        StompOptions::new().overflow(overflow).outbound_bytes(100_000).send_timeout(Duration::from_secs(60));
    Scene::new(Stomp::new().options(options))
}

/// Bodies of 1,000 bytes that begin with a number.
fn body(number: usize) -> String {
    format!("{number:04}{}", "x".repeat(996))
}

#[tokio::test(start_paused = true)]
async fn what_finds_no_room_is_dropped_by_the_policy() {
    for overflow in [Overflow::DropOldest, Overflow::DropNewest, Overflow::KeepNewest] {
        for way in [
            Way::SockJs(Transport::RawWebSocket),
            Way::SOCKET,
            Way::SockJs(Transport::XhrStreaming),
            Way::Stream,
        ] {
            let scene = scene(overflow);
            let mut client = scene.connect(way).await;
            client.subscribe("a", "/topic/*").await;
            if way != Way::Stream {
                client.sockjs().stop_reading();
            }
            let mut dropped = 0;
            for number in 0..MESSAGES {
                let destination = format!("/topic/{}", number % 50);
                dropped += scene.messenger().send(destination, body(number)).await.unwrap().dropped;
                settle().await;
            }
            let session = scene.session();
            assert!(!session.is_closed() && session.dropped_messages() > 100, "{way} {overflow:?} {dropped}");
            if way != Way::Stream {
                client.sockjs().resume_reading();
            }
            client.send("DISCONNECT\nreceipt:r\n\n^").await;
            let mut numbers: Vec<usize> =
                client.bodies().await.iter().filter_map(|body| body.get(..4)?.parse().ok()).collect();
            let has_last = numbers.contains(&(MESSAGES - 1));
            assert_eq!(
                numbers.len() as u64 + session.dropped_messages(),
                MESSAGES as u64,
                "{way} {overflow:?}"
            );
            assert_eq!(has_last, overflow != Overflow::DropNewest, "{way} {overflow:?}");
            let sorted = numbers.is_sorted();
            numbers.sort_unstable();
            numbers.dedup();
            if overflow != Overflow::KeepNewest {
                assert!(sorted, "{way} {overflow:?}");
            } else {
                // The last of each destination has come.
                assert!(
                    numbers.ends_with(&(MESSAGES - 50..MESSAGES).collect::<Vec<_>>()),
                    "{way} {numbers:?}"
                );
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn destinations_have_policies_of_their_own() {
    for way in [Way::SockJs(Transport::RawWebSocket), Way::SockJs(Transport::XhrStreaming), Way::Stream] {
        let options = StompOptions::new()
            .outbound_bytes(100_000)
            .send_timeout(Duration::from_secs(60))
            .overflow_for("/topic/price.", Overflow::DropOldest)
            .overflow_for("/user/queue/hints", Overflow::DropNewest);
        let scene = Scene::new(Stomp::new().options(options));
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/*").await;
        client.subscribe("b", "/user/queue/*").await;
        if way != Way::Stream {
            client.sockjs().stop_reading();
        }
        for number in 0..MESSAGES {
            scene.messenger().send("/topic/price.a", body(number)).await.unwrap();
            settle().await;
        }
        let (messenger, session) = (scene.messenger(), scene.session());
        assert!(session.dropped_messages() > 100, "{way}");
        let hint = messenger.send_to_session(session.id(), "/queue/hints", body(0)).await.unwrap();
        assert_eq!((hint.delivered, hint.dropped), (0, 1), "{way}");
        for destination in ["/queue/positions", "/queue/other"] {
            let must = messenger.send_to_session(session.id(), destination, "must").await.unwrap();
            assert_eq!((must.delivered, must.dropped), (1, 0), "{way}");
        }
        assert!(!session.is_closed());
        if way != Way::Stream {
            client.sockjs().resume_reading();
        }
        client.send("DISCONNECT\n\n^").await;
        let bodies = client.bodies().await;
        assert!(bodies.ends_with(&[body(MESSAGES - 1), "must".to_owned(), "must".to_owned()]), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_for_which_there_is_no_room_is_closed() {
    for way in
        [Way::SockJs(Transport::RawWebSocket), Way::SOCKET, Way::SockJs(Transport::XhrStreaming), Way::Stream]
    {
        let scene = scene(Overflow::Close);
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/*").await;
        if way != Way::Stream {
            client.sockjs().stop_reading();
        }
        let mut other = scene.connect(Way::Stream).await;
        other.subscribe("a", "/topic/*").await;
        for number in 0..MESSAGES {
            scene.messenger().send("/topic/a", body(number)).await.unwrap();
            assert_eq!(other.body().await, body(number));
        }
        let events = scene.events.after_ends(1).await;
        assert_eq!(events.last().unwrap(), "disconnected: too-slow", "{way}");
        if way != Way::Stream {
            client.sockjs().resume_reading();
        }
        while client.next().await.is_some() {}
        client.closed().await.is(1008);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_nothing_is_closed_in_time() {
    for way in
        [Way::SockJs(Transport::RawWebSocket), Way::SOCKET, Way::SockJs(Transport::XhrStreaming), Way::Stream]
    {
        let options = StompOptions::new().outbound_bytes(10 << 20).send_timeout(Duration::from_secs(7));
        let scene = Scene::new(Stomp::new().options(options));
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/*").await;
        if way != Way::Stream {
            client.sockjs().stop_reading();
        }
        for number in 0..MESSAGES {
            scene.messenger().send("/topic/a", body(number)).await.unwrap();
        }
        let start = Instant::now();
        let events = scene.events.after_ends(1).await;
        assert_eq!(events.last().unwrap(), "disconnected: too-slow", "{way}");
        assert_eq!(start.elapsed().as_secs(), 7, "{way}");
        assert!(scene.registry().is_empty());
    }
}

#[tokio::test(start_paused = true)]
async fn one_that_reads_slowly_gets_all() {
    let options = StompOptions::new().outbound_bytes(10 << 20);
    let scene = Scene::new(Stomp::new().options(options));
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/*").await;
        for number in 0..MESSAGES {
            scene.messenger().send("/topic/a", body(number)).await.unwrap();
        }
        for number in 0..MESSAGES {
            assert_eq!(client.body().await, body(number), "{way}");
            if number % 50 == 0 {
                sleep(Duration::from_millis(1500)).await;
            }
        }
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_a_stream_slowly_stays() {
    let scene = Scene::new(Stomp::new());
    let (mut client, end) = tokio::io::duplex(4096);
    let server = scene.server.clone();
    let _serving = tokio::spawn(async move { server.serve_stream(end, None, ()).await });
    let begin = b"CONNECT\naccept-version:1.2\n\n\0SUBSCRIBE\nid:a\ndestination:/topic/a\n\n\0";
    client.write_all(begin).await.unwrap();
    settle().await;
    for _ in 0..20 {
        scene.messenger().send("/topic/a", "x".repeat(8000)).await.unwrap();
    }
    // What the stream holds takes it longer than it may read nothing.
    let (mut read, mut buffer) = (0, [0; 2000]);
    while read < 20 * 8000 {
        sleep(Duration::from_secs(1)).await;
        let count = client.read(&mut buffer).await.unwrap();
        assert_ne!(count, 0, "{:?} after {read} bytes", scene.registry().sessions());
        read += count;
    }
    assert!(!scene.session().is_closed());
}
