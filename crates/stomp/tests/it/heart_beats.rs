//! Heart-beats, both ways.

use std::time::Duration;

use axum_stomp::{Stomp, StompOptions};
use sockjs_client::Transport;
use tokio::time::{Instant, sleep, timeout};

use crate::support::{Scene, Way};

const BOTH: &str = "accept-version:1.2\nheart-beat:10000,10000\n";

#[tokio::test(start_paused = true)]
async fn the_server_beats_when_nothing_else_leaves() {
    let scene = Scene::new(Stomp::new());
    for way in Way::all() {
        let mut client = scene.connect_with(way, "accept-version:1.2\nheart-beat:0,10000\n").await;
        let start = Instant::now();
        for beat in 1..=3 {
            client.beat().await;
            assert_eq!(start.elapsed().as_secs(), 5 * beat, "{way}");
        }
        sleep(Duration::from_secs(4)).await;
        client.ask("UNSUBSCRIBE\nid:a", "").await;
        let start = Instant::now();
        client.beat().await;
        assert_eq!(start.elapsed().as_secs(), 5, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_of_sockjs_stop_when_those_of_stomp_run() {
    let scene = Scene::new(Stomp::new());
    for transport in Transport::ALL.iter().filter(|transport| transport.is_framed()) {
        // SockJS's own are due after 25 s.
        let mut client = scene.connect_with(Way::SockJs(*transport), "heart-beat:0,0\n").await;
        client.sockjs().heartbeat().await;
        let mut client = scene.connect_with(Way::SockJs(*transport), "heart-beat:0,600000\n").await;
        client.sockjs().expect_silence(Duration::from_secs(299)).await;
        client.beat().await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_silent_client_is_given_up_after_three_intervals() {
    let scene = Scene::new(Stomp::new());
    for (number, way) in Way::all().enumerate() {
        let mut client = scene.connect_with(way, "heart-beat:10000,0\n").await;
        // Beats and parts of frames count.
        for part in ["\n", "SEND\n", "\n"] {
            sleep(Duration::from_secs(29)).await;
            client.send(part).await;
        }
        let start = Instant::now();
        assert!(client.refusal().await.starts_with("no heart-beat: "), "{way}");
        assert_eq!(start.elapsed().as_secs(), 30, "{way}");
        let events = scene.events.after_ends(number + 1).await;
        assert_eq!(events.last().unwrap(), "disconnected: heart-beat-timeout", "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn without_heart_beats_a_client_may_be_silent() {
    let scene = Scene::new(Stomp::new());
    for headers in ["", "heart-beat:0,0\n", "heart-beat:0,1000\n", "heart-beat:99999999999999999999,0\n"] {
        let mut client = scene.connect_with(Way::Stream, headers).await;
        sleep(Duration::from_secs(10_000)).await;
        client.send("DISCONNECT\nreceipt:r\n\n^").await;
        client.receipt("r").await;
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_is_not_silent_while_its_frame_is_in_work() {
    let stomp = Stomp::new().message("/slow", async || sleep(Duration::from_secs(1000)).await);
    let scene = Scene::new(stomp);
    for way in Way::all() {
        let mut client = scene.connect_with(way, BOTH).await;
        client.send("SEND\ndestination:/app/slow\nreceipt:1\n\n^").await;
        let start = Instant::now();
        // The server beats meanwhile.
        let mut beats = 0;
        while start.elapsed() < Duration::from_secs(990) {
            client.beat().await;
            beats += 1;
        }
        assert!((190..=200).contains(&beats), "{way} {beats}");
        client.send("SEND\ndestination:/app/slow\nreceipt:2\n\n^").await;
        client.receipt("1").await;
        client.receipt("2").await;
        let start = Instant::now();
        assert!(client.refusal().await.starts_with("no heart-beat: "), "{way}");
        assert_eq!(start.elapsed().as_secs(), 30, "{way}");
    }
}

#[tokio::test(start_paused = true)]
async fn fixed_intervals_and_more_time_for_hidden_pages() {
    let options = StompOptions::new()
        .heart_beat(Duration::from_secs(20), Duration::from_secs(2))
        .min_read_timeout(Duration::from_secs(75));
    let scene = Scene::new(Stomp::new().options(options));
    let mut client = scene.open(Way::SOCKET).await;
    let connected = client.connect(BOTH).await;
    assert_eq!(connected.headers.get("heart-beat"), Some("20000,2000"));
    let start = Instant::now();
    client.beat().await;
    assert_eq!(start.elapsed().as_secs(), 10);
    assert!(client.refusal().await.starts_with("no heart-beat: "));
    assert_eq!(start.elapsed().as_secs(), 75);

    let endless = StompOptions::new().min_read_timeout(Duration::MAX);
    let scene = Scene::new(Stomp::new().options(endless));
    let mut client = scene.connect_with(Way::Stream, "heart-beat:1000,0\n").await;
    assert!(timeout(Duration::from_secs(3000), client.next()).await.is_err());
    client.ask("UNSUBSCRIBE\nid:a", "").await;
}
