//! HTTP/2 on one connection, with its limits.

use std::{
    convert::Infallible,
    pin::{Pin, pin},
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes},
    extract::Request,
    response::Response,
};
use hyper::{
    Method,
    body::{Body as HttpBody, Frame, Incoming, SizeHint},
    server::conn::http2,
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioTimer};
use tokio::{sync::watch, time::sleep};
use tower::{Service, ServiceExt as _};

use crate::connection::{Client, Settings, Stopping};

/// Requests at a time. A page has one that receives per session, and one that sends; a browser has one connection for all of
/// its pages.
const MAX_STREAMS: u32 = 100;

/// What a connection may send before the app reads it, in bytes: so much memory it can cost.
const CONNECTION_WINDOW: u32 = 1 << 20;

/// What one request may send of that.
const STREAM_WINDOW: u32 = 256 << 10;

/// What waits of one answer for its client, in bytes.
const SEND_BUFFER: usize = 64 << 10;

/// The head of a request, in bytes.
const MAX_HEAD: u32 = 32 << 10;

/// A peer that is gone is found by a ping that stays unanswered, since a connection of HTTP/2 stays open for long.
const PING_INTERVAL: Duration = Duration::from_secs(25);
const PONG_TIMEOUT: Duration = Duration::from_secs(10);

impl Settings {
    /// Speaks HTTP/2 on a connection.
    pub(crate) async fn http2<I, S>(self, io: I, client: Client, app: S, stopping: Stopping)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let requests = Requests::default();
        let counter = requests.clone();
        let service = service_fn(move |request: hyper::Request<Incoming>| {
            let mut counted = Counted { body: Body::empty(), count: Some(counter.begin()) };
            let is_connect = request.method() == Method::CONNECT;
            let answer = app.clone().oneshot(client.introduce(request));
            async move {
                let (head, body) = answer.await?.into_parts();
                if is_connect && head.status.is_success() {
                    // A WebSocket outlives its answer, and nobody says when it ends.
                    counted.count.take().into_iter().for_each(Count::stay);
                }
                counted.body = body;
                Ok::<_, Infallible>(hyper::Response::from_parts(head, counted))
            }
        });
        let mut http = http2::Builder::new(TokioExecutor::new());
        http.timer(TokioTimer::new())
            .enable_connect_protocol()
            .max_concurrent_streams(MAX_STREAMS)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .initial_stream_window_size(STREAM_WINDOW)
            .max_send_buf_size(SEND_BUFFER)
            .max_header_list_size(MAX_HEAD)
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PONG_TIMEOUT);
        let mut connection = pin!(http.serve_connection(io, service));
        let limit = self.header_read_timeout;
        // An error is the client's: it has broken off, or sent no HTTP/2.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = stopping.idle_end.cancelled() => {}
            () = requests.none_for(limit) => {}
        }
        connection.as_mut().graceful_shutdown();
        // Nor need a client agree to the end, or have sent anything yet.
        tokio::select! {
            _ = connection => {}
            () = requests.none_for(limit) => {}
        }
    }
}

/// How many requests of a connection are under way.
#[derive(Debug, Clone, Default)]
struct Requests(Arc<watch::Sender<usize>>);

impl Requests {
    fn begin(&self) -> Count {
        self.0.send_modify(|count| *count += 1);
        Count(Self::clone(self))
    }

    /// Completes when none has been under way for this long.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    async fn none_for(&self, limit: Option<Duration>) {
        let Some(limit) = limit else { return std::future::pending().await };
        let mut count = self.0.subscribe();
        loop {
            // There is no error: the sender is here.
            let _ = count.wait_for(|&count| count == 0).await;
            tokio::select! {
                () = sleep(limit) => return,
                _ = count.changed() => {}
            }
        }
    }
}

/// A request that is under way until this is dropped.
#[derive(Debug)]
struct Count(Requests);

impl Count {
    /// The request is under way as long as its connection is there.
    fn stay(self) {
        self.0.0.send_modify(|count| *count += 1);
    }
}

impl Drop for Count {
    fn drop(&mut self) {
        self.0.0.send_modify(|count| *count -= 1);
    }
}

/// The body of an answer, whose request is under way as long as it exists.
struct Counted {
    body: Body,
    count: Option<Count>,
}

