//! Heartbeats and the disconnect delay.

use std::time::Duration;

use axum::http::StatusCode;
use axum_sockjs::{CloseReason, Options, Transport};
use tokio::time::Instant;

use crate::support::{
    in_process::{DELAY, HEARTBEAT, POLLS, STREAMS, Stage, next, pass, polling_with, transports},
    soon,
};

/// Those over which a heartbeat can be seen.
fn framed() -> impl Iterator<Item = Transport> {
    transports().filter(|transport| transport.is_framed())
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_comes_after_exactly_25_seconds() {
    for transport in framed() {
        let (mut client, _session) = Stage::new(Options::new()).open(transport).await;
        for _ in 0..3 {
            let start = Instant::now();
            client.heartbeat().await;
            assert_eq!(start.elapsed(), HEARTBEAT, "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_heartbeat_of_zero_is_none() {
    for transport in framed() {
        let (mut client, session) = Stage::new(Options::new().heartbeat(None)).open(transport).await;
        client.expect_silence(Duration::from_secs(3600)).await;
        client.abort();
        assert_eq!(soon("its end", session.closed()).await, CloseReason::ConnectionLost);
    }
}

#[tokio::test(start_paused = true)]
async fn heartbeats_may_change_and_stop_while_a_session_is_open() {
    let quick = Duration::from_secs(3);
    for transport in framed() {
        let (mut client, session) = Stage::new(Options::new()).open(transport).await;
        session.set_heartbeat(quick);
        for _ in 0..3 {
            let start = Instant::now();
            client.heartbeat().await;
            assert_eq!(start.elapsed(), quick, "{transport}");
        }
        pass(quick / 2).await;
        session.sender().set_heartbeat(None);
        client.expect_silence(Duration::from_secs(3600)).await;
        let start = Instant::now();
        session.set_heartbeat(HEARTBEAT);
        client.heartbeat().await;
        assert_eq!(start.elapsed(), Duration::ZERO, "an hour without a frame is long enough: {transport}");
    }
}

#[tokio::test(start_paused = true)]
#[should_panic(expected = "the interval of heartbeats cannot be zero; None stops them")]
async fn a_heartbeat_of_a_session_has_an_interval() {
    let (_stage, _client, session) = polling_with(Options::new()).await;
    session.set_heartbeat(Duration::ZERO);
}

#[tokio::test(start_paused = true)]
async fn the_longest_times_are_for_ever() {
    let options = Options::new()
        .heartbeat(Duration::MAX)
        .disconnect_delay(Duration::MAX)
        .receive_timeout(Duration::MAX)
        .open_timeout(Duration::MAX);
    let (_stage, client, mut session) = polling_with(options).await;
    pass(Duration::from_secs(3600)).await;
    assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(next(&mut session).await.unwrap(), "a");
    session.close(3000, "Go away!");
    pass(Duration::from_secs(3600)).await;
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_session_without_a_receiver_times_out_after_exactly_5_seconds() {
    for transport in POLLS {
        let mut stage = Stage::new(Options::new());
        let (down, mut session) = stage.open_by_hand(transport).await;
        let start = Instant::now();
        assert_eq!(soon("the end", session.closed()).await, CloseReason::TimedOut);
        assert_eq!(start.elapsed(), DELAY);
        assert_eq!(next(&mut session).await, None);
        assert!(stage.endpoint.handle.is_empty());
        assert_eq!(down.client.send(r#"["late"]"#).await, StatusCode::NOT_FOUND);
        assert_eq!(down.client.frame(transport).await, "o", "the id is free again");
        assert_ne!(stage.session().await.id(), session.id());
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_that_ended_at_its_limit_has_the_delay_to_come_back() {
    for transport in STREAMS {
        let mut stage = Stage::new(Options::new().response_limit(1));
        let (_down, session) = stage.open_by_hand(transport).await;
        let start = Instant::now();
        assert_eq!(soon("the end", session.closed()).await, CloseReason::TimedOut);
        assert_eq!(start.elapsed(), DELAY, "{transport}");
    }
}
