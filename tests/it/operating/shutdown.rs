//! `SockJsHandle::shutdown`, over every transport and real connections.

use std::{
    convert::Infallible,
    future::{IntoFuture, pending},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Router,
    extract::{FromRef, FromRequestParts},
    http::request::Parts,
};
use axum_sockjs::{
    CloseFrame, CloseReason, Options, RejectionCause, Session, ShutdownReport, SockJs, SockJsHandle,
    Transport,
};
use tokio::{
    net::TcpListener,
    sync::{Notify, oneshot},
    task::JoinHandle,
};

use crate::support::{
    PATIENCE,
    apps::{Endpoint, Stage, open_to_all},
    client::{Client, Down, Frame, Kind, WAYS, Way, http_ways, on_each, poll_way},
    fresh_id,
    http::Request,
    pass,
    server::Server,
    until, within,
};

const SHORT: Duration = Duration::from_millis(50);

/// Far more than a test takes, where time then passes at once.
const LONG: Duration = Duration::from_secs(600);

/// Shuts down in a task of its own, and waits until that has begun.
async fn begin(handle: &SockJsHandle, grace: Duration) -> JoinHandle<ShutdownReport> {
    let handle = handle.clone();
    let shutdown = tokio::spawn(async move { handle.shutdown(4001, "restarting", grace).await });
    tokio::task::yield_now().await;
    shutdown
}

async fn report(shutdown: JoinHandle<ShutdownReport>) -> ShutdownReport {
    within("the end of the shutdown", shutdown).await.expect("it does not panic")
}

fn counts(report: ShutdownReport) -> (usize, usize, u64, usize) {
    (report.closed, report.lost, report.messages_lost, report.handlers_running)
}

/// Reads to the end of the session, and gives the messages on the way.
async fn read_to_the_end(client: &mut Client) -> Vec<String> {
    let mut messages = Vec::new();
    loop {
        match client.frame().await {
            Frame::Messages(more) => messages.extend(more),
            Frame::Heartbeat => {}
            frame => {
                assert_eq!(frame, Frame::close(client.way, 4001, "restarting"));
                break;
            }
        }
    }
    #[cfg(feature = "websocket")]
    if client.way.kind == Kind::Socket {
        if client.way.framed {
            assert_eq!(client.frame().await, Frame::Goodbye(4001, "restarting".to_owned()));
        }
        assert_eq!(client.frame().await, Frame::Gone);
    }
    messages
}

#[tokio::test]
async fn every_client_gets_its_messages_and_its_close_frame() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let mut session = stage.session().await;
        client.send(&["accepted"]).await;
        until("the message", || stage.endpoint.handle.stats().total().messages_received == 1).await;
        for message in ["one", "two", "three"] {
            session.try_send(message).expect("there is room");
        }
        let shutdown = begin(&stage.endpoint.handle, PATIENCE).await;
        assert_eq!(read_to_the_end(&mut client).await, ["one", "two", "three"]);
        assert_eq!(counts(report(shutdown).await), (1, 0, 0, 0), "{}", way.transport);
        // What was accepted is still received, then the end.
        assert_eq!(session.recv().await.expect("it was accepted"), "accepted");
        assert_eq!(session.recv().await, None);
        let reason = CloseReason::Shutdown(CloseFrame::new(4001, "restarting"));
        assert_eq!(session.close_reason(), Some(reason), "{}", way.transport);
    })
    .await;
}

#[tokio::test]
async fn waiting_receivers_are_told_at_once() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(LONG)).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let _session = stage.session().await;
        client.down.request().await;
        until("a receiver", || stage.endpoint.handle.stats().transport(way.transport).attached == 1).await;
        let shutdown = begin(&stage.endpoint.handle, LONG).await;
        assert_eq!(client.frame().await, Frame::close(way, 4001, "restarting"));
        // Long before the disconnect delay, which a closed session is remembered for otherwise.
        assert_eq!(counts(report(shutdown).await), (1, 0, 0, 0), "{}", way.transport);
    })
    .await;
}

/// Expects that no session opens here.
async fn refuses_to_open(endpoint: &Endpoint, way: &Way) {
    let request = way.opening(&fresh_id());
    let response = endpoint.server.ask(&request).await;
    assert_eq!(response.header("retry-after"), Some("5"), "{}", way.transport);
    if way.transport == Transport::EventSource {
        assert_eq!(response.text(), "\r\ndata: c[1013,\"Try again later\"]\r\n\r\n");
        return;
    }
    assert_eq!(response.status, 503, "{}: {response}", way.transport);
    assert_eq!(response.text(), "The server is going down.\n", "{}", way.transport);
}