impl HttpBody for Counted {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Self::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, http::Request as Plain, routing};
    use hyper::client::conn::http2::SendRequest;
    use hyper_util::rt::TokioIo;
    use tokio::{
        io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
        task::JoinHandle,
        time::Instant,
    };

    use super::*;

    const LIMIT: Duration = Duration::from_secs(10);

    /// A connection, and the server's end of it in a task. `/stream` has no end.
    fn serve(limit: Option<Duration>) -> (DuplexStream, JoinHandle<()>) {
        let app = Router::new()
            .route("/", routing::any(async || "hello"))
            .route("/stream", routing::any(async || Body::new(Endless)));
        let settings = Settings {
            header_read_timeout: limit,
            half_close: false,
            tcp_user_timeout: None,
            #[cfg(feature = "rustls")]
            tls_handshake_timeout: LIMIT,
        };
        let client = Client::without_tls(([127, 0, 0, 1], 1).into());
        let (near, far) = duplex(64 << 10);
        let server = settings.http2(TokioIo::new(far), client, app, Stopping::default());
        (near, tokio::spawn(server))
    }

    struct Endless;

    impl HttpBody for Endless {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            self: Pin<&mut Self>,
            _: &mut Context<'_>,
        ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
            Poll::Pending
        }
    }

    type Requests = SendRequest<Body>;

    async fn connect(limit: Option<Duration>) -> (Requests, JoinHandle<()>) {
        let (near, server) = serve(limit);
        let handshake = hyper::client::conn::http2::handshake(TokioExecutor::new(), TokioIo::new(near));
        let (requests, connection) = handshake.await.expect("a client begins");
        tokio::spawn(connection);
        (requests, server)
    }

    async fn ask(requests: &mut Requests, request: Plain<Body>) -> hyper::Response<Incoming> {
        let answer = requests.send_request(request).await.expect("the connection is there");
        assert!(answer.status().is_success());
        answer
    }

    fn get(path: &str) -> Plain<Body> {
        Plain::get(format!("http://localhost{path}")).body(Body::empty()).expect("a request")
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_nothing_is_under_way_is_ended() {
        let (mut requests, server) = connect(Some(LIMIT)).await;
        for _ in 0..3 {
            sleep(LIMIT - Duration::from_millis(1)).await;
            drop(ask(&mut requests, get("/")).await);
        }
        let stream = ask(&mut requests, get("/stream")).await;
        sleep(10 * LIMIT).await;
        assert!(!server.is_finished(), "a stream is under way");
        drop(stream);
        let idle = Instant::now();
        server.await.expect("it does not panic");
        assert_eq!(idle.elapsed().as_secs(), LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_on_which_a_websocket_was_opened_stays() {
        let (mut requests, server) = connect(Some(LIMIT)).await;
        let socket = Plain::connect("http://localhost/")
            .extension(hyper::ext::Protocol::from_static("websocket"))
            .body(Body::empty())
            .expect("a request");
        let socket = ask(&mut requests, socket).await;
        sleep(10 * LIMIT).await;
        assert!(!server.is_finished());
        drop((requests, socket));
        server.await.expect("it does not panic");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_does_not_begin_is_given_up() {
        let (_near, server) = serve(Some(LIMIT));
        let begin = Instant::now();
        server.await.expect("it does not panic");
        assert_eq!(begin.elapsed().as_secs(), 2 * LIMIT.as_secs());
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_is_told_the_limits_and_found_by_a_ping_when_it_is_gone() {
        let (mut near, server) = serve(None);
        let begin = Instant::now();
        near.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.expect("it is open");
        let settings = frame(&mut near).await;
        assert_eq!(settings.0, 4);
        let told: Vec<_> = settings
            .1
            .chunks(6)
            .map(|setting| (u16::from_be_bytes([setting[0], setting[1]]), number(&setting[2..])))
            .collect();
        // RFC 9113, 6.5.2, and RFC 8441.
        for setting in [(3, MAX_STREAMS), (4, STREAM_WINDOW), (6, MAX_HEAD), (8, 1)] {
            assert!(told.contains(&setting), "{setting:?}: {told:?}");
        }
        let mut seen = Vec::new();
        // It ends while nothing is answered.
        while !server.is_finished() {
            let Some(frame) = try_frame(&mut near).await else { break };
            seen.push(frame);
        }
        server.await.expect("it does not panic");
        assert!(seen.contains(&(8, (CONNECTION_WINDOW - 65_535).to_be_bytes().to_vec())), "{seen:?}");
        assert_eq!(begin.elapsed().as_secs(), (PING_INTERVAL + PONG_TIMEOUT).as_secs());
    }

    /// The type and the contents of the next frame.
    async fn frame(near: &mut DuplexStream) -> (u8, Vec<u8>) {
        try_frame(near).await.expect("a frame comes")
    }

    async fn try_frame(near: &mut DuplexStream) -> Option<(u8, Vec<u8>)> {
        let mut head = [0; 9];
        near.read_exact(&mut head).await.ok()?;
        let length = number(&[0, head[0], head[1], head[2]]);
        let mut contents = vec![0; usize::try_from(length).ok()?];
        near.read_exact(&mut contents).await.ok()?;
        Some((head[3], contents))
    }

    fn number(bytes: &[u8]) -> u32 {
        bytes.iter().fold(0, |number, &byte| number << 8 | u32::from(byte))
    }
}
