//! Messages to the client.

use std::sync::Arc;

use axum_sockjs::{CloseReason, Message, Options, Overflow, SendError, Session};
use futures_util::{FutureExt as _, SinkExt, StreamExt as _};
use tokio::time::sleep;

use crate::support::{
    in_process::{DELAY, Endpoint, Stage, TICK, done, pass, polling, polling_with, transports},
    settle,
};

#[tokio::test(start_paused = true)]
async fn many_senders_each_keep_their_order() {
    for transport in transports() {
        let (mut client, session) = Stage::new(Options::new().send_queue_bytes(200)).open(transport).await;
        for name in ["a", "b", "c"] {
            let sender = session.sender();
            tokio::spawn(async move {
                for n in 0..50 {
                    sender.send(format!("{name}{n}")).await.unwrap();
                }
            });
        }
        let mut received = Vec::new();
        while received.len() < 150 {
            received.push(client.recv().await.as_str().unwrap().to_owned());
        }
        for name in ["a", "b", "c"] {
            let own = received.iter().filter(|text| text.starts_with(name));
            let sent: Vec<_> = (0..50).map(|n| format!("{name}{n}")).collect();
            assert!(own.eq(&sent), "{transport}: {name}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn binary_data_is_refused_and_given_back() {
    for transport in transports().filter(|transport| transport.is_framed()) {
        let (mut client, mut session) = Stage::new(Options::new()).open(transport).await;
        let binary = || Message::binary(vec![0, 255]);
        assert_eq!(session.send(binary()).await, Err(SendError::BinaryUnsupported(binary())));
        assert_eq!(session.try_send(binary()).unwrap_err().into_message().as_bytes(), [0, 255]);
        let refused = SinkExt::send(&mut session, binary()).await;
        assert_eq!(refused, Err(SendError::BinaryUnsupported(binary())));
        session.try_send("text").unwrap();
        assert_eq!(client.recv().await, "text", "{transport}");
    }
}

/// The policy of a call counts, whatever the endpoint's is.
#[tokio::test(start_paused = true)]
async fn a_call_says_what_happens_to_its_message_when_the_queue_is_full() {
    use Overflow::{Close, DropOldest, Wait};
    for of_endpoint in [Wait, Close, DropOldest] {
        let options = Options::new().send_queue_bytes(1).send_overflow(of_endpoint);
        let (_stage, client, session) = polling_with(options).await;
        session.send("first").await.unwrap();
        assert_eq!(session.try_send_with("full", Wait), Err(SendError::Full("full".into())));
        let sender = session.sender();
        let waits = tokio::spawn(async move { sender.send_with("waits", Wait).await });
        settle().await;
        session.send_with("newer", DropOldest).await.unwrap();
        session.try_send_with("newest", DropOldest).unwrap();
        assert_eq!(session.dropped_messages(), 2);
        assert_eq!(client.poll().await, r#"a["newest"]"#);
        assert_eq!(done(waits).await, Ok(()));
        assert_eq!(session.sender().dropped_messages(), 2, "who waits drops nothing");
        assert_eq!(client.poll().await, r#"a["waits"]"#);

        session.send_with("last", Close).await.unwrap();
        let closed = Err(SendError::Closed("too many".into()));
        assert_eq!(session.send_with("too many", Close).await, closed);
        assert_eq!(session.close_reason(), Some(CloseReason::SendQueueFull));
        for overflow in [Wait, Close, DropOldest] {
            assert_eq!(session.try_send_with("too many", overflow), closed);
        }
        assert_eq!(client.poll().await, r#"c[1008,"Client too slow"]"#);
    }
}

#[tokio::test(start_paused = true)]
async fn a_session_is_a_stream_and_a_sink() {
    let forward = |session: Session| async move {
        let (sink, stream) = session.split();
        stream.map(Ok).forward(sink).await.unwrap();
    };
    let endpoint = Endpoint::new(forward, Options::new().send_queue_bytes(1));
    for transport in transports() {
        let mut client = endpoint.open(transport).await;
        for text in ["a", "b", "c"] {
            client.send(text).await;
        }
        for text in ["a", "b", "c"] {
            assert_eq!(client.recv().await, text, "{transport}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_sink_flushes_to_the_client_and_closes_behind_what_it_sent() {
    let (_stage, client, mut session) = polling().await;
    session.feed("a".into()).await.unwrap();
    session.feed("b".into()).await.unwrap();
    assert!(session.flush().now_or_never().is_none(), "nobody has taken them");
    assert_eq!(client.poll().await, r#"a["a","b"]"#);
    assert_eq!(session.flush().now_or_never(), Some(Ok(())));

    let mut sender = session.sender();
    sender.feed("c".into()).await.unwrap();
    let closing = tokio::spawn(async move { SinkExt::close(&mut sender).await });
    settle().await;
    assert_eq!(session.close_reason(), None, "it closes when all is out");
    assert_eq!(client.poll().await, r#"a["c"]"#);
    done(closing).await.unwrap();
    assert_eq!(client.poll().await, r#"c[1000,"Normal closure"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_full_sink_is_not_ready() {
    let (_stage, client, session) = polling_with(Options::new().send_queue_bytes(1)).await;
    let mut sender = session.sender();
    sender.feed("a".into()).await.unwrap();
    assert!(sender.feed("b".into()).now_or_never().is_none());
    assert_eq!(client.poll().await, r#"a["a"]"#);
    sender.feed("c".into()).await.unwrap();
    assert_eq!(client.poll().await, r#"a["c"]"#);
}

#[tokio::test(start_paused = true)]
async fn a_send_that_was_cancelled_was_not_sent() {
    let (_stage, client, session) = polling_with(Options::new().send_queue_bytes(200)).await;
    let receiving = tokio::spawn(async move {
        let mut received = Vec::new();
        loop {
            sleep(TICK * 3).await;
            let frame = client.poll().await;
            let Some(array) = frame.strip_prefix('a') else { break };
            received.extend(serde_json::from_str::<Vec<String>>(array).unwrap());
        }
        received
    });
    let mut cancelled = 0;
    for n in 0..50 {
        // Each is tried until it is sent.
        loop {
            tokio::select! {
                sent = session.send(n.to_string()) => break sent.unwrap(),
                () = sleep(TICK) => cancelled += 1,
            }
        }
    }
    assert!(cancelled > 0);
    session.close(3000, "");
    let expected: Vec<_> = (0..50).map(|n| n.to_string()).collect();
    assert_eq!(done(receiving).await, expected);
}

#[tokio::test(start_paused = true)]
async fn a_flush_ends_with_the_session() {
    let (_stage, _client, mut session) = polling().await;
    session.feed("a".into()).await.unwrap();
    session.close(3000, "");
    let flushing = tokio::spawn(async move { session.flush().await });
    pass(DELAY).await;
    assert!(flushing.is_finished(), "it waits for a client that cannot come");
}

#[tokio::test(start_paused = true)]
async fn a_wait_that_was_dropped_leaves_nothing_behind() {
    struct Idle;
    impl std::task::Wake for Idle {
        fn wake(self: Arc<Self>) {}
    }
    let (_stage, _client, session) = polling_with(Options::new().send_queue_bytes(1)).await;
    session.try_send("fills the queue").unwrap();
    let idle = Arc::new(Idle);
    let waker = std::task::Waker::from(Arc::clone(&idle));
    let mut cx = std::task::Context::from_waker(&waker);
    assert!(Box::pin(session.closed()).poll_unpin(&mut cx).is_pending());
    assert!(Box::pin(session.send("a")).poll_unpin(&mut cx).is_pending());
    let mut sender = session.sender();
    assert!(sender.poll_ready_unpin(&mut cx).is_pending());
    drop((waker, sender));
    assert_eq!(Arc::strong_count(&idle), 1, "the session keeps the task that has waited");
}
