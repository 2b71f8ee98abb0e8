//! Queues whose messages are acknowledged.

use std::{num::NonZero, time::Duration};

use axum_stomp::{
    Stomp, StompOptions, Version,
    broker::memory::{MemoryBroker, QueueMode},
};
use tokio::time::sleep;

use crate::support::{Client, Scene, Way};

fn scene() -> Scene {
    Scene::new(Stomp::new().broker(MemoryBroker::builder().queue_mode(QueueMode::Competing).build()))
}

async fn consumer(scene: &Scene, way: Way, ack: &str) -> Client {
    let mut client = scene.connect(way).await;
    // Without a receipt: messages may come before it.
    client.send(&format!("SUBSCRIBE\nid:q\ndestination:/queue/a\nack:{ack}\n\n^")).await;
    client
}

async fn send(scene: &Scene, bodies: &[&'static str]) {
    for body in bodies {
        scene.messenger().send("/queue/a", *body).await.expect("it is sent");
    }
}

/// The body of the next message, its `ack` and whether it is delivered again.
async fn take(client: &mut Client) -> (String, String, bool) {
    let message = client.message().await;
    let get = |name| message.headers.get(name).unwrap_or_default().to_owned();
    let body = String::from_utf8_lossy(&message.body).into_owned();
    (body, get("ack"), get("redelivered") == "true")
}

#[tokio::test(start_paused = true)]
async fn what_a_lost_client_has_not_acknowledged_is_delivered_again() {
    for way in Way::all() {
        let scene = scene();
        let mut lost = consumer(&scene, way, "client-individual").await;
        send(&scene, &["1", "2", "3"]).await;
        take(&mut lost).await;
        let (body, ack, redelivered) = take(&mut lost).await;
        assert_eq!((&*body, redelivered), ("2", false), "{way}");
        lost.send(&format!("ACK\nid:{ack}\nreceipt:r\n\n^")).await;
        assert_eq!(take(&mut lost).await.0, "3", "{way}");
        lost.receipt("r").await;
        sleep(Duration::from_millis(1)).await;
        lost.abort();
        send(&scene, &["4"]).await;
        scene.events.after_ends(1).await;
        let mut other = consumer(&scene, Way::SOCKET, "client").await;
        for expected in [("1", true), ("3", true)] {
            let (body, _, redelivered) = take(&mut other).await;
            assert_eq!((&*body, redelivered), expected, "{way}");
        }
        let (body, ack, _) = take(&mut other).await;
        assert_eq!(body, "4", "{way}");
        // All before are covered.
        other.ask(&format!("ACK\nid:{ack}"), "").await;
        other.send("DISCONNECT\n\n^").await;
        other.closed().await.is(1000);
        let mut last = consumer(&scene, Way::Stream, "auto").await;
        send(&scene, &["5"]).await;
        assert_eq!(take(&mut last).await, ("5".to_owned(), String::new(), false), "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_nack_gives_back_in_every_version() {
    for version in [Version::V1_1, Version::V1_2] {
        let scene = scene();
        let mut client = scene.connect_with(Way::SOCKET, &format!("accept-version:{version}\n")).await;
        client.ask("SUBSCRIBE\nid:q\ndestination:/queue/a\nack:client-individual", "").await;
        send(&scene, &["1"]).await;
        let settle = |command: &str, id: &str| match version {
            Version::V1_2 => format!("{command}\nid:{id}"),
            _ => format!("{command}\nmessage-id:{id}\nsubscription:q"),
        };
        let (_, first, _) = take(&mut client).await;
        client.send(&format!("{}\nreceipt:n\n\n^", settle("NACK", &first))).await;
        let mut again = None;
        // The receipt and the message come in any order.
        for _ in 0..2 {
            let frame = client.frame().await;
            if let Some(id) = frame.headers.get("ack") {
                assert_eq!(frame.headers.get("redelivered"), Some("true"));
                again = Some(id.to_owned());
            }
        }
        let again = again.expect("it was delivered again");
        client.ask(&settle("ACK", &again), "").await;
        // Once more does no harm, and what was never delivered does.
        client.ask(&settle("ACK", &first), "").await;
        client.send(&format!("{}\n\n^", settle("ACK", "0-9"))).await;
        assert!(client.refusal().await.starts_with("unknown message: "), "{version}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_acknowledgement_in_front_of_the_end_counts() {
    for way in Way::all() {
        let scene = scene();
        let mut client = consumer(&scene, way, "client-individual").await;
        send(&scene, &["1", "2"]).await;
        let (_, ack, _) = take(&mut client).await;
        client.send(&format!("ACK\nid:{ack}\n\n^")).await;
        client.send("\n").await;
        client.abort();
        scene.events.after_ends(1).await;
        let mut other = consumer(&scene, Way::SOCKET, "client").await;
        assert_eq!(take(&mut other).await.0, "2", "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn messages_wait_for_a_consumer_that_is_slow() {
    let scene = scene();
    let mut client = scene.connect(Way::SOCKET).await;
    client.ask("SUBSCRIBE\nid:q\ndestination:/queue/a\nack:auto", "").await;
    client.sockjs().stop_reading();
    for number in 0..500 {
        let body = format!("{number}:{}", "x".repeat(2000));
        scene.messenger().send("/queue/a", body).await.unwrap();
    }
    sleep(Duration::from_secs(5)).await;
    client.sockjs().resume_reading();
    for number in 0..500 {
        assert!(client.body().await.starts_with(&format!("{number}:")));
    }
}

#[tokio::test(start_paused = true)]
async fn unacknowledged_messages_are_bounded() {
    let options = StompOptions::new().max_unacknowledged(NonZero::new(2).unwrap());
    let broker = MemoryBroker::builder().queue_mode(QueueMode::Competing).build();
    let scene = Scene::new(Stomp::new().broker(broker).options(options));
    for (prefetch, most) in
        [("", 2), ("prefetch-count:1\n", 1), ("prefetch-count:0\n", 2), ("prefetch-count:9\n", 2)]
    {
        let mut client = scene.connect(Way::SOCKET).await;
        client.send(&format!("SUBSCRIBE\nid:q\ndestination:/queue/a\nack:client\n{prefetch}\n^")).await;
        send(&scene, &["1", "2", "3"]).await;
        let mut last = String::new();
        for _ in 0..most {
            last = take(&mut client).await.1;
        }
        client.ask("UNSUBSCRIBE\nid:none", "").await;
        client.send(&format!("ACK\nid:{last}\n\n^")).await;
        for _ in most..3 {
            last = take(&mut client).await.1;
            client.send(&format!("ACK\nid:{last}\n\n^")).await;
        }
        client.send("DISCONNECT\n\n^").await;
        client.closed().await.is(1000);
    }
}
