//! What clients may send to do harm.

use std::time::Duration;

use axum_stomp::{ClientSend, SendTo, Stomp, StompOptions, outbox::Overflow};
use tokio::time::{Instant, sleep};

use crate::support::{Scene, Way, settle};

fn anywhere() -> StompOptions {
    StompOptions::new().client_send(ClientSend::HANDLERS.broker(true).users(true))
}

#[tokio::test(start_paused = true)]
async fn many_subscriptions_with_long_headers_are_bounded() {
    let scene = Scene::new(Stomp::new());
    for way in [Way::Stream, Way::SOCKET, Way::POLLING] {
        let mut client = scene.connect(way).await;
        let subscribe = |id: usize| {
            let line = "x".repeat(8000);
            format!("SUBSCRIBE\nid:{id}\ndestination:/topic/{id}\na:{line}\nb:{line}\nc:{line}\n\n^")
        };
        let mut sent = 0;
        while sent < 100 && client.try_send(&subscribe(sent)).await {
            sent += 1;
            sleep(Duration::from_millis(1)).await;
        }
        assert_eq!(
            client.refusal().await,
            "limit exceeded: The limit max_subscription_bytes is exceeded.",
            "{way}"
        );
    }
    let events = scene.events.after_ends(3).await;
    // 1 MiB.
    assert_eq!(events.iter().filter(|event| event.starts_with("subscribed")).count(), 3 * 43, "{events:?}");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_reads_no_receipts_is_read_no_more() {
    let scene = Scene::new(Stomp::new().options(anywhere().send_timeout(Duration::from_secs(100))));
    for (number, way) in [Way::Stream, Way::SOCKET].into_iter().enumerate() {
        let mut client = scene.connect(way).await;
        if way != Way::Stream {
            client.sockjs().stop_reading();
        }
        let receipt = "r".repeat(4000);
        let frames = format!("UNSUBSCRIBE\nid:x\nreceipt:{receipt}\n\n^").repeat(10);
        let flood = async {
            let mut sent = 0;
            while !scene.registry().is_empty() && client.try_send(&frames).await {
                sent += frames.len();
                settle().await;
                sleep(Duration::from_millis(1)).await;
            }
            // What all buffers hold on the way there and back.
            assert!(sent < 2 << 20, "{way} {sent}");
        };
        // It is stopped by the bounds, or the session is ended in time.
        tokio::time::timeout(Duration::from_secs(300), flood).await.ok();
        let events = scene.events.after_ends(number + 1).await;
        assert_eq!(events.last().unwrap(), "disconnected: too-slow", "{way}");
    }
    assert!(scene.registry().is_empty());
}

#[tokio::test(start_paused = true)]
async fn others_are_served_while_one_floods() {
    let options = anywhere().overflow(Overflow::DropOldest);
    let scene =
        Scene::new(Stomp::new().options(options).message("/a", async || SendTo::new("/topic/a", "answer")));
    let mut other = scene.connect(Way::POLLING).await;
    other.subscribe("a", "/topic/b").await;
    let mut client = scene.connect(Way::Stream).await;
    let flood = tokio::spawn(async move {
        // 20,000 frames, and as many beats.
        let frames = "SEND\ndestination:/topic/a\n\n^\n\n".repeat(200);
        for _ in 0..100 {
            client.send(&frames).await;
        }
        client
    });
    let start = std::time::Instant::now();
    for number in 0..10 {
        scene.messenger().send("/topic/b", number.to_string()).await.unwrap();
        assert_eq!(other.body().await, number.to_string());
    }
    assert!(start.elapsed() < Duration::from_secs(5), "{:?}", start.elapsed());
    let mut client = flood.await.unwrap();
    client.ask("UNSUBSCRIBE\nid:x", "").await;
}

#[tokio::test(start_paused = true)]
async fn the_largest_transaction_takes_its_turns() {
    let scene = Scene::new(Stomp::new().options(anywhere().overflow(Overflow::DropNewest)));
    let mut idle = Vec::new();
    for _ in 0..50 {
        let mut client = scene.connect(Way::Stream).await;
        client.subscribe("a", "/topic/a").await;
        idle.push(client);
    }
    let mut client = scene.connect(Way::Stream).await;
    client.send("BEGIN\ntransaction:t\n\n^").await;
    for _ in 0..10 {
        client.send(&"SEND\ndestination:/topic/a\ntransaction:t\n\nx^".repeat(100)).await;
    }
    client.ask("UNSUBSCRIBE\nid:x", "").await;
    // Others get their turns while it is committed.
    let (turns, turn) =
        (std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0)), std::sync::atomic::Ordering::SeqCst);
    let counted = turns.clone();
    let counting = tokio::spawn(async move {
        loop {
            counted.fetch_add(1, turn);
            tokio::task::yield_now().await;
        }
    });
    tokio::task::yield_now().await;
    client.send("COMMIT\ntransaction:t\nreceipt:r\n\n^").await;
    let before = turns.load(turn);
    client.receipt("r").await;
    assert!(turns.load(turn) - before >= 7, "{}", turns.load(turn) - before);
    counting.abort();
    for mut client in idle {
        for _ in 0..10 {
            assert_eq!(client.body().await, "x");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_never_reads_ends_also_without_a_send_timeout() {
    let options = anywhere().send_timeout(None).outbound_bytes(10 << 20);
    let scene = Scene::new(
        Stomp::new()
            .options(options)
            .on_connect(async || axum_stomp::Login::anonymous().expires_in(Duration::from_secs(1000))),
    );
    let mut client = scene.connect(Way::Stream).await;
    client.subscribe("a", "/topic/a").await;
    for _ in 0..100 {
        scene.messenger().send("/topic/a", "x".repeat(10_000)).await.unwrap();
    }
    let start = Instant::now();
    let events = scene.events.after_ends(1).await;
    assert_eq!(events.last().unwrap(), "disconnected: expired");
    assert_eq!(start.elapsed().as_secs(), 1010);
}

#[tokio::test(start_paused = true)]
async fn bytes_of_any_sort_end_in_an_error() {
    let scene = Scene::new(Stomp::new());
    // A generator of numbers that is the same in each run.
    let mut seed = 1_u64;
    let mut next = move || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    let parts: [&[u8]; 20] = [
        b"SEND\n",
        b"CONNECT\n",
        b"SUBSCRIBE\n",
        b"ACK\n",
        b"BEGIN\n",
        b"COMMIT\n",
        b"DISCONNECT\n",
        b"id:a\n",
        b"destination:/topic/a\n",
        b"destination:/user/a/b\n",
        b"destination:/app/\xff\n",
        b"transaction:t\n",
        b"receipt:r\n",
        b"content-length:3\n",
        b"reply-to:/temp-queue/a\n",
        b"\n",
        b"\n\n\0",
        b"\0",
        b"\\",
        b"\r\n",
    ];
    for _ in 0..300 {
        let mut client = scene.connect(Way::Stream).await;
        let bytes: Vec<u8> =
            (0..next() % 30).flat_map(|_| parts[next() % parts.len()].iter().copied()).collect();
        client.send_bytes(&bytes).await;
        client.shut_down().await;
        while client.next().await.is_some() {}
    }
    let events = scene.events.after_ends(300).await;
    assert!(!events.iter().any(|event| event.ends_with("cancelled")));
    assert!(scene.registry().is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_few_frames_with_many_deliveries_take_turns() {
    let stomp = Stomp::new().options(anywhere()).message("/a", async || SendTo::new("/topic/a", ""));
    let scene = Scene::new(stomp);
    let mut others = Vec::new();
    for _ in 0..640 {
        let mut client = scene.connect(Way::Stream).await;
        client.subscribe("a", "/topic/a").await;
        others.push(client);
    }
    let mut client = scene.connect(Way::Stream).await;
    for destination in ["/topic/a", "/app/a"] {
        let turns = std::sync::Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let counted = turns.clone();
        let counting = tokio::spawn(async move {
            loop {
                counted.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
                tokio::task::yield_now().await;
            }
        });
        client.ask("UNSUBSCRIBE\nid:x", "").await;
        let before = turns.load(std::sync::atomic::Ordering::SeqCst);
        let frames = format!("SEND\ndestination:{destination}\n\n^").repeat(100);
        client.send(&format!("{frames}UNSUBSCRIBE\nid:x\nreceipt:r\n\n^")).await;
        client.receipt("r").await;
        let turns = turns.load(std::sync::atomic::Ordering::SeqCst) - before;
        // A turn is 128 frames, or 64 times as many deliveries.
        assert!(turns >= 100 * 640 / 64 / 128, "{destination} {turns}");
        counting.abort();
    }
}
