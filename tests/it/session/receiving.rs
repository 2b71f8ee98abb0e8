//! Messages from the client.

use std::time::Duration;

use axum::http::{StatusCode, header};
use axum_sockjs::{Options, Session, Transport};
use futures_util::FutureExt as _;
use tokio::time::{Instant, sleep};

use crate::support::{
    apps::echo,
    in_process::{Endpoint, POLLS, Stage, TICK, done, header, next, polling, polling_with, transports},
    settle,
};

#[tokio::test(start_paused = true)]
async fn a_send_is_answered_once_the_application_has_had_its_turn() {
    for transport in POLLS {
        let name = if transport == Transport::JsonpPolling { "jsonp_send" } else { "xhr_send" };
        let client = Endpoint::new(echo, Options::new()).client("a");
        assert_eq!(client.frame(transport).await, "o");
        let start = Instant::now();
        assert!(client.call("POST", name, r#"["a","b"]"#).await.status().is_success());
        let answer = client.frame(transport).now_or_never();
        assert_eq!(answer.as_deref(), Some(r#"a["a","b"]"#), "{transport}: the echo is there already");
        assert_eq!(start.elapsed(), Duration::ZERO);
    }
}

#[tokio::test(start_paused = true)]
async fn a_busy_application_does_not_hold_up_its_clients() {
    // Here the session lives in another task than its handler.
    let (_stage, client, mut session) = polling().await;
    let start = Instant::now();
    assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(next(&mut session).await.unwrap(), "a");
    session.close(3000, "");
    assert_eq!(client.send(r#"["b"]"#).await, StatusCode::NO_CONTENT);

    let client = Endpoint::new(busy, Options::new()).client("a");
    assert_eq!(client.frame(Transport::XhrPolling).await, "o");
    assert_eq!(client.send(r#"["c"]"#).await, StatusCode::NO_CONTENT);
    assert_eq!(start.elapsed(), Duration::ZERO);
}

/// Hears nothing for as long as the test takes.
async fn busy(_session: Session) {
    std::future::pending::<()>().await;
}

#[tokio::test(start_paused = true)]
async fn a_batch_waits_for_room_and_is_taken_whole() {
    for name in ["xhr_send", "jsonp_send"] {
        let (_stage, client, mut session) = polling_with(Options::new().receive_queue_messages(2)).await;
        let send = |json: &'static str| {
            let client = client.clone();
            async move { client.call("POST", name, json).await.status().as_u16() }
        };
        let taken = if name == "xhr_send" { 204 } else { 200 };
        assert_eq!(send(r#"["a","b"]"#).await, taken);
        let waiting = tokio::spawn(send(r#"["c","d"]"#));
        settle().await;
        assert!(!waiting.is_finished(), "{name}: there is no room");
        assert_eq!(next(&mut session).await.unwrap(), "a");
        settle().await;
        assert!(!waiting.is_finished(), "{name}: there is room for one of two");
        assert_eq!(next(&mut session).await.unwrap(), "b");
        assert_eq!(session.try_recv(), None);
        assert_eq!(done(waiting).await, taken);
        assert_eq!(next(&mut session).await.unwrap(), "c");
        assert_eq!(next(&mut session).await.unwrap(), "d");
        assert_eq!(send(r#"["larger","than","the queue"]"#).await, taken, "{name}: an empty queue takes any");
    }
}

#[tokio::test(start_paused = true)]
async fn a_batch_that_finds_no_room_in_time_is_refused_whole() {
    let options = Options::new().receive_queue_messages(2).receive_timeout(Duration::from_secs(10));
    let (_stage, client, mut session) = polling_with(options).await;
    assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
    let start = Instant::now();
    // The session's own polls go on meanwhile, or it would time out.
    let receiving = tokio::spawn({
        let client = client.clone();
        async move { client.poll().await }
    });
    let response = client.call("POST", "xhr_send", r#"["b","c"]"#).await;
    assert_eq!(start.elapsed(), Duration::from_secs(10));
    assert_eq!(response.status(), StatusCode::SERVICE_UNAVAILABLE);
    assert_eq!(header(&response, header::RETRY_AFTER), "5");
    assert_eq!(next(&mut session).await.unwrap(), "a");
    assert_eq!(session.try_recv(), None);
    assert_eq!(client.send(r#"["d"]"#).await, StatusCode::NO_CONTENT, "the session goes on");
    assert_eq!(next(&mut session).await.unwrap(), "d");
    assert_eq!(done(receiving).await, "h");
}

#[tokio::test(start_paused = true)]
async fn a_sending_request_that_breaks_off_while_it_waits_leaves_nothing() {
    for (name, taken) in [("xhr_send", StatusCode::NO_CONTENT), ("jsonp_send", StatusCode::OK)] {
        let (_stage, client, mut session) = polling_with(Options::new().receive_queue_messages(1)).await;
        assert_eq!(client.call("POST", name, r#"["a"]"#).await.status(), taken);
        assert!(client.call("POST", name, r#"["b"]"#).now_or_never().is_none());
        assert_eq!(next(&mut session).await.unwrap(), "a");
        settle().await;
        assert_eq!(session.try_recv(), None, "{name}");
        assert_eq!(session.close_reason(), None, "{name} is not the receiver");
        // The place that it waited for is free.
        assert_eq!(client.call("POST", name, r#"["c"]"#).await.status(), taken);
        assert_eq!(next(&mut session).await.unwrap(), "c");
    }
}

#[tokio::test(start_paused = true)]
async fn a_waiting_batch_learns_of_the_end() {
    for (ours, status) in [(true, StatusCode::NO_CONTENT), (false, StatusCode::NOT_FOUND)] {
        let (_stage, client, mut session) = polling_with(Options::new().receive_queue_messages(1)).await;
        assert_eq!(client.send(r#"["a"]"#).await, StatusCode::NO_CONTENT);
        let waiting = tokio::spawn({
            let client = client.clone();
            async move { client.send(r#"["b"]"#).await }
        });
        settle().await;
        if ours {
            session.close(3000, "");
        } else {
            assert!(client.poll().now_or_never().is_none());
        }
        let start = Instant::now();
        assert_eq!(done(waiting).await, status);
        assert_eq!(start.elapsed(), Duration::ZERO);
        assert_eq!(next(&mut session).await.unwrap(), "a", "what was taken before can be read");
        assert_eq!(next(&mut session).await, None);
    }
}

#[tokio::test(start_paused = true)]
async fn try_recv_takes_what_is_there() {
    for transport in transports() {
        let (mut client, mut session) = Stage::new(Options::new()).open(transport).await;
        assert_eq!(session.try_recv(), None);
        for text in ["a", "b"] {
            client.send(text).await;
        }
        settle().await;
        assert_eq!(session.try_recv().unwrap(), "a", "{transport}");
        session.close(3000, "");
        assert_eq!(session.try_recv().unwrap(), "b", "{transport}");
        assert_eq!((session.try_recv(), next(&mut session).await), (None, None));
    }
}

#[tokio::test(start_paused = true)]
async fn recv_in_select_loses_nothing() {
    for transport in transports() {
        let (mut client, mut session) = Stage::new(Options::new()).open(transport).await;
        let sending = tokio::spawn(async move {
            for n in 0..200 {
                sleep(TICK * (n % 4)).await;
                client.send(n.to_string()).await;
            }
            client
        });
        let mut received = Vec::new();
        let mut cancelled = 0;
        while received.len() < 200 {
            tokio::select! {
                message = session.recv() => received.push(message.unwrap().as_str().unwrap().to_owned()),
                () = sleep(TICK) => cancelled += 1,
            }
        }
        assert!(cancelled > 0);
        assert!(received.into_iter().eq((0..200).map(|n| n.to_string())), "{transport}");
        drop(done(sending).await);
    }
}
