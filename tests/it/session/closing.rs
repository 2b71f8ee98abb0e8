//! The end of a session, and the ways for a handler to bring it about.

use std::time::Duration;

use axum::http::StatusCode;
use axum_sockjs::{CloseFrame, CloseReason, Options, SendError, Session, Transport};
use futures_util::{FutureExt as _, SinkExt};
use tokio::{sync::mpsc, task::yield_now, time::Instant};

use crate::support::{
    in_process::{
        DELAY, Down, Endpoint, STREAMS, Stage, TICK, forgotten, http_transports, next, pass, polling, server,
    },
    soon,
};

#[tokio::test(start_paused = true)]
async fn a_close_frame_ends_a_stream() {
    for transport in STREAMS {
        let (mut down, session) = Stage::new(Options::new()).open(transport).await;
        session.close(3000, "");
        let mut current = down.current.take().expect("a stream is open");
        assert_eq!(current.frame().await.as_deref(), Some(r#"c[3000,""]"#));
        assert_eq!(current.frame().await, None, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn every_poll_gets_the_same_close_frame_until_the_delay_ends() {
    let (stage, client, session) = polling().await;
    session.close(3000, "Go away!");
    session.close(3001, "twice");
    assert!(stage.endpoint.handle.is_empty(), "it has ended");
    for transport in http_transports() {
        assert_eq!(client.frame(transport).await, r#"c[3000,"Go away!"]"#, "{transport}");
    }
    pass(DELAY - TICK).await;
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#);
    assert_eq!(client.send(r#"["swallowed"]"#).await, StatusCode::NO_CONTENT);
    pass(TICK).await;
    assert_eq!(client.send(r#"["late"]"#).await, StatusCode::NOT_FOUND);
    assert_eq!(client.poll().await, "o");
}

#[tokio::test(start_paused = true)]
async fn close_all_tells_each_client_and_each_handler() {
    let mut stage = Stage::new(Options::new());
    let mut sessions = Vec::new();
    for transport in http_transports() {
        sessions.push(stage.open(transport).await);
    }
    let (_, closed) = &sessions[0];
    closed.close(3000, "before");
    let handle = stage.endpoint.handle.clone();
    assert_eq!(handle.len(), 4);
    sessions[3].1.try_send("before").unwrap();
    assert_eq!(handle.close_all(4001, "restarting"), 4);
    assert_eq!((handle.len(), handle.close_all(4002, "again")), (0, 0));

    let start = Instant::now();
    assert_eq!(sessions[0].0.frame().await, r#"c[3000,"before"]"#);
    assert_eq!(sessions[3].0.frame().await, r#"a["before"]"#);
    for (down, session) in &mut sessions[1..] {
        assert_eq!(down.frame().await, r#"c[4001,"restarting"]"#, "{}", down.transport);
        assert_eq!(next(session).await, None);
        let closed = CloseReason::Server(CloseFrame::new(4001, "restarting"));
        assert_eq!(session.close_reason(), Some(closed));
    }
    pass(DELAY - TICK).await;
    for (down, _) in &mut sessions[1..] {
        assert_eq!(down.frame().await, r#"c[4001,"restarting"]"#, "{}", down.transport);
    }
    soon("the end of all", forgotten(handle)).await;
    assert!((DELAY..=DELAY + 2 * TICK).contains(&start.elapsed()));
    let (mut down, _session) = stage.open(Transport::XhrPolling).await;
    assert_eq!(down.frame().await, "h", "new sessions open as ever");
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_end_once() {
    let cases: [(&str, CloseReason); 5] = [
        ("abandoned", CloseReason::TimedOut),
        ("interrupted", CloseReason::ConnectionLost),
        ("closed from outside", server(4000, "outside")),
        ("closed by itself", server(4001, "itself")),
        ("closed with all", CloseReason::Server(CloseFrame::new(4002, "down"))),
    ];
    for (what, reason) in cases {
        let (ends_sender, mut ends) = mpsc::unbounded_channel();
        let (sender_sender, mut senders) = mpsc::unbounded_channel();
        let handler = move |mut session: Session| async move {
            sender_sender.send(session.sender()).ok();
            while let Some(message) = session.recv().await {
                assert_eq!(message, "close");
                session.close(4001, "itself");
            }
            ends_sender.send(session.closed().await).ok();
        };
        let endpoint = Endpoint::new(handler, Options::new());
        let client = endpoint.client("a");
        assert_eq!(client.poll().await, "o");
        let sender = soon("a sender", senders.recv()).await.unwrap();
        match what {
            "interrupted" => assert!(client.poll().now_or_never().is_none()),
            "closed from outside" => sender.close(4000, "outside"),
            "closed by itself" => assert_eq!(client.send(r#"["close"]"#).await, StatusCode::NO_CONTENT),
            "closed with all" => assert_eq!(endpoint.handle.close_all(4002, "down"), 1),
            _ => {}
        }
        assert_eq!(soon("the end", ends.recv()).await, Some(reason.clone()), "{what}");
        // What comes afterwards changes nothing.
        sender.close(4003, "too late");
        pass(Duration::from_secs(60)).await;
        assert!(ends.try_recv().is_err(), "{what}");
        assert_eq!(sender.close_reason(), Some(reason));
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_hangs_up() {
    for transport in http_transports() {
        let handler = |session: Session| async move { session.try_send("bye").unwrap() };
        let client = Endpoint::new(handler, Options::new()).client("a");
        let mut down = Down { client, transport, current: None };
        for frame in ["o", r#"a["bye"]"#, r#"c[1000,"Normal closure"]"#] {
            assert_eq!(down.frame().await, frame, "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_session_elsewhere_hangs_up_too() {
    let (_stage, client, session) = polling().await;
    let sender = session.sender();
    drop(tokio::spawn(async move { drop(session) }));
    assert_eq!(client.poll().await, r#"c[1000,"Normal closure"]"#);
    assert_eq!(sender.close_reason(), Some(server(1000, "Normal closure")));
}

#[tokio::test(start_paused = true)]
async fn dropping_senders_closes_nothing() {
    let (_stage, client, session) = polling().await;
    for sender in [session.sender(), session.sender()] {
        drop(sender.clone());
    }
    assert_eq!(client.poll().await, "h");
}

#[tokio::test(start_paused = true)]
async fn a_panic_anywhere_in_a_handler_is_1011() {
    // Before there is a future at all.
    async fn nothing() {}
    let at_once = |session: Session| {
        drop(session.sender());
        if session.close_reason().is_none() {
            panic!("at once");
        }
        nothing()
    };
    // When the session has been given away, and outlives its handler.
    let (sender, mut kept) = mpsc::unbounded_channel();
    let with_the_session_elsewhere = move |session: Session| async move {
        sender.send(session).ok();
        yield_now().await;
        std::panic::panic_any(1_u8);
    };
    for client in [
        Endpoint::new(at_once, Options::new()).client("a"),
        Endpoint::new(with_the_session_elsewhere, Options::new()).client("a"),
    ] {
        assert_eq!(client.poll().await, "o");
        assert_eq!(client.poll().await, r#"c[1011,"Internal error"]"#);
    }
    let session = soon("the session", kept.recv()).await.unwrap();
    assert_eq!(session.close_reason(), Some(server(1011, "Internal error")));
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_a_close() {
    let (_stage, client, mut session) = polling().await;
    let sender = session.sender();
    session.close(3000, "Go away!");
    assert_eq!(session.send("a").await, Err(SendError::Closed("a".into())));
    assert_eq!(session.try_send("b"), Err(SendError::Closed("b".into())));
    assert_eq!(sender.send("c").await.unwrap_err().into_message(), "c");
    assert_eq!(SinkExt::send(&mut session, "d".into()).await, Err(SendError::Closed("d".into())));
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#);
    drop(session);
    assert_eq!(client.poll().await, r#"c[3000,"Go away!"]"#, "hanging up afterwards is no second close");
}
