//! Receiving requests: one at a time, cut off, and up to a limit.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    body::Body,
    http::{Request, StatusCode},
};
use axum_sockjs::{CloseFrame, CloseReason, Options, Session, SockJs};
use futures_util::FutureExt as _;
use tokio::time::{Instant, timeout};
use tower::ServiceExt as _;

use crate::support::{
    apps::echo,
    in_process::{
        ANOTHER, DELAY, Endpoint, INTERRUPTED, POLLS, STREAMS, Stage, done, http_transports, next, pass,
        polling, waiting, wrapped,
    },
    settle, soon,
};

#[tokio::test(start_paused = true)]
async fn a_receiver_that_is_cut_off_ends_the_session() {
    for transport in http_transports() {
        let mut stage = Stage::new(Options::new());
        let (mut down, mut session) = stage.open_by_hand(transport).await;
        assert_eq!(down.client.send(r#"["read before"]"#).await, StatusCode::NO_CONTENT);
        let client = down.client.clone();
        assert!(down.frame().now_or_never().is_none(), "{transport}");
        drop(down);
        assert_eq!(next(&mut session).await.unwrap(), "read before");
        assert_eq!(next(&mut session).await, None);
        assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost), "{transport}");
        assert!(stage.endpoint.handle.is_empty());
        assert_eq!(client.send(r#"["late"]"#).await, StatusCode::NOT_FOUND);
        for transport in http_transports() {
            assert_eq!(client.frame(transport).await, INTERRUPTED);
        }
        pass(DELAY).await;
        assert_eq!(client.frame(transport).await, "o", "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_client_that_leaves_before_o_leaves_no_session() {
    for transport in STREAMS {
        let stage = Stage::new(Options::new());
        let mut sessions = stage.sessions;
        let client = stage.endpoint.client("a");
        drop(client.receive(transport).await);
        settle().await;
        assert!(stage.endpoint.handle.is_empty());
        assert!(sessions.try_recv().is_err(), "{transport}: the handler never begins");
        let mut second = client.receive(transport).await;
        assert_eq!(second.frame().await.as_deref(), Some("o"));
        assert!(soon("the second one", sessions.recv()).await.is_some());
    }
}

#[tokio::test(start_paused = true)]
async fn an_answer_that_was_complete_may_be_dropped() {
    for transport in POLLS {
        let (down, session) = Stage::new(Options::new()).open_by_hand(transport).await;
        session.try_send("a").unwrap();
        drop(down.client.receive(transport).await);
        settle().await;
        assert_eq!(session.close_reason(), None, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_is_closed_before_o_never_reaches_the_handler() {
    for transport in STREAMS {
        let mut stage = Stage::new(Options::new());
        let client = stage.endpoint.client("a");
        let mut receiving = client.receive(transport).await;
        assert_eq!(stage.endpoint.handle.close_all(4001, "restarting"), 1);
        assert_eq!(receiving.frame().await.as_deref(), Some("o"));
        assert_eq!(receiving.frame().await.as_deref(), Some(r#"c[4001,"restarting"]"#));
        pass(DELAY).await;
        assert!(stage.sessions.try_recv().is_err(), "{transport}: it has nothing to learn");
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_that_ends_right_after_o_is_heard_of() {
    for transport in http_transports() {
        let mut stage = Stage::new(Options::new());
        let client = stage.endpoint.client("a");
        let mut receiving = client.receive(transport).await;
        assert_eq!(receiving.frame().now_or_never().flatten().as_deref(), Some("o"));
        // The handler has had no time to begin, and this takes none. An open stream waits for what it will say.
        let answered = client.send(r#"["heard"]"#).now_or_never();
        assert_eq!(answered.is_some(), STREAMS.contains(&transport), "{transport}");
        assert_eq!(stage.endpoint.handle.close_all(4001, "restarting"), 1);
        let mut session = stage.session().await;
        assert_eq!(next(&mut session).await.unwrap(), "heard", "{transport}");
        assert_eq!(next(&mut session).await, None);
        assert_eq!(session.closed().await, CloseReason::Server(CloseFrame::new(4001, "restarting")));
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_receiver_gets_2010_while_the_first_one_waits() {
    for first in http_transports() {
        for second in http_transports() {
            let (down, session) = Stage::new(Options::new()).open_by_hand(first).await;
            let client = down.client.clone();
            let waiting = waiting(down).await;
            let start = Instant::now();
            let mut refused = client.receive(second).await;
            assert_eq!(refused.frame().await.as_deref(), Some(ANOTHER), "{second} beside {first}");
            assert_eq!(refused.frame().await, None);
            assert!(start.elapsed() <= Duration::from_millis(100), "{:?}", start.elapsed());
            drop(refused);
            session.try_send("for the first").unwrap();
            let (frame, _down) = done(waiting).await;
            assert_eq!(frame, r#"a["for the first"]"#, "{first} beside {second}");
            assert_eq!(session.close_reason(), None);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_second_receiver_may_come_a_moment_too_early() {
    // A client whose connection broke comes back before the server has seen the break.
    let (_stage, client, session) = polling().await;
    let first = tokio::spawn({
        let client = client.clone();
        async move { timeout(Duration::from_millis(10), client.poll()).await }
    });
    settle().await;
    let start = Instant::now();
    assert_eq!(client.poll().await, INTERRUPTED);
    assert_eq!(start.elapsed(), Duration::from_millis(10), "it comes in as soon as there is room");
    assert!(done(first).await.is_err());
    assert_eq!(session.close_reason(), Some(CloseReason::ConnectionLost));
}

#[tokio::test(start_paused = true)]
async fn a_receiver_is_let_go_before_its_last_byte_leaves() {
    let start = Instant::now();
    for transport in POLLS {
        let (down, session) = Stage::new(Options::new()).open_by_hand(transport).await;
        session.try_send("a").unwrap();
        let unread = down.client.receive(transport).await;
        session.try_send("b").unwrap();
        assert_eq!(down.client.frame(transport).await, r#"a["b"]"#, "{transport}");
        drop(unread);
    }
    for transport in STREAMS {
        // The last chunk is out, its body is neither at its end nor dropped.
        let mut stage = Stage::new(Options::new().response_limit(1));
        let (mut unfinished, session) = stage.open_by_hand(transport).await;
        session.try_send("a").unwrap();
        assert_eq!(unfinished.client.frame(transport).await, r#"a["a"]"#, "{transport}");
        drop(unfinished.current.take());
        // So too with a close frame.
        let (mut unfinished, session) = Stage::new(Options::new()).open_by_hand(transport).await;
        session.close(3000, "");
        assert_eq!(unfinished.frame().await, r#"c[3000,""]"#);
        assert_eq!(unfinished.client.frame(transport).await, r#"c[3000,""]"#, "{transport}");
    }
    assert_eq!(start.elapsed(), Duration::ZERO, "nobody had to wait for a place");
}

#[tokio::test(start_paused = true)]
async fn o_leaves_before_the_handler_begins() {
    for transport in http_transports() {
        let begun = Arc::new(AtomicBool::new(false));
        let handler = {
            let begun = Arc::clone(&begun);
            move |session: Session| async move {
                begun.store(true, Ordering::SeqCst);
                session.closed().await;
            }
        };
        let client = Endpoint::new(handler, Options::new()).client("a");
        let mut receiving = if STREAMS.contains(&transport) {
            let receiving = client.receive(transport).await;
            settle().await;
            receiving
        } else {
            // A poll's answer comes at once, whatever the handler would do.
            client.receive(transport).now_or_never().expect("`o` needs no waiting")
        };
        assert_eq!(receiving.frame().now_or_never().flatten().as_deref(), Some("o"));
        assert!(!begun.load(Ordering::SeqCst), "{transport}");
        settle().await;
        assert!(begun.load(Ordering::SeqCst), "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_stream_ends_exactly_at_its_limit() {
    let frames = ["o", r#"a["x"]"#, r#"a["y"]"#];
    for transport in STREAMS {
        let [o, x, _] = frames.map(|frame| wrapped(transport, frame).len());
        // A frame that begins within the limit leaves whole: what counts is what went before it.
        for (limit, count) in [(0, 1), (o, 1), (o + 1, 2), (o + x - 1, 2), (o + x, 2), (o + x + 1, 3)] {
            let mut stage = Stage::new(Options::new().response_limit(limit));
            let client = stage.endpoint.client("a");
            let mut receiving = client.receive(transport).await;
            let mut received = vec![receiving.frame().await.expect("`o`")];
            let session = stage.session().await;
            for text in ["x", "y"] {
                session.try_send(text).unwrap();
                received.extend(receiving.frame().now_or_never().flatten());
            }
            assert_eq!(received, frames[..count], "{transport}, {limit}");
            assert_eq!(receiving.frame().now_or_never(), Some(None), "{transport}, {limit}: its end");
            if let Some(rest) = frames.get(count) {
                let next = client.frame(transport).await;
                assert!(next.starts_with(&rest[..5]), "{transport}, {limit}: {next} instead of {rest}");
            }
        }
    }
}

/// Its headers share the buffer that the connection is read into.
#[tokio::test(start_paused = true)]
async fn a_waiting_poll_holds_nothing_of_its_request() {
    let sockjs = SockJs::new(echo);
    let poll = || Request::post("/000/a/xhr").body(Body::empty()).unwrap();
    assert_eq!(sockjs.clone().oneshot(poll()).await.unwrap().status(), StatusCode::OK);
    let part = Arc::new(());
    let mut request = poll();
    request.extensions_mut().insert(part.clone());
    let mut waiting = std::pin::pin!(sockjs.oneshot(request));
    assert!((&mut waiting).now_or_never().is_none(), "nothing has been sent");
    assert_eq!(Arc::strong_count(&part), 1);
}
