//! What an operator sees: `SockJsHandle::stats`, and the log.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::Duration,
};

use axum::{
    BoxError,
    extract::FromRequestParts,
    http::{StatusCode, request::Parts},
};
use axum_sockjs::{
    CloseKind, Options, RejectionCause, Session, SockJsHandle, Stats, Transport, TransportStats,
};
use futures_util::future::join_all;

use crate::support::{
    PATIENCE,
    apps::{Endpoint, Stage, echo, for_its_own_pages},
    client::{Client, Frame, Kind, WAYS, http_ways, on_each, poll_way},
    docs::documented,
    fresh_id,
    http::Request,
    log::Log,
    pass, until, within,
};

const SHORT: Duration = Duration::from_millis(50);

#[tokio::test]
async fn sessions_are_counted_by_transport_and_state() {
    on_each(WAYS, async |way| {
        let mut stage = Stage::start(Options::new()).await;
        let handle = stage.endpoint.handle.clone();
        let count = |what: fn(&TransportStats) -> u64| what(handle.stats().transport(way.transport));
        let mut client = Client::open(&stage.endpoint, way).await;
        let session = stage.session().await;
        if way.kind == Kind::Poll {
            until("the end of the poll", || count(|now| now.detached) == 1).await;
            client.down.request().await;
        }
        until("the receiver", || count(|now| now.attached) == 1).await;
        assert_eq!((count(|now| now.open()), count(|now| now.opened)), (1, 1), "{}", way.transport);
        client.send(&["123", "é"]).await;
        session.send("12345").await.expect("it is open");
        client.messages(1).await;
        until("both", || count(|now| now.messages_received) == 2).await;
        assert_eq!((count(|now| now.bytes_received), count(|now| now.bytes_sent)), (5, 5));
        assert_eq!((count(|now| now.messages_sent), count(|now| now.messages_dropped)), (1, 0));

        session.send("never read").await.expect("it is open");
        session.close(3000, "");
        if way.kind == Kind::Poll {
            assert_eq!(count(|now| now.closing), 1, "{}", way.transport);
        }
        client.abort(true);
        let stats = handle.stats();
        assert_eq!((stats.transport(way.transport).open(), stats.closed[&CloseKind::Server]), (0, 1));
        for &other in Transport::ALL.iter().filter(|&&other| other != way.transport) {
            assert_eq!(*stats.transport(other), Default::default(), "{other} beside {}", way.transport);
        }
        // The first send, at least, fits into any queue.
        assert!(stats.send_queue_peak_bytes > 10 && stats.receive_queue_peak_bytes >= 5);
        let fallback = cfg!(feature = "websocket") && way.kind != Kind::Socket;
        assert_eq!(stats.fallbacks, u64::from(fallback), "{}", way.transport);
    })
    .await;
}

#[tokio::test]
async fn where_websocket_is_off_nothing_falls_back() {
    let endpoint = Endpoint::start(echo, Options::new().disable(Transport::WebSocket)).await;
    let _client = Client::open(&endpoint, poll_way()).await;
    assert_eq!(endpoint.handle.stats().fallbacks, 0);
}

/// Rejects where the query says so, and hangs where it says so.
struct Judge;

impl<S: Sync> FromRequestParts<S> for Judge {
    type Rejection = StatusCode;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, StatusCode> {
        match parts.uri.query() {
            Some("reject") => Err(StatusCode::UNAUTHORIZED),
            Some("hang") => std::future::pending().await,
            _ => Ok(Self),
        }
    }
}

/// Which refusals have been counted since the last look.
struct Refusals {
    handle: SockJsHandle,
    seen: BTreeMap<RejectionCause, u64>,
    causes: Vec<RejectionCause>,
}

impl Refusals {
    /// Expects that exactly one has been, for this cause.
    fn expect(&mut self, cause: RejectionCause) {
        let now = self.handle.stats().rejected;
        let news: Vec<_> = now.iter().filter(|(cause, count)| **count != self.seen[*cause]).collect();
        assert_eq!(news, [(&cause, &(self.seen[&cause] + 1))]);
        self.seen = now;
        self.causes.push(cause);
    }
}