#[tokio::test]
async fn nothing_opens_any_more_and_info_says_so() {
    let mut stage = Stage::start(Options::new()).await;
    let poll = poll_way();
    let mut client = Client::open(&stage.endpoint, poll).await;
    let session = stage.session().await;
    session.try_send("still here").expect("there is room");
    assert_eq!(stage.endpoint.server.get("/app/info").await.status, 200);

    let shutdown = begin(&stage.endpoint.handle, PATIENCE).await;
    on_each(WAYS, async |way| refuses_to_open(&stage.endpoint, way).await).await;
    let info = Request::get("/app/info").header("Origin", "http://page.example");
    let info = stage.endpoint.server.ask(&info).await;
    assert_eq!((info.status, info.header("retry-after")), (503, Some("5")));
    assert!(info.header("access-control-allow-origin").is_some(), "a page may read why: {info}");
    assert_eq!(stage.endpoint.handle.stats().rejected[&RejectionCause::Shutdown], WAYS.len() as u64 + 1);

    assert_eq!(read_to_the_end(&mut client).await, ["still here"], "who is in is served");
    assert_eq!(counts(report(shutdown).await), (1, 0, 0, 0));
    on_each(WAYS, async |way| refuses_to_open(&stage.endpoint, way).await).await;
}

/// Lets nobody in before it is opened.
#[derive(Clone, Default)]
struct Gate {
    open: Arc<Notify>,
    asked: Arc<AtomicUsize>,
}

struct Passed;

impl<S: Send + Sync> FromRequestParts<S> for Passed
where
    Gate: FromRef<S>,
{
    type Rejection = Infallible;

    async fn from_request_parts(_: &mut Parts, state: &S) -> Result<Self, Infallible> {
        let gate = Gate::from_ref(state);
        let open = gate.open.notified();
        gate.asked.fetch_add(1, Ordering::SeqCst);
        open.await;
        Ok(Self)
    }
}

#[tokio::test]
async fn requests_that_the_extractors_judge_do_not_slip_through() {
    on_each(WAYS, async |way| {
        let gate = Gate::default();
        let handler = |_: Passed, _: Session| async { panic!("nothing opens") };
        let sockjs = SockJs::new(handler).options(open_to_all(Options::new())).with_state(gate.clone());
        let handle = sockjs.handle();
        let server = Server::start(Router::new().nest_service("/app", sockjs)).await;
        let mut connection = server.connect().await;
        connection.send(&way.opening(&fresh_id())).await;
        until("the extractor", || gate.asked.load(Ordering::SeqCst) == 1).await;
        assert_eq!(handle.stats().transport(way.transport).opening, 1, "{}", way.transport);

        let shutdown = begin(&handle, PATIENCE).await;
        tokio::time::sleep(SHORT).await;
        assert!(!shutdown.is_finished(), "{}: it waits for the answer", way.transport);
        gate.open.notify_waiters();
        let response = connection.answer(way.method).await;
        let status = if way.transport == Transport::EventSource { 200 } else { 503 };
        assert_eq!((response.status, response.header("retry-after")), (status, Some("5")), "{response}");
        assert_eq!(counts(report(shutdown).await), (0, 0, 0, 0), "{}", way.transport);
        assert_eq!(handle.stats().total().opened, 0);
    })
    .await;
}

#[tokio::test]
async fn the_grace_bounds_what_a_client_may_take() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        // More than the buffers below take, for a client that does not read.
        let large = "x".repeat(256 << 10);
        while let Ok(sent) =
            tokio::time::timeout(Duration::from_millis(200), session.send(large.as_str())).await
        {
            sent.expect("the session is open");
        }
        let before = stage.endpoint.handle.stats().total();
        let report = within("the shutdown", stage.endpoint.handle.shutdown(4001, "restarting", SHORT)).await;
        let after = stage.endpoint.handle.stats().total();
        assert_eq!((report.closed, report.lost, report.handlers_running), (0, 1, 0), "{}", way.transport);
        assert!(report.messages_lost > 0, "{}", way.transport);
        assert_eq!(report.messages_lost, after.messages_dropped - before.messages_dropped);
        drop(client);
    })
    .await;
}

