//! What the usual layers around an endpoint make of it: tower-http's `TraceLayer` and `CompressionLayer`.

use std::io::Write as _;

use axum::Router;
use axum_sockjs::{Options, Session, SockJs, SockJsHandle, Transport};
use flate2::write::GzDecoder;
use tower_http::{
    compression::{CompressionLayer, predicate::SizeAbove},
    trace::TraceLayer,
};
use tracing::Level;

#[cfg(feature = "websocket")]
use crate::support::ws;
use crate::support::{
    PATIENCE,
    apps::{Endpoint, open_to_all},
    client::{Frame, Kind, WAYS, Way, http_ways, on_each},
    fresh_id,
    http::{Connection, Request},
    log::Log,
    server::Server,
    until, until_time_has_passed,
};

// Spans and lines of the log.

/// Logs each message, and each in a task of its own too; panics when asked to.
async fn logging(mut session: Session) {
    struct Farewell;
    impl Drop for Farewell {
        fn drop(&mut self) {
            tracing::info!(target: "application", "dropped");
        }
    }
    let _farewell = Farewell;
    tracing::info!(target: "application", "begun");
    while let Some(message) = session.recv().await {
        tracing::info!(target: "application", "got {}", message.as_str().unwrap_or_default());
        session.send(message.clone()).await.ok();
        assert_ne!(message, "panic", "as asked for");
    }
    tracing::info!(target: "application", "over");
}

/// An endpoint with tower-http's default `TraceLayer` around it, and one session that has logged something.
struct Traced {
    server: Server,
    handle: SockJsHandle,
    id: String,
    /// What receives.
    receiver: Connection,
    way: &'static Way,
}

/// Part of each request's query, which may be a secret as well.
const QUERY: &str = "t=t0ken";

fn with_query(mut request: Request) -> Request {
    request.target += if request.target.contains('?') { "&" } else { "?" };
    request.target += QUERY;
    request
}

impl Traced {
    /// The first frame has been read, where there is one: of a stream that goes on, or of a poll that is over.
    async fn open(way: &'static Way, options: Options) -> Self {
        let endpoint = SockJs::new(logging).options(open_to_all(options).disconnect_delay(6 * PATIENCE));
        let handle = endpoint.handle();
        let app = Router::new().nest_service("/app", endpoint).layer(TraceLayer::new_for_http());
        let server = Server::start(app).await;
        let id = fresh_id() + "s3cret";
        let mut receiver = server.connect().await;
        receiver.send(&with_query(way.opening(&id))).await;
        let head = receiver.head().await;
        match way.kind {
            Kind::Socket => assert_eq!(head.status, 101),
            Kind::Poll => assert_eq!(way.read(&text(receiver.body(&head).await)), Frame::Open),
            Kind::Stream => {
                assert!(!receiver.chunk().await.is_empty(), "a prelude");
                assert_eq!(way.read(&receiver.text_chunk().await), Frame::Open);
            }
        }
        Self { server, handle, id, receiver, way }
    }

    async fn send(&mut self, message: &str) {
        #[cfg(feature = "websocket")]
        if self.way.kind == Kind::Socket {
            let payload = if self.way.framed { format!("[{message:?}]") } else { message.to_owned() };
            self.receiver.write(ws::frame(ws::FIN | ws::TEXT, payload.as_bytes())).await;
            return;
        }
        let sending = with_query(self.way.sending(&self.id, format!("[{message:?}]")));
        self.way.expect_taken(&self.server.ask(&sending).await);
    }

    /// The client goes, and the session ends; what that logs last is `line`.
    async fn end(self, log: &Log, line: &str) {
        drop(self.receiver);
        until_time_has_passed("the end of the session", || log.text().contains(line)).await;
    }
}

fn text(bytes: Vec<u8>) -> String {
    String::from_utf8(bytes).expect("frames are UTF-8")
}

/// The lines of the application, and of this crate about the session alone.
fn session_lines(log: &str) -> Vec<String> {
    let is_ours = |line: &&str| {
        line.contains("application: ") || line.contains("session closed") || line.contains("panicked")
    };
    log.lines().filter(is_ours).map(ToOwned::to_owned).collect()
}

