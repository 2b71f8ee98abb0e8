//! Handlers and extractors at fault. Handlers that panic are in `wire::closing`.

use std::convert::Infallible;

use axum::{
    extract::FromRequestParts,
    http::{HeaderValue, request::Parts},
};
use axum_sockjs::{CloseFrame, CloseReason, Options, RejectionCause, SendError, Session, Transport};
use tokio::sync::mpsc;

use crate::support::{
    NEVER,
    apps::{Endpoint, Stage},
    as_time_passes,
    client::{Client, Frame, Kind, WAYS, Way, on_each},
    fresh_id,
    http::Connection,
    pass,
    scene::alive_tasks,
    until, until_time_has_passed, within,
};

#[tokio::test]
async fn a_handler_that_hangs_keeps_its_own_task_and_nothing_else() {
    on_each(WAYS, async |way| {
        let (release, released) = tokio::sync::watch::channel(false);
        let (sender, mut reasons) = mpsc::unbounded_channel();
        let handler = move |mut session: Session| {
            let (mut released, sender) = (released.clone(), sender.clone());
            async move {
                released.wait_for(|released| *released).await.ok();
                // What had come before the end is still there.
                let message = session.recv().await;
                sender.send((message, session.closed().await)).ok();
            }
        };
        let endpoint = Endpoint::start(handler, Options::new().disconnect_delay(NEVER)).await;
        let tasks = alive_tasks();
        let mut client = Client::open(&endpoint, way).await;
        client.send(&["nobody reads this yet"]).await;
        #[cfg(feature = "websocket")]
        if way.kind == Kind::Socket {
            // Nothing tells when a socket's message has been read, but its place in front of a ping's answer.
            client.ping().await;
        }
        client.abort(true);
        if way.kind == Kind::Poll {
            pass(NEVER).await;
        }
        endpoint.is_left_empty().await;
        until_time_has_passed("its connections to end", || alive_tasks() <= tasks + 1).await;
        endpoint.still_serves().await;
        release.send(true).unwrap();
        let (message, reason) = within("the handler's end", reasons.recv()).await.unwrap();
        assert_eq!(message.unwrap(), "nobody reads this yet");
        let expected = match way.kind {
            Kind::Poll => CloseReason::TimedOut,
            Kind::Stream | Kind::Socket => CloseReason::ConnectionLost,
        };
        assert_eq!(reason, expected);
        until_time_has_passed("the handlers to end", || alive_tasks() <= tasks).await;
    })
    .await;
}

/// Drops its session, and goes on without it.
async fn dropping(session: Session, reasons: mpsc::UnboundedSender<CloseReason>) {
    let other = session.sender();
    drop(session);
    reasons.send(other.closed().await).ok();
    assert_eq!(other.send("late").await, Err(SendError::Closed("late".into())));
}

#[tokio::test]
async fn a_handler_that_drops_its_session_has_closed_it() {
    on_each(WAYS, async |way| {
        let (sender, mut reasons) = mpsc::unbounded_channel();
        let of_another = sender.clone();
        let options = || Options::new().disconnect_delay(NEVER);
        let endpoints = [
            Endpoint::start(move |session: Session| dropping(session, sender.clone()), options()).await,
            // One whose error comes too late.
            Endpoint::start(
                move |session: Session| {
                    let sender = of_another.clone();
                    async {
                        dropping(session, sender).await;
                        Err("too late")
                    }
                },
                options(),
            )
            .await,
        ];
        for endpoint in endpoints {
            let tasks = alive_tasks();
            let mut client = Client::open(&endpoint, way).await;
            assert_eq!(client.frame().await, Frame::close(way, 1000, "Normal closure"));
            let reason = within("the reason", reasons.recv()).await.unwrap();
            assert_eq!(reason, CloseReason::Server(CloseFrame::new(1000, "Normal closure")));
            client.abort(false);
            endpoint.is_left_empty().await;
            until_time_has_passed("its tasks to end", || alive_tasks() <= tasks).await;
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_closes_the_first_counts_and_what_is_sent_behind_it_comes_back() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(NEVER)).await;
        let tasks = alive_tasks();
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        session.send("before").await.unwrap();
        session.close(3000, "the first");
        session.close(3001, "the second");
        session.sender().close(3002, "the third");
        assert_eq!(session.send("after").await, Err(SendError::Closed("after".into())));
        assert_eq!(session.try_send("after"), Err(SendError::Closed("after".into())));
        assert_eq!(client.messages(1).await, ["before"]);
        assert_eq!(client.frame().await, Frame::close(way, 3000, "the first"));
        assert_eq!(session.close_reason(), Some(CloseReason::Server(CloseFrame::new(3000, "the first"))));
        client.abort(false);
        drop(session);
        stage.endpoint.is_left_empty().await;
        until_time_has_passed("its tasks to end", || alive_tasks() <= tasks).await;
    })
    .await;
}

/// An extractor with the fault that the request asks for.
struct AtFault;

impl<S: Sync> FromRequestParts<S> for AtFault {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Infallible> {
        tokio::task::yield_now().await;
        match parts.headers.get("x-fault").map(HeaderValue::as_bytes) {
            Some(b"hang") => std::future::pending().await,
            Some(_) => panic!("an extractor's own bug"),
            None => Ok(Self),
        }
    }
}

/// Asks for a session from an extractor at fault, and gives what has come of it to `check`. There is a place
/// for one session only, which the next client then gets, under the same id.
async fn open_at_fault(way: &'static Way, fault: &str, check: impl AsyncFn(&mut Connection, &Endpoint)) {
    let handler = |_: AtFault, session: Session| async move { drop(session.closed().await) };
    let options = Options::new().max_sessions(1).open_timeout(NEVER).disconnect_delay(NEVER);
    let endpoint = Endpoint::start(handler, options).await;
    let tasks = alive_tasks();
    let id = fresh_id();
    let mut connection = endpoint.server.connect().await;
    connection.send(&way.opening(&id).header("X-Fault", fault)).await;
    check(&mut connection, &endpoint).await;
    drop(connection);
    let stats = endpoint.handle.stats();
    assert_eq!((stats.total().opened, stats.total().opening, stats.handlers), (0, 0, 0));
    until("its task to end", || alive_tasks() <= tasks).await;
    let _client = Client::open_as(&endpoint, way, &id).await;
    until("its session", || endpoint.handle.len() == 1).await;
}

#[tokio::test]
async fn an_extractor_that_hangs_ends_with_the_open_timeout() {
    on_each(WAYS, async |way| {
        open_at_fault(way, "hang", async |connection, endpoint| {
            until("the extractor", || endpoint.handle.stats().total().opening == 1).await;
            as_time_passes("an answer", connection.readable()).await;
            let answer = connection.answer(way.method).await;
            // An EventSource may ask again at once after a 503.
            let status = if way.transport == Transport::EventSource { 200 } else { 503 };
            assert_eq!((answer.status, answer.header("retry-after")), (status, Some("5")), "{answer}");
            assert_eq!(endpoint.handle.stats().rejected[&RejectionCause::OpenTimeout], 1);
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_extractor_that_panics_ends_its_connection_and_nothing_else() {
    on_each(WAYS, async |way| {
        open_at_fault(way, "panic", async |connection, _| connection.expect_end().await).await;
    })
    .await;
}