#[tokio::test]
async fn a_client_that_is_lost_in_the_meantime_counts_as_lost() {
    on_each(http_ways(), async |way| {
        let mut stage = Stage::start(Options::new().disconnect_delay(LONG)).await;
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        if way.kind == Kind::Stream {
            // Its response is the first one's, which it still reads.
            client.down.request().await;
            drop(client);
            until("the loss", || session.close_reason().is_some()).await;
            let report = stage.endpoint.handle.shutdown(4001, "restarting", PATIENCE).await;
            assert_eq!(counts(report), (0, 0, 0, 0), "{}: it was lost before", way.transport);
        } else {
            session.try_send("never read").expect("there is room");
            let shutdown = begin(&stage.endpoint.handle, 2 * LONG).await;
            pass(LONG).await;
            assert_eq!(counts(report(shutdown).await), (0, 1, 1, 0), "{}", way.transport);
        }
    })
    .await;
}

#[tokio::test]
async fn a_client_that_comes_back_behind_a_gap_counts_as_lost() {
    on_each(http_ways().filter(|way| way.kind == Kind::Stream), async |way| {
        // A stream does not come to its end by itself.
        let mut stage = Stage::start(Options::new().response_limit(1 << 30)).await;
        let id = fresh_id();
        let client = Client::open_as(&stage.endpoint, way, &id).await;
        let session = stage.session().await;
        // Until some of it cannot leave.
        let large = "x".repeat(256 << 10);
        while tokio::time::timeout(Duration::from_millis(200), session.send(large.as_str())).await.is_ok() {}
        let shutdown = begin(&stage.endpoint.handle, PATIENCE).await;
        client.abort(true);
        let mut back = Down::new(stage.endpoint.server.addr, way, &id);
        let told = back.frame().await;
        assert!(told == Frame::close(way, 1002, "Connection interrupted"), "{}: not 1002", way.transport);
        let report = report(shutdown).await;
        assert_eq!((report.closed, report.lost), (0, 1), "{}", way.transport);
        assert!(report.messages_lost > 0, "{}", way.transport);
        assert_eq!(report.messages_lost, stage.endpoint.handle.stats().total().messages_dropped);
    })
    .await;
}

#[tokio::test]
async fn handlers_are_waited_for_and_counted_where_they_hang() {
    let finish = Arc::new(Notify::new());
    let handler = {
        let finish = Arc::clone(&finish);
        move |mut session: Session| async move {
            while session.recv().await.is_some() {}
            finish.notified().await;
        }
    };
    let endpoint = Endpoint::start(handler, Options::new()).await;
    let mut clients = Vec::new();
    for way in WAYS {
        clients.push(Client::open(&endpoint, way).await);
    }
    let shutdown = begin(&endpoint.handle, PATIENCE).await;
    for client in &mut clients {
        read_to_the_end(client).await;
    }
    assert!(!shutdown.is_finished(), "the handlers still work");
    assert_eq!(endpoint.handle.stats().handlers, WAYS.len());
    finish.notify_waiters();
    assert_eq!(counts(report(shutdown).await), (WAYS.len(), 0, 0, 0));

    let hang = |session: Session| async move {
        let _open = session;
        pending::<()>().await;
    };
    let endpoint = Endpoint::start(hang, Options::new()).await;
    let mut client = Client::open(&endpoint, &WAYS[0]).await;
    let shutdown = begin(&endpoint.handle, LONG).await;
    read_to_the_end(&mut client).await;
    pass(LONG).await;
    assert_eq!(counts(report(shutdown).await), (1, 0, 0, 1));
}

#[tokio::test]
async fn it_may_be_called_again_and_dropped() {
    let stage = Stage::start(Options::new()).await;
    // One that is not told before it asks.
    let poll = poll_way();
    let mut client = Client::open(&stage.endpoint, poll).await;
    let handle = stage.endpoint.handle.clone();
    let dropped = tokio::time::timeout(Duration::ZERO, handle.shutdown(4001, "restarting", PATIENCE)).await;
    assert!(dropped.is_err());
    assert!(handle.is_empty(), "it has begun");
    let second = tokio::spawn({
        let handle = handle.clone();
        async move { handle.shutdown(4002, "another text", PATIENCE).await }
    });
    read_to_the_end(&mut client).await;
    let second = report(second).await;
    assert_eq!(counts(second), (1, 0, 0, 0));
    assert_eq!(
        handle.shutdown(4003, "", Duration::ZERO).await,
        second,
        "the same as long as nothing changes"
    );
}

/// Echoes, and to "large" answers more than the buffers of two sockets take while nobody reads.
async fn amplify(mut session: Session) {
    while let Some(message) = session.recv().await {
        let answer = if message == "large" { "x".repeat(16 << 20).into() } else { message };
        session.send(answer).await.ok();
    }
}

/// A server of one endpoint that stops as the documentation of `shutdown` has it.
struct Stopping {
    endpoint: Endpoint,
    stop: Arc<Notify>,
    report: oneshot::Receiver<ShutdownReport>,
    /// Whether it had to leave connections behind.
    served: JoinHandle<bool>,
}

