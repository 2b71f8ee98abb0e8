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