#[tokio::test]
async fn a_handlers_lines_name_the_connection_and_nothing_of_the_url() {
    for level in [Level::DEBUG, Level::TRACE] {
        on_each(WAYS, async |way| {
            let log = Log::start(level);
            let mut traced = Traced::open(way, Options::new()).await;
            traced.send("hello").await;
            until("a line of the handler", || log.text().contains("got hello")).await;
            traced.send("panic").await;
            until("the end of the handler", || log.text().contains("panicked")).await;
            traced.end(&log, "session closed").await;
            let log = log.text();
            let lines = session_lines(&log);
            assert!(lines.len() >= 4, "{log}");
            for line in lines {
                assert!(!line.contains("s3cret") && !line.contains("t0ken"), "{line}");
                assert!(!line.contains("uri") && !line.contains("method"), "of the request: {line}");
                let span = line.split_once("session{connection=").map(|(_, span)| span);
                let transport = format!("transport={}}}", way.transport);
                assert!(span.is_some_and(|span| span.contains(&transport)), "{line}");
            }
        })
        .await;
    }
}

/// As with `RUST_LOG=info`, where nothing is said of requests.
#[tokio::test]
async fn at_info_a_handlers_lines_name_the_connection() {
    on_each(WAYS, async |way| {
        let log = Log::start(Level::INFO);
        let mut traced = Traced::open(way, Options::new()).await;
        traced.send("hello").await;
        until("a line of the handler", || log.text().contains("got hello")).await;
        traced.end(&log, "application: dropped").await;
        let lines = session_lines(&log.text());
        assert_eq!(lines.len(), 4, "{lines:?}");
        for line in lines {
            assert!(line.contains("session{connection=") && line.contains(way.transport.name()), "{line}");
        }
    })
    .await;
}

#[tokio::test]
async fn the_end_of_a_session_is_logged_in_its_span() {
    on_each(WAYS, async |way| {
        let log = Log::start(Level::DEBUG);
        let mut traced = Traced::open(way, Options::new()).await;
        traced.send("hello").await;
        until("a line of the handler", || log.text().contains("got hello")).await;
        traced.end(&log, "session closed").await;
        for line in session_lines(&log.text()) {
            assert!(line.contains("session{connection=") && !line.contains("uri="), "{line}");
        }
    })
    .await;
}

/// The span of a request is over with its answer; the session goes on.
#[tokio::test]
async fn a_requests_span_closes_with_its_answer() {
    on_each(WAYS, async |way| {
        let log = Log::start_with_ends_of_spans(Level::DEBUG);
        // A stream ends with its first message.
        let mut traced = Traced::open(way, Options::new().response_limit(1)).await;
        let id = traced.id.clone();
        let opening = with_query(way.opening(&id)).target;
        let has_closed = || {
            let of_request = |line: &str| line.contains(" close ") && line.contains(&opening);
            log.text().lines().any(of_request)
        };
        if way.kind == Kind::Stream {
            traced.send("hello").await;
            until("the end of the stream", || log.text().contains("got hello")).await;
            while !traced.receiver.chunk().await.is_empty() {}
        }
        until(format_args!("the end of the request's span, {}", way.transport), has_closed).await;
        assert_eq!(traced.handle.len(), 1, "the session goes on");
        traced.send("still there").await;
        until("a line of the handler", || log.text().contains("got still there")).await;
    })
    .await;
}

#[tokio::test]
async fn a_stream_that_goes_on_keeps_its_requests_span() {
    on_each(WAYS.iter().filter(|way| way.kind == Kind::Stream), async |way| {
        let log = Log::start_with_ends_of_spans(Level::DEBUG);
        let mut traced = Traced::open(way, Options::new()).await;
        traced.send("hello").await;
        assert_eq!(way.read(&traced.receiver.text_chunk().await), Frame::messages(&["hello"]));
        let opening = with_query(way.receiving(&traced.id)).target;
        assert!(!log.text().lines().any(|line| line.contains(" close ") && line.contains(&opening)));
    })
    .await;
}

#[tokio::test]
async fn the_level_of_the_span_can_be_set() {
    let levels = [Level::ERROR, Level::WARN, Level::INFO, Level::DEBUG, Level::TRACE];
    for shown in levels {
        for level in levels {
            let log = Log::start(shown);
            let handler = |session: Session| async move {
                tracing::error!(target: "application", "begun");
                drop(session);
            };
            let endpoint = SockJs::new(handler).options(open_to_all(Options::new().span_level(level)));
            let server = Server::start(Router::new().nest_service("/app", endpoint)).await;
            server.post(Endpoint::path(&fresh_id(), "xhr"), "").await;
            until("a line of the handler", || log.text().contains("begun")).await;
            let log = log.text();
            let line = log.lines().find(|line| line.contains("begun")).unwrap_or_default();
            // An error is the lowest of levels, as tracing orders them.
            assert_eq!(line.contains("session{connection="), level <= shown, "{level} at {shown}: {line}");
        }
    }
}