impl Stopping {
    async fn start(grace: Duration, last_bytes: Duration) -> Self {
        let sockjs = SockJs::new(amplify).options(open_to_all(Options::new()));
        let handle = sockjs.handle();
        let app = Router::new().nest_service("/app", sockjs);
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port of loopback is free");
        let addr = listener.local_addr().expect("it has an address");
        let stop = Arc::new(Notify::new());
        let (stopped, closing, (reports, report)) = (Arc::clone(&stop), handle.clone(), oneshot::channel());
        let (all_told, told) = oneshot::channel();
        let serve = axum::serve(listener, app).with_graceful_shutdown(async move {
            stopped.notified().await;
            let report = closing.shutdown(4001, "restarting", grace).await;
            reports.send(report).expect("the test waits for it");
            all_told.send(()).expect("the server waits for it");
        });
        let served = tokio::spawn(async move {
            let last_bytes = async {
                told.await.ok();
                tokio::time::sleep(last_bytes).await;
            };
            tokio::select! {
                served = serve.into_future() => {
                    served.expect("it ends well");
                    false
                }
                () = last_bytes => true,
            }
        });
        Self { endpoint: Endpoint { server: Server::at(addr), handle }, stop, report, served }
    }

    /// Waits for the end: the report, and whether connections were left behind.
    async fn end(self) -> (ShutdownReport, bool) {
        let report = within("the report", self.report).await.expect("the shutdown ends");
        (report, within("the end of the server", self.served).await.expect("it does not panic"))
    }
}

#[tokio::test]
async fn axums_graceful_shutdown_is_not_held_up() {
    let server = Stopping::start(PATIENCE, PATIENCE).await;
    let mut clients = Vec::new();
    for way in WAYS {
        let mut client = Client::open(&server.endpoint, way).await;
        client.send(&["hello"]).await;
        assert_eq!(client.messages(1).await, ["hello"]);
        clients.push(client);
    }
    server.stop.notify_one();
    for client in &mut clients {
        assert_eq!(read_to_the_end(client).await, [""; 0]);
    }
    let (report, cut_off) = server.end().await;
    assert_eq!((counts(report), cut_off), ((WAYS.len(), 0, 0, 0), false));
}

/// Where a client stops.
#[derive(Debug, Clone, Copy)]
enum Stalled {
    Head,
    Body,
    /// It does not read the rest of an answer.
    Answer,
    /// Nor that of a stream.
    Stream,
}

#[tokio::test]
async fn clients_that_stop_in_the_middle_are_not_waited_for() {
    let way = |kind| http_ways().find(|way| way.kind == kind).expect("there is one");
    for (stalled, kind, told) in [
        (Stalled::Head, Kind::Stream, true),
        (Stalled::Body, Kind::Stream, true),
        (Stalled::Answer, Kind::Poll, false),
        (Stalled::Stream, Kind::Stream, false),
    ] {
        // Who is told ends the wait; the others are given up when it is over.
        let grace = if told { PATIENCE } else { Duration::from_millis(500) };
        let server = Stopping::start(grace, SHORT).await;
        let (way, id) = (way(kind), fresh_id());
        let mut client = Client::open_as(&server.endpoint, way, &id).await;
        let mut connection = server.endpoint.server.connect().await;
        match stalled {
            Stalled::Head => {
                connection.write("GET /app HTTP/1.1\r\nHost: lo").await;
                // The server has read that: who has connected later has an answer.
                assert_eq!(server.endpoint.server.get("/app").await.status, 200);
            }
            Stalled::Body => {
                let payload = r#"["never whole"]"#;
                let bytes = way.sending(&id, payload).header("Expect", "100-continue").to_bytes();
                let (head, body) = bytes.split_at(bytes.len() - payload.len());
                connection.write(head).await;
                assert_eq!(connection.head().await.status, 100, "the server waits for the body");
                connection.write(&body[1..]).await;
            }
            Stalled::Answer | Stalled::Stream => {
                client.send(&["large"]).await;
                if kind == Kind::Poll {
                    connection.send(&way.receiving(&id)).await;
                }
                let sent = || server.endpoint.handle.stats().total().messages_sent > 0;
                until("the beginning of the answer", sent).await;
            }
        }
        server.stop.notify_one();
        if told {
            assert_eq!(read_to_the_end(&mut client).await, [""; 0]);
        }
        let (report, cut_off) = server.end().await;
        assert_eq!((report.closed, report.lost), (usize::from(told), usize::from(!told)), "{stalled:?}");
        assert!(cut_off, "{stalled:?}: axum has not waited");
        drop(connection);
    }
}
