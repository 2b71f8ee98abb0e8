//! Back-pressure in both directions, and its bounds.

use tokio::io::AsyncReadExt as _;

use super::*;
use crate::pump::ended::By;

const TEXT: usize = 1_000;

fn text() -> String {
    "x".repeat(TEXT)
}

#[tokio::test(start_paused = true)]
async fn a_slow_client_makes_the_backend_wait() {
    let options = Options::new().send_queue_bytes(10 * TEXT);
    let mut scene = Plan { options, pipe: 8 * TEXT, ..Plan::default() }.start().await;
    let mut sent = 0;
    while tokio::time::timeout(SECOND, scene.backend.send(WsMessage::text(text()))).await.is_ok() {
        sent += 1;
        assert!(sent < 100);
    }
    // The queue, the pipe, and what the library reads at once.
    assert!((15..30).contains(&sent), "{sent}");
    // It has been silent since, but not by its own will.
    tokio::time::sleep(200 * SECOND).await;
    assert!(!scene.pump.is_finished());
    for _ in 0..sent {
        assert_eq!(scene.client.recv().await.unwrap().len(), TEXT);
    }
    // The one that was given up is with the library.
    scene.backend.flush().await.unwrap();
    assert_eq!(scene.client.recv().await.unwrap().len(), TEXT);
}

#[tokio::test(start_paused = true)]
async fn a_slow_backend_makes_the_client_wait() {
    let options = Options::new().receive_queue_messages(10);
    let settings = Settings { ping_interval: None, ..SETTINGS };
    let mut scene = Plan { options, settings, pipe: 8 * TEXT, ..Plan::default() }.start().await;
    let mut sent = 0;
    while tokio::time::timeout(SECOND, scene.client.send(text())).await.is_ok() {
        sent += 1;
        assert!(sent < 200);
    }
    // The queue, the pipe, and what the library writes at once.
    assert!((20..50).contains(&sent), "{sent}");
    for _ in 0..sent {
        assert_eq!(scene.receive().await.len(), TEXT);
    }
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_takes_nothing_is_lost_in_time() {
    let start = tokio::time::Instant::now();
    let (mut client, far, pump) = Plan { pipe: 100, ..Plan::default() }.raw().await;
    for _ in 0..100 {
        client.send(text()).await.unwrap();
    }
    assert_eq!(client.recv().await, None);
    assert_eq!(client.close_frame().unwrap().reason(), "No answer to a ping");
    assert_eq!(start.elapsed(), 35 * SECOND);
    assert_eq!(pump.await.unwrap().by, By::Gateway);
    drop(far);
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_a_stalled_backend_is_not_waited_for_long() {
    let start = tokio::time::Instant::now();
    let (client, mut far, pump) = Plan { pipe: 100, ..Plan::default() }.raw().await;
    for _ in 0..100 {
        client.send(text()).await.unwrap();
    }
    tokio::time::sleep(SECOND).await;
    client.close(1000, "");
    let ended = pump.await.unwrap();
    assert_eq!((ended.by, start.elapsed()), (By::Client, 6 * SECOND));
    assert!(ended.to_backend.messages < 50);
    let mut rest = Vec::new();
    far.read_to_end(&mut rest).await.unwrap();
    assert_eq!(rest.len(), 100);
}

#[tokio::test(start_paused = true)]
async fn a_backend_that_does_not_read_cannot_ping_without_end() {
    use tokio::io::AsyncWriteExt as _;
    let settings = Settings { ping_interval: None, ..SETTINGS };
    let (_client, mut far, _pump) = Plan { settings, pipe: 1_000, ..Plan::default() }.raw().await;
    let mut ping = vec![0x89, 125];
    ping.extend([b'x'; 125]);
    let mut sent = 0;
    while tokio::time::timeout(SECOND, far.write_all(&ping)).await.is_ok() {
        sent += 1;
        assert!(sent < 200, "all of them are read");
    }
}

#[tokio::test(start_paused = true)]
async fn pings_are_answered_while_nothing_else_flows() {
    let mut scene = Plan::default().start().await;
    for _ in 0..100 {
        scene.backend.send(WsMessage::Ping("abc".into())).await.unwrap();
        assert_eq!(scene.backend.next().await.unwrap().unwrap(), WsMessage::Pong("abc".into()));
    }
}
