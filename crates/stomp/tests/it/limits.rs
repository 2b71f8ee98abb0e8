//! Each limit, and the answer to whoever exceeds it.

use std::{num::NonZero, time::Duration};

use axum_stomp::{ClientSend, Stomp, StompOptions};
use tokio::time::Instant;

use crate::support::{Scene, Way};

const SEND: &str = "SEND\ndestination:/app/a\n";
const BEGIN: &str = "BEGIN\ntransaction:t\n\n^";

fn in_transaction(body: &str) -> String {
    format!("SEND\ndestination:/app/a\ntransaction:t\n\n{body}^")
}

fn subscribe(id: &str) -> String {
    format!("SUBSCRIBE\nid:{id}\ndestination:/topic/a\n\n^")
}

/// What is allowed, and what is too much behind that.
fn limits() -> Vec<(&'static str, StompOptions, String, String)> {
    let options = StompOptions::new;
    vec![
        (
            "max_headers",
            options().max_headers(3),
            format!("{SEND}a:b\nc:d\n\n^"),
            format!("{SEND}a:b\nc:d\ne:f\n\n^"),
        ),
        (
            "max_line_bytes",
            options().max_line_bytes(30),
            format!("{SEND}a:{}\n\n^", "x".repeat(28)),
            format!("{SEND}a:{}", "x".repeat(30)),
        ),
        (
            "max_head_bytes",
            options().max_head_bytes(100),
            format!("{SEND}a:{}\n\n^", "x".repeat(50)),
            format!("{SEND}a:{}\n\n^", "x".repeat(80)),
        ),
        (
            "max_body_bytes",
            options().max_body_bytes(10),
            format!("{SEND}\n{}^", "x".repeat(10)),
            format!("{SEND}\n{}", "x".repeat(11)),
        ),
        // Before the body has come.
        (
            "max_body_bytes",
            options().max_body_bytes(10),
            format!("{SEND}content-length:10\n\n{}^", "x".repeat(10)),
            format!("{SEND}content-length:11\n\n"),
        ),
        (
            "max_subscriptions",
            options().max_subscriptions(2),
            subscribe("a") + &subscribe("b"),
            subscribe("c"),
        ),
        (
            "max_subscription_bytes",
            options().max_subscription_bytes(44),
            subscribe("a"),
            subscribe("b") + &subscribe("c"),
        ),
        (
            "max_transactions",
            options().max_transactions(1),
            BEGIN.to_owned(),
            "BEGIN\ntransaction:other\n\n^".to_owned(),
        ),
        (
            "max_transaction_frames",
            options().max_transaction_frames(2),
            BEGIN.to_owned() + &in_transaction("") + &in_transaction(""),
            in_transaction(""),
        ),
        (
            "max_transaction_bytes",
            options().max_transaction_bytes(100),
            BEGIN.to_owned() + &in_transaction(&"x".repeat(60)),
            in_transaction(&"x".repeat(60)),
        ),
    ]
}

#[tokio::test(start_paused = true)]
async fn what_exceeds_a_limit_is_refused_by_the_name_of_the_limit() {
    for (name, options, allowed, too_much) in limits() {
        let scene = Scene::new(Stomp::new().options(options).message("/a", async || ()));
        for way in Way::all() {
            let mut client = scene.connect(way).await;
            client.send(&allowed).await;
            client.ask("UNSUBSCRIBE\nid:none", "").await;
            client.send(&too_much).await;
            assert_eq!(
                client.refusal().await,
                format!("limit exceeded: The limit {name} is exceeded."),
                "{way}"
            );
        }
    }
}

#[tokio::test(start_paused = true)]
async fn before_a_connect_little_is_read() {
    let scene = Scene::new(Stomp::new().options(StompOptions::new().max_connect_bytes(100)));
    for way in Way::all() {
        for text in [
            format!("CONNECT\na:{}", "x".repeat(100)),
            "\n".repeat(101),
            format!("CONNECT\ncontent-length:200\n\n{}", "x".repeat(80)),
        ] {
            let mut client = scene.open(way).await;
            client.send(&text).await;
            assert_eq!(
                client.refusal().await,
                "limit exceeded: The limit max_connect_bytes is exceeded.",
                "{way}"
            );
        }
        // What stands behind CONNECT does not count.
        let mut client = scene.open(way).await;
        client.send(&format!("CONNECT\n\n^SEND\ndestination:/app/a\na:{}\n\n^", "x".repeat(1000))).await;
        assert_eq!(client.frame().await.command, axum_stomp::Command::Connected, "{way}");
        assert!(client.refusal().await.starts_with("unknown destination"), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn frames_that_come_too_fast_wait() {
    let options = StompOptions::new().frame_rate(NonZero::new(10).unwrap());
    let scene = Scene::new(Stomp::new().options(options).message("/a", async || ()));
    for way in Way::all() {
        // Beats are no frames, and the client is not silent meanwhile.
        let mut client = scene.connect_with(way, "accept-version:1.2\nheart-beat:1000,0\n").await;
        let start = Instant::now();
        let frames: String = (0..100).map(|receipt| format!("{SEND}receipt:{receipt}\n\n^\n\n\n")).collect();
        client.send(&frames).await;
        for receipt in 0..100 {
            client.receipt(&receipt.to_string()).await;
        }
        assert_eq!(start.elapsed().as_secs(), 9, "{way}");
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
}

#[tokio::test(start_paused = true)]
async fn limits_that_no_memory_has_are_none() {
    let options = StompOptions::new()
        .max_parallel_handlers(NonZero::<usize>::MAX)
        .max_body_bytes(usize::MAX)
        .max_head_bytes(usize::MAX)
        .max_subscription_bytes(usize::MAX)
        .max_transaction_bytes(usize::MAX)
        .outbound_bytes(usize::MAX)
        .connect_timeout(Duration::MAX)
        .send_timeout(Duration::MAX)
        .frame_rate(NonZero::<u32>::MAX)
        .client_send(ClientSend::HANDLERS.broker(true));
    let scene = Scene::new(Stomp::new().options(options).message_parallel("/a", async || ()));
    for way in Way::all() {
        let mut client = scene.connect(way).await;
        client.subscribe("a", "/topic/a").await;
        client.send(&(BEGIN.to_owned() + &in_transaction("x") + "COMMIT\ntransaction:t\n\n^")).await;
        client.send("SEND\ndestination:/topic/a\n\nx^").await;
        assert_eq!(client.body().await, "x", "{way}");
        client.send("SEND\ndestination:/app/a\n\n^DISCONNECT\nreceipt:r\n\n^").await;
        client.receipt("r").await;
        client.closed().await.is(1000);
    }
}
