//! The end of a session, and the ways for a handler to bring it about.

use axum::http::StatusCode;
use axum_sockjs::{CloseReason, Options, SendError, Session, Transport};
use futures_util::SinkExt;
use tokio::{sync::mpsc, task::yield_now, time::Instant};

use crate::support::{
    in_process::{
        DELAY, Endpoint, STREAMS, Stage, TICK, forgotten, http_transports, next, pass, polling, server,
        transports,
    },
    settle, soon,
};

#[tokio::test(start_paused = true)]
async fn a_close_frame_ends_a_stream() {
    for transport in STREAMS {
        let (mut down, session) = Stage::new(Options::new()).open_by_hand(transport).await;
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
    for transport in transports() {
        sessions.push(stage.open(transport).await);
    }
    let (mut closed_before, session) = stage.open(Transport::XhrPolling).await;
    session.close(3000, "before");
    let handle = stage.endpoint.handle.clone();
    let count = sessions.len();
    assert_eq!(handle.len(), count);
    sessions[count - 1].1.try_send("before").unwrap();
    assert_eq!(handle.close_all(4001, "restarting"), count);
    assert_eq!((handle.len(), handle.close_all(4002, "again")), (0, 0));

    let start = Instant::now();
    assert_eq!(closed_before.closed().await.to_string(), r#"3000 "before""#);
    for (client, session) in &mut sessions {
        assert_eq!(client.closed().await.to_string(), r#"4001 "restarting""#, "{}", client.transport());
        assert_eq!(next(session).await, None);
        assert_eq!(session.close_reason(), Some(server(4001, "restarting")));
    }
    assert_eq!(sessions[count - 1].0.recv().await, "before");
    pass(DELAY - TICK).await;
    assert!(handle.stats().total().closed > 0, "they are remembered");
    soon("the end of all", forgotten(handle)).await;
    assert!((DELAY..=DELAY + 2 * TICK).contains(&start.elapsed()));
    let (mut client, _session) = stage.open(Transport::XhrPolling).await;
    client.heartbeat().await;
}

#[tokio::test(start_paused = true)]
async fn a_handler_sees_the_end_once() {
    let cases: [(&str, CloseReason); 5] = [
        ("abandoned", CloseReason::TimedOut),
        ("interrupted", CloseReason::ConnectionLost),
        ("closed from outside", server(4000, "outside")),
        ("closed by itself", server(4001, "itself")),
        ("closed with all", server(4002, "down")),
    ];
    for transport in transports() {
        for (what, reason) in &cases {
            // A stream and a socket that are open have nobody to wait for.
            if *what == "abandoned" && !transport.is_polling() {
                continue;
            }
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
            let mut client = Some(endpoint.open(transport).await);
            let sender = soon("a sender", senders.recv()).await.unwrap();
            // A client that polls has its poll under way.
            settle().await;
            match *what {
                // It does not see the answer to its poll, and so makes no other.
                "abandoned" => client.as_ref().unwrap().stop_reading(),
                "interrupted" => client.take().unwrap().abort(),
                "closed from outside" => sender.close(4000, "outside"),
                "closed by itself" => client.as_mut().unwrap().send("close").await,
                "closed with all" => assert_eq!(endpoint.handle.close_all(4002, "down"), 1),
                _ => unreachable!(),
            }
            assert_eq!(soon("the end", ends.recv()).await, Some(reason.clone()), "{transport}: {what}");
            // What comes afterwards changes nothing.
            sender.close(4003, "too late");
            pass(12 * DELAY).await;
            assert!(ends.try_recv().is_err(), "{transport}: {what}");
            assert_eq!(sender.close_reason().as_ref(), Some(reason));
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_handler_that_returns_hangs_up() {
    for transport in transports() {
        let handler = |session: Session| async move { session.try_send("bye").unwrap() };
        let mut client = Endpoint::new(handler, Options::new()).open(transport).await;
        assert_eq!(client.recv().await, "bye", "{transport}");
        assert_eq!(client.closed().await.to_string(), r#"1000 "Normal closure""#, "{transport}");
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_a_session_elsewhere_hangs_up_too() {
    for transport in transports() {
        let (mut client, session) = Stage::new(Options::new()).open(transport).await;
        let sender = session.sender();
        drop(tokio::spawn(async move { drop(session) }));
        assert_eq!(client.closed().await.to_string(), r#"1000 "Normal closure""#, "{transport}");
        assert_eq!(sender.close_reason(), Some(server(1000, "Normal closure")));
    }
}

#[tokio::test(start_paused = true)]
async fn dropping_senders_closes_nothing() {
    for transport in transports() {
        let (mut client, session) = Stage::new(Options::new()).open(transport).await;
        for sender in [session.sender(), session.sender()] {
            drop(sender.clone());
        }
        client.expect_nothing(12 * DELAY).await;
    }
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
    let endpoints =
        [Endpoint::new(at_once, Options::new()), Endpoint::new(with_the_session_elsewhere, Options::new())];
    for transport in transports() {
        for endpoint in &endpoints {
            let mut client = endpoint.open(transport).await;
            assert_eq!(client.closed().await.to_string(), r#"1011 "Internal error""#, "{transport}");
        }
        let session = soon("the session", kept.recv()).await.unwrap();
        assert_eq!(session.close_reason(), Some(server(1011, "Internal error")));
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_sent_after_a_close() {
    for transport in transports() {
        let (mut client, mut session) = Stage::new(Options::new()).open(transport).await;
        let sender = session.sender();
        session.close(3000, "Go away!");
        assert_eq!(session.send("a").await, Err(SendError::Closed("a".into())));
        assert_eq!(session.try_send("b"), Err(SendError::Closed("b".into())));
        assert_eq!(sender.send("c").await.unwrap_err().into_message(), "c");
        assert_eq!(SinkExt::send(&mut session, "d".into()).await, Err(SendError::Closed("d".into())));
        // Hanging up afterwards is no second close.
        drop(session);
        assert_eq!(client.closed().await.to_string(), r#"3000 "Go away!""#, "{transport}");
        assert_eq!(sender.close_reason(), Some(server(3000, "Go away!")));
    }
}