#[tokio::test]
async fn refusals_are_counted_by_cause() {
    let handler = |_: Judge, session: Session| async move {
        session.closed().await;
    };
    let options = Options::new()
        .max_sessions(2)
        .max_sessions_per_peer(1)
        .peer_key(|headers, _| Some(headers.get("x-peer")?.to_str().ok()?.to_owned()))
        .disconnect_delay(PATIENCE)
        .max_message_bytes(10)
        .open_timeout(SHORT)
        .receive_timeout(SHORT)
        .receive_queue_messages(1);
    let endpoint = for_its_own_pages(handler, options).await;
    let handle = endpoint.handle.clone();
    let mut refusals = Refusals { seen: handle.stats().rejected, handle, causes: Vec::new() };
    let mut ask = async |cause: RejectionCause, request: Request, status: u16| {
        let response = endpoint.server.ask(&request).await;
        assert_eq!(response.status, status, "{cause}: {response}");
        refusals.expect(cause);
    };
    let poll = |id: &str, query: &str| Request::post(format!("/app/000/{id}/xhr{query}"));
    let send = |id: &str, body: &str| Request::post(format!("/app/000/{id}/xhr_send")).body(body);

    ask(RejectionCause::NotFound, Request::get("/app/nowhere"), 404).await;
    ask(RejectionCause::Method, Request::new("DELETE", "/app/info"), 405).await;
    ask(RejectionCause::NoSession, send("a", "[]"), 404).await;
    ask(RejectionCause::Origin, poll("a", "").header("Origin", "https://elsewhere.example"), 403).await;
    ask(RejectionCause::Extractor, poll("a", "?reject"), 401).await;
    ask(RejectionCause::OpenTimeout, poll("a", "?hang"), 503).await;
    #[cfg(feature = "websocket")]
    ask(RejectionCause::Handshake, Request::get("/app/websocket"), 400).await;

    let p = endpoint.server.ask(&poll("p", "").header("X-Peer", "1")).await;
    assert_eq!(p.text(), "o\n");
    ask(RejectionCause::PeerFull, poll("q", "").header("X-Peer", "1"), 429).await;
    let mut client = Client::open_as(&endpoint, poll_way(), "a").await;
    ask(RejectionCause::SessionsFull, poll("c", ""), 503).await;
    ask(RejectionCause::Malformed, send("a", "{"), 500).await;
    ask(RejectionCause::TooLarge, send("a", r#"["12345678901"]"#), 413).await;
    client.send(&["first"]).await;
    ask(RejectionCause::QueueFull, send("a", r#"["second"]"#), 503).await;
    client.down.request().await;
    until("the poll", || endpoint.handle.stats().total().attached == 1).await;
    ask(RejectionCause::Busy, poll("a", ""), 200).await;
    let ((), _) = tokio::join!(
        async {
            assert!(client.frame().await != Frame::Open);
            endpoint.server.ask(&poll("p", "")).await;
        },
        within("the shutdown", endpoint.handle.shutdown(4001, "", PATIENCE)),
    );
    ask(RejectionCause::Shutdown, poll("b", ""), 503).await;

    // The one that takes a minute is in `operating::faults::stalls::a_body_that_drips_is_told_408_and_brings_nothing`.
    refusals.causes.push(RejectionCause::SlowBody);
    // Those that take several requests at once are in `policy::limits`.
    refusals.causes.push(RejectionCause::SendsFull);
    // This endpoint is alone: `operating::cluster::faults`.
    refusals.causes.push(RejectionCause::OwnerLost);
    refusals.causes.push(RejectionCause::ForwardsFull);
    // This endpoint's sessions belong to nobody: `policy::identity::refusals_are_counted`.
    refusals.causes.push(RejectionCause::Identity);
    refusals.causes.push(RejectionCause::IdentityFull);
    #[cfg(not(feature = "websocket"))]
    refusals.causes.push(RejectionCause::Handshake);
    let tested: BTreeSet<RejectionCause> = refusals.causes.into_iter().collect();
    let all: BTreeSet<RejectionCause> = refusals.seen.into_keys().collect();
    assert_eq!(tested, all, "every cause has a request here");
}

#[tokio::test]
async fn ends_are_counted_by_reason() {
    let mut stage = Stage::start(Options::new().disconnect_delay(SHORT)).await;
    let handle = stage.endpoint.handle.clone();
    let ends = |kind: CloseKind, count| until(kind.name(), move || handle.stats().closed[&kind] == count);
    let stream = http_ways().find(|way| way.kind == Kind::Stream).expect("there is one");

    let _timed_out = Client::open(&stage.endpoint, poll_way()).await;
    let session = stage.session().await;
    ends.clone()(CloseKind::TimedOut, 1).await;
    assert_eq!(session.close_reason().map(|reason| reason.kind()), Some(CloseKind::TimedOut));

    let lost = Client::open(&stage.endpoint, stream).await;
    let _session = stage.session().await;
    lost.abort(true);
    ends.clone()(CloseKind::ConnectionLost, 1).await;

    let _closed = Client::open(&stage.endpoint, stream).await;
    stage.session().await.close(3000, "");
    ends.clone()(CloseKind::Server, 1).await;

    let _closed_too = Client::open(&stage.endpoint, stream).await;
    let _session = stage.session().await;
    assert_eq!(stage.endpoint.handle.close_all(4001, ""), 1);
    ends.clone()(CloseKind::Server, 2).await;

    #[cfg(feature = "websocket")]
    {
        use tokio_tungstenite::tungstenite::Message;
        let mut closing = Client::open(&stage.endpoint, &WAYS[0]).await;
        let _session = stage.session().await;
        closing.up.send_ws(Message::Close(None)).await;
        ends.clone()(CloseKind::Client, 1).await;
        let mut breaking = Client::open(&stage.endpoint, &WAYS[0]).await;
        let _session = stage.session().await;
        breaking.up.send_payload("{").await;
        ends.clone()(CloseKind::ProtocolError, 1).await;
    }

    let _shut_down = Client::open(&stage.endpoint, stream).await;
    let session = stage.session().await;
    let shutdown = within("the shutdown", stage.endpoint.handle.shutdown(4001, "", PATIENCE));
    let (_report, ()) = tokio::join!(shutdown, async {
        ends(CloseKind::Shutdown, 1).await;
        drop(session);
    });
    until("no session", || stage.endpoint.handle.is_empty()).await;
    let stats = stage.endpoint.handle.stats();
    assert_eq!(stats.closed.values().sum::<u64>(), stats.total().opened);
}

/// What never falls.
fn counters(stats: &Stats) -> Vec<u64> {
    let total = stats.total();
    let of_all = [total.opened, total.messages_received, total.bytes_received, total.messages_sent];
    let of_all = of_all.into_iter().chain([total.bytes_sent, total.messages_dropped, stats.fallbacks]);
    of_all.chain(stats.closed.values().copied()).chain(stats.rejected.values().copied()).collect()
}

/// Sessions come and go on the server's thread while another looks: no counter ever falls, and no session is
/// missed or counted twice on its way from the present into the past.
#[tokio::test]
async fn counters_never_fall_and_add_up_while_sessions_come_and_go() {
    let endpoint =
        Endpoint::start_on_one_thread(echo, Options::new().disconnect_delay(Duration::from_secs(2)));
    let (handle, done) = (endpoint.handle.clone(), Arc::new(AtomicBool::new(false)));
    let until_done = Arc::clone(&done);
    let looking = std::thread::spawn(move || {
        let mut before = handle.stats();
        let mut looks = 0;
        while !until_done.load(Ordering::Relaxed) {
            let now = handle.stats();
            for (before, now) in counters(&before).into_iter().zip(counters(&now)) {
                assert!(before <= now, "a counter fell from {before} to {now}");
            }
            let (total, closed) = (now.total(), now.closed.values().sum::<u64>());
            // A request in the extractors is opening, and not yet opened.
            let surplus = total.open() + closed - total.opened;
            assert!(surplus <= WAYS.len() as u64, "{surplus} too many in {now:?}");
            before = now;
            looks += 1;
        }
        looks
    });
    join_all(WAYS.iter().map(async |way| {
        for round in 0..20 {
            let mut client = Client::open(&endpoint, way).await;
            client.send(&["some", "messages"]).await;
            client.messages(2).await;
            client.abort(round % 2 == 0);
        }
    }))
    .await;
    endpoint.is_left_empty().await;
    done.store(true, Ordering::Relaxed);
    let looks = looking.join().expect("what it saw added up");
    assert!(looks > 100, "{looks} looks");
    let stats = endpoint.handle.stats();
    let sessions = 20 * WAYS.len() as u64;
    assert_eq!((stats.total().opened, stats.closed.values().sum()), (sessions, sessions));
    assert_eq!(
        (stats.total().messages_received, stats.total().bytes_received),
        (2 * sessions, 12 * sessions)
    );
    assert_eq!(stats.total().messages_sent, 2 * sessions);
}

#[tokio::test]
async fn the_log_has_the_documented_events_and_no_others() {
    let log = Log::start(tracing::Level::TRACE);
    let handler = |mut session: Session| async move {
        while let Some(message) = session.recv().await {
            tracing::info!(target: "application", "got a message");
            assert_ne!(message, "panic");
            if message == "fail" {
                return Err("as asked for".into());
            }
        }
        Ok::<(), BoxError>(session.send("after the end").await?)
    };
    let options =
        Options::new().disconnect_delay(6 * PATIENCE).max_sessions_per_peer(2).peer_key(|_, _| None);
    let endpoint = for_its_own_pages(handler, options).await;
    let secret = fresh_id() + "s3cret";
    for end in ["panic", "fail"] {
        let mut client = Client::open_as(&endpoint, poll_way(), &(secret.clone() + end)).await;
        client.send(&[end]).await;
        assert_eq!(client.frame().await, Frame::Close(1011, "Internal error".to_owned()));
    }
    let mut client = Client::open_as(&endpoint, poll_way(), &secret).await;
    assert_eq!(endpoint.server.post(Endpoint::path(&secret, "nothing"), "").await.status, 404);
    for _ in 0..2 {
        let elsewhere = Request::get("/app/info").header("Origin", "https://elsewhere.example");
        assert_eq!(endpoint.server.ask(&elsewhere).await.status, 403);
    }
    let (_, report) = tokio::join!(client.frame(), endpoint.handle.shutdown(4001, "", PATIENCE));
    assert_eq!(report.handlers_running, 0);
    pass(6 * PATIENCE).await;
    until("the end of all", || log.text().matches("session closed").count() == 3).await;

    let log = log.text();
    assert!(!log.contains("s3cret"), "{log}");
    let ours: Vec<&str> = log.lines().filter(|line| line.contains(" axum_sockjs::")).collect();
    let rows: Vec<_> = ["ERROR", "WARN", "INFO", "DEBUG", "TRACE"]
        .iter()
        .flat_map(|level| documented("## Logs", &format!("| {level} ")))
        .collect();
    for row in &rows {
        let (level, event, fields) = (&row[1], &row[2], &row[3]);
        let shows = |line: &&&str| {
            line.contains(&format!("{level} "))
                && line.contains(event)
                && fields
                    .split(": ")
                    .next()
                    .unwrap_or_default()
                    .split(", ")
                    .all(|field| line.contains(&format!(" {field}=")))
        };
        assert!(ours.iter().any(|line| shows(&line)), "no {row:?} in {log}");
    }
    for line in ours {
        assert!(rows.iter().any(|row| line.contains(&row[2])), "not documented: {line}");
    }
    let within_span =
        |line: &str| line.contains("session{connection=") && line.contains(" transport=xhr-polling");
    let applications: Vec<&str> = log.lines().filter(|line| line.contains("application: ")).collect();
    assert!(!applications.is_empty() && applications.into_iter().all(within_span), "{log}");
}