// Compression.

/// What a `CompressionLayer` that has no predicate of its own leaves alone.
fn is_left_alone(way: &Way) -> bool {
    way.transport == Transport::EventSource
}

/// Reads the answer to a request piece by piece, unpacked.
struct Unpacked {
    connection: Connection,
    decoder: GzDecoder<Vec<u8>>,
    seen: usize,
}

impl Unpacked {
    /// Reads chunks until there is a whole frame: what the server has sent up to then is enough to unpack it.
    async fn frame(&mut self, way: &Way) -> Frame {
        loop {
            let unpacked = self.decoder.get_ref().get(self.seen..).unwrap_or_default();
            if let Some(frame) = std::str::from_utf8(unpacked).ok().and_then(|text| way.try_read(text)) {
                self.seen = self.decoder.get_ref().len();
                return frame;
            }
            let chunk = self.connection.chunk().await;
            assert!(!chunk.is_empty(), "{}: the end where a frame was expected", way.transport);
            self.decoder.write_all(&chunk).expect("what was sent is gzip");
            self.decoder.flush().expect("what was sent is gzip");
        }
    }
}

fn compressible(request: Request) -> Request {
    request.header("Accept-Encoding", "gzip")
}

/// By the locked version of `async-compression`; that of a while ago held streams back.
#[tokio::test]
async fn each_frame_of_a_compressed_stream_can_be_read_when_it_is_sent() {
    // With tower-http's own predicate, and with one for all that is not tiny.
    for all in [false, true] {
        on_each(WAYS.iter().filter(|way| way.kind == Kind::Stream), async |way| {
            let endpoint = SockJs::new(crate::support::apps::echo).options(open_to_all(Options::new()));
            let app = Router::new().nest_service("/app", endpoint);
            let app = match all {
                true => app.layer(CompressionLayer::new().compress_when(SizeAbove::new(0))),
                false => app.layer(CompressionLayer::new()),
            };
            let server = Server::start(app).await;
            let id = fresh_id();
            let mut connection = server.connect().await;
            connection.send(&compressible(way.receiving(&id))).await;
            let head = connection.head().await;
            if !all && is_left_alone(way) {
                assert_eq!(head.header("content-encoding"), None, "{}: {head}", way.transport);
                return;
            }
            assert_eq!(head.header("content-encoding"), Some("gzip"), "{}: {head}", way.transport);
            // It begins with what another stream begins with.
            let mut plain = server.connect().await;
            plain.send(&way.receiving(&fresh_id())).await;
            plain.head().await;
            let prelude = plain.chunk().await.len();
            let mut answer = Unpacked { connection, decoder: GzDecoder::new(Vec::new()), seen: prelude };
            assert_eq!(answer.frame(way).await, Frame::Open);
            for message in ["a", "is sent", "at a time", &"large".repeat(10_000), "and the last"] {
                way.expect_taken(&server.ask(&way.sending(&id, format!("[{message:?}]"))).await);
                assert_eq!(answer.frame(way).await, Frame::messages(&[message]), "{}", way.transport);
            }
        })
        .await;
    }
}

#[tokio::test]
async fn polls_are_compressed_from_32_bytes_upward() {
    on_each(http_ways().filter(|way| way.kind == Kind::Poll), async |way| {
        let endpoint = SockJs::new(crate::support::apps::echo).options(open_to_all(Options::new()));
        let app = Router::new().nest_service("/app", endpoint).layer(CompressionLayer::new());
        let server = Server::start(app).await;
        let id = fresh_id();
        let opening = server.ask(&compressible(way.receiving(&id))).await;
        assert_eq!(opening.header("content-encoding"), None, "{}: {opening}", way.transport);
        assert_eq!(way.read(opening.text()), Frame::Open);
        for message in ["long enough to be worth compressing", &"large".repeat(10_000)] {
            way.expect_taken(&server.ask(&way.sending(&id, format!("[{message:?}]"))).await);
            let answer = server.ask(&compressible(way.receiving(&id))).await;
            assert_eq!(answer.header("content-encoding"), Some("gzip"), "{}: {answer}", way.transport);
            let mut decoder = GzDecoder::new(Vec::new());
            decoder.write_all(&answer.body).expect("the body is gzip");
            let unpacked = text(decoder.finish().expect("the body is whole"));
            assert_eq!(way.read(&unpacked), Frame::messages(&[message]), "{}", way.transport);
        }
    })
    .await;
}
