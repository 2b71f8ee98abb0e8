//! Servers in memory, for unit tests under a paused clock.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::{Arc, Mutex},
    task::{Context, Poll},
    time::Duration,
};

use http::Uri;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, DuplexStream, ReadBuf},
    time::{Instant, sleep},
};

use crate::{
    client::Client,
    connector::{Connector, Dial, Dialing, Stream},
    http::Pool,
};

/// A request: when it came, to which host, and its head.
#[derive(Debug, Clone)]
pub(crate) struct Seen {
    pub(crate) at: Duration,
    pub(crate) host: String,
    pub(crate) head: String,
    pub(crate) body: String,
}

impl Seen {
    pub(crate) fn target(&self) -> &str {
        self.head.split(' ').nth(1).unwrap_or_default()
    }

    /// The last part of the path.
    pub(crate) fn name(&self) -> &str {
        self.target().split('?').next().unwrap_or_default().rsplit('/').next().unwrap_or_default()
    }
}

/// What a server does with a request.
#[derive(Debug)]
pub(crate) enum Answer {
    /// Sends bytes, each behind a delay, and takes the next request.
    Parts(Vec<(Duration, Vec<u8>)>),
    /// Says nothing, as long as the connection lasts.
    Silence,
}

impl Answer {
    pub(crate) fn at_once(text: impl Into<Vec<u8>>) -> Self {
        Self::after(Duration::ZERO, text)
    }

    pub(crate) fn after(delay: Duration, text: impl Into<Vec<u8>>) -> Self {
        Self::Parts(vec![(delay, text.into())])
    }

    /// A response of status 200 with this body.
    pub(crate) fn ok(body: &str) -> Self {
        Self::at_once(ok(body))
    }
}

pub(crate) fn ok(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[derive(Debug, Clone, Default)]
pub(crate) struct Log(Arc<Mutex<Vec<Seen>>>);

impl Log {
    pub(crate) fn all(&self) -> Vec<Seen> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.all().iter().map(|seen| seen.name().to_owned()).collect()
    }
}

/// A client whose connections, to any host, lead to this server.
pub(crate) fn client(url: &str, answer: impl Fn(&Seen) -> Answer + Send + Sync + 'static) -> (Client, Log) {
    let log = Log::default();
    let server = Server { began: Instant::now(), log: log.clone(), answer: Arc::new(answer) };
    let connector = Connector::new(server);
    (Client::new(url).unwrap().with_pool(Pool::new(connector.clone(), connector)), log)
}

#[derive(Clone)]
struct Server {
    began: Instant,
    log: Log,
    answer: Arc<dyn Fn(&Seen) -> Answer + Send + Sync>,
}

impl Dial for Server {
    fn dial(&self, uri: Uri) -> Dialing {
        let (client, server) = tokio::io::duplex(64 << 10);
        tokio::spawn(self.clone().serve(server, uri.host().unwrap_or_default().to_owned()));
        Box::pin(async { Ok(Stream::new(TokioIo::new(End { io: client, is_http2: false }))) })
    }
}

/// A client whose connections are in HTTP/2 and dead, and how many there were.
#[cfg(feature = "http2")]
pub(crate) fn dead_http2(url: &str) -> (Client, Arc<std::sync::atomic::AtomicUsize>) {
    #[derive(Default)]
    struct Dead(Arc<std::sync::atomic::AtomicUsize>);

    impl Dial for Dead {
        fn dial(&self, _: Uri) -> Dialing {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (client, mut server) = tokio::io::duplex(64 << 10);
            tokio::spawn(async move { _ = server.read_to_end(&mut Vec::new()).await });
            Box::pin(async { Ok(Stream::new(TokioIo::new(End { io: client, is_http2: true }))) })
        }
    }

    let dead = Dead::default();
    let dialed = dead.0.clone();
    let connector = Connector::new(dead);
    (Client::new(url).unwrap().with_pool(Pool::new(connector.clone(), connector)), dialed)
}

/// A client whose connections are in HTTP/2, of a server with one stream that stays open, and how many there were.
#[cfg(all(feature = "http2", feature = "test"))]
pub(crate) fn live_http2(url: &str) -> (Client, Arc<std::sync::atomic::AtomicUsize>) {
    use bytes::Bytes;
    use futures_util::{StreamExt as _, stream};
    use http_body_util::StreamBody;
    use hyper::{Response, body::Frame, server::conn::http2, service::service_fn};
    use hyper_util::rt::{TokioExecutor, TokioTimer};

    #[derive(Default)]
    struct Live(Arc<std::sync::atomic::AtomicUsize>);

    impl Dial for Live {
        fn dial(&self, _: Uri) -> Dialing {
            self.0.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
            let (client, server) = tokio::io::duplex(64 << 10);
            let service = service_fn(|request: hyper::Request<hyper::body::Incoming>| async move {
                let (body, stays) = match request.uri().path().rsplit('/').next() {
                    Some("info") => ("{}", false),
                    Some("xhr_streaming") => ("o\n", true),
                    _ => ("", false),
                };
                let frame = Ok::<_, io::Error>(Frame::data(Bytes::from(body)));
                let rest = stream::pending().take(usize::from(stays));
                Ok::<_, io::Error>(Response::new(StreamBody::new(stream::iter([frame]).chain(rest))))
            });
            let mut builder = http2::Builder::new(TokioExecutor::new());
            builder.timer(TokioTimer::new());
            tokio::spawn(builder.serve_connection(TokioIo::new(server), service));
            Box::pin(async { Ok(Stream::new(TokioIo::new(End { io: client, is_http2: true }))) })
        }
    }

    let live = Live::default();
    let dialed = live.0.clone();
    let connector = Connector::new(live);
    (Client::new(url).unwrap().with_pool(Pool::new(connector.clone(), connector)), dialed)
}

impl Server {
    async fn serve(self, mut io: DuplexStream, host: String) {
        let mut buffer = Vec::new();
        loop {
            let text = String::from_utf8_lossy(&buffer).into_owned();
            let request = text.split_once("\r\n\r\n").and_then(|(head, rest)| {
                let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
                let length = length.map_or(0, |length| length.parse().unwrap());
                (rest.len() >= length).then(|| (head.to_owned(), rest[..length].to_owned()))
            });
            let Some((head, body)) = request else {
                if io.read_buf(&mut buffer).await.unwrap_or_default() == 0 {
                    return;
                }
                continue;
            };
            buffer.drain(..head.len() + 4 + body.len());
            let seen = Seen { at: self.began.elapsed(), host: host.clone(), head, body };
            self.log.0.lock().unwrap().push(seen.clone());
            match (self.answer)(&seen) {
                Answer::Parts(parts) => {
                    for (delay, text) in parts {
                        sleep(delay).await;
                        if io.write_all(&text).await.is_err() {
                            return;
                        }
                    }
                }
                Answer::Silence => _ = io.read_to_end(&mut buffer).await,
            }
        }
    }
}

/// The client's end of a connection.
struct End {
    io: DuplexStream,
    is_http2: bool,
}

impl AsyncRead for End {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buffer)
    }
}

impl AsyncWrite for End {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connection for End {
    fn connected(&self) -> Connected {
        if self.is_http2 { Connected::new().negotiated_h2() } else { Connected::new() }
    }
}

/// How long a future takes.
pub(crate) async fn timed<T>(future: impl Future<Output = T>) -> (Duration, T) {
    let began = Instant::now();
    let value = future.await;
    (began.elapsed(), value)
}
