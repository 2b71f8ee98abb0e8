//! A server of a few lines, which says what a test tells it to: bytes that no library would send.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use sockjs_client::{Client, Transport};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    runtime::{Builder, Handle, Runtime},
    sync::Notify,
    time::{sleep, timeout},
};
use tokio_tungstenite::tungstenite::handshake::derive_accept_key;

use super::soon;

/// What is more than any client should take: the buffers of the system's sockets hold less.
const MUCH: usize = 64 << 20;

/// No connection of a test lives longer.
const LIFE: Duration = Duration::from_secs(60);

/// A server in a runtime of its own, so that all tasks of the test's runtime are the client's.
pub(crate) struct RawServer {
    pub(crate) addr: SocketAddr,
    state: Arc<State>,
    runtime: Option<Runtime>,
}

#[derive(Default)]
struct State {
    /// Connections that the client has not closed.
    open: AtomicUsize,
    /// Bytes that the sockets have taken from this side.
    written: AtomicUsize,
    /// Whether the test has come to its end.
    is_over: AtomicBool,
    requests: Mutex<Vec<Request>>,
    tell: Notify,
}

/// A request, with its body.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) head: String,
    pub(crate) body: Vec<u8>,
}

impl Request {
    /// The last part of the path, which says what is asked for.
    pub(crate) fn name(&self) -> &str {
        let target = self.head.split(' ').nth(1).unwrap_or_default();
        let path = target.split('?').next().unwrap_or_default();
        path.rsplit('/').next().unwrap_or_default()
    }

    /// The JSON of its messages, out of the form if it is one.
    pub(crate) fn payload(&self) -> Vec<u8> {
        match self.body.strip_prefix(b"d=") {
            Some(form) => {
                url::form_urlencoded::parse(&[b"d=", form].concat()).next().unwrap().1.into_owned().into()
            }
            None => self.body.clone(),
        }
    }

    /// The value of a header, by its name in lower case.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.head.lines().skip(1).find_map(|line| {
            let (key, value) = line.split_once(':')?;
            key.eq_ignore_ascii_case(name).then(|| value.trim())
        })
    }
}

impl RawServer {
    /// Starts a server that answers each request but `/info` by a function. That returns the connection if it takes
    /// another request.
    pub(crate) fn new<F, A>(answer: F) -> Self
    where
        F: Fn(Request, Conn) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Option<Conn>> + Send + 'static,
    {
        Self::of(move |request, conn| {
            let answer = answer.clone();
            async move { if request.name() == "info" { conn.ok("{}").await } else { answer(request, conn).await } }
        })
    }

    /// Starts a server that answers each request by a function.
    pub(crate) fn of<F, A>(answer: F) -> Self
    where
        F: Fn(Request, Conn) -> A + Clone + Send + Sync + 'static,
        A: Future<Output = Option<Conn>> + Send + 'static,
    {
        let runtime = Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let addr = listener.local_addr().unwrap();
        let state = Arc::new(State::default());
        let shared = state.clone();
        runtime.spawn(async move {
            let listener = TcpListener::from_std(listener).unwrap();
            while let Ok((io, _)) = listener.accept().await {
                shared.open.fetch_add(1, Ordering::SeqCst);
                let conn = Conn { io, buffer: Vec::new(), state: shared.clone() };
                tokio::spawn(timeout(LIFE, serve(conn, answer.clone())));
            }
        });
        Self { addr, state, runtime: Some(runtime) }
    }

    pub(crate) fn client(&self) -> Client {
        Client::new(&format!("http://{}/app", self.addr)).unwrap()
    }

    /// A client that tries one transport, and has time: the machine may be busy.
    pub(crate) fn only(&self, transport: Transport) -> Client {
        self.client().transports([transport]).min_open_timeout(Duration::from_secs(20))
    }

    pub(crate) fn written(&self) -> usize {
        self.state.written.load(Ordering::SeqCst)
    }

    pub(crate) fn open(&self) -> usize {
        self.state.open.load(Ordering::SeqCst)
    }

    /// The requests whose path ends with this name.
    pub(crate) fn requests(&self, name: &str) -> Vec<Request> {
        let requests = self.state.requests.lock().unwrap();
        requests.iter().filter(|request| request.name() == name).cloned().collect()
    }

    /// Lets one connection go on that waits by [`Conn::told`].
    pub(crate) fn tell(&self) {
        self.state.tell.notify_one();
    }

    /// Waits until a request has come.
    pub(crate) async fn asked(&self, name: &str) {
        soon(name, async {
            while self.requests(name).is_empty() {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }

    /// The messages that have come by requests, as JSON.
    pub(crate) fn posted(&self) -> Vec<String> {
        let sends = self.requests("xhr_send").into_iter();
        sends.map(|request| String::from_utf8(request.body).unwrap()).collect()
    }

    /// Forgets the requests so far.
    pub(crate) fn forget(&self) {
        self.state.requests.lock().unwrap().clear();
    }

    /// Waits until the client has closed all connections, and its tasks have ended.
    pub(crate) async fn nothing_is_left(&self) {
        self.state.is_over.store(true, Ordering::SeqCst);
        soon(&format!("the end of {} connections", self.open()), async {
            while self.open() > 0 || alive_tasks() > 0 {
                sleep(Duration::from_millis(1)).await;
            }
        })
        .await;
    }
}

impl Drop for RawServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// The tasks of the test's runtime.
pub(crate) fn alive_tasks() -> usize {
    Handle::current().metrics().num_alive_tasks()
}

async fn serve<F, A>(mut conn: Conn, answer: F)
where
    F: Fn(Request, Conn) -> A,
    A: Future<Output = Option<Conn>>,
{
    while let Some(request) = conn.request().await {
        conn.state.requests.lock().unwrap().push(request.clone());
        match answer(request, conn).await {
            Some(open) => conn = open,
            None => return,
        }
    }
}

/// The server's end of a connection. It counts as open until the client has closed it, or this side has.
pub(crate) struct Conn {
    io: TcpStream,
    buffer: Vec<u8>,
    state: Arc<State>,
}

impl Drop for Conn {
    fn drop(&mut self) {
        self.state.open.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Conn {
    async fn request(&mut self) -> Option<Request> {
        let length = loop {
            if let Some(at) = self.buffer.windows(4).position(|bytes| bytes == b"\r\n\r\n") {
                break at + 4;
            }
            self.more().await?;
        };
        let head = String::from_utf8(self.buffer.drain(..length).collect()).unwrap();
        let mut request = Request { head, body: Vec::new() };
        let body = request.header("content-length").map_or(0, |length| length.parse().unwrap());
        while self.buffer.len() < body {
            self.more().await?;
        }
        request.body = self.buffer.drain(..body).collect();
        Some(request)
    }

    async fn more(&mut self) -> Option<()> {
        let mut piece = [0; 4096];
        let length = self.io.read(&mut piece).await.ok().filter(|&length| length > 0)?;
        self.buffer.extend_from_slice(&piece[..length]);
        Some(())
    }

    /// Sends bytes. `None` if the client has closed.
    pub(crate) async fn say(&mut self, bytes: impl AsRef<[u8]>) -> Option<()> {
        let bytes = bytes.as_ref();
        self.io.write_all(bytes).await.ok()?;
        self.state.written.fetch_add(bytes.len(), Ordering::SeqCst);
        Some(())
    }

    /// Sends the same bytes until the client closes, or has taken much more than it should.
    pub(crate) async fn endlessly(mut self, piece: impl AsRef<[u8]>) -> Option<Self> {
        let piece = piece.as_ref();
        let piece = piece.repeat((4096 / piece.len()).max(1));
        let mut sent = 0;
        while sent < MUCH {
            self.say(&piece).await?;
            sent += piece.len();
        }
        self.idle().await
    }

    /// Waits until the test has seen what it was to see.
    pub(crate) async fn told(&self) {
        self.state.tell.notified().await;
    }

    /// Says nothing more, and reads what comes until the client closes.
    pub(crate) async fn idle(mut self) -> Option<Self> {
        while self.more().await.is_some() {}
        None
    }

    /// Neither writes nor reads, until the test looks whether the client has closed.
    pub(crate) async fn deaf(self) -> Option<Self> {
        while !self.state.is_over.load(Ordering::SeqCst) {
            sleep(Duration::from_millis(5)).await;
        }
        self.idle().await
    }

    /// Answers with a whole response.
    pub(crate) async fn answer(mut self, status: &str, headers: &str, body: &str) -> Option<Self> {
        let head = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n{headers}\r\n{body}", body.len());
        self.say(head).await?;
        Some(self)
    }

    pub(crate) async fn ok(self, body: &str) -> Option<Self> {
        self.answer("200 OK", "", body).await
    }

    /// Begins a response in chunks.
    pub(crate) async fn stream(&mut self, content_type: &str) -> Option<()> {
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Type";
        self.say(format!("{head}: {content_type}\r\n\r\n")).await
    }

    pub(crate) async fn chunk(&mut self, bytes: &str) -> Option<()> {
        self.say(format!("{:x}\r\n{bytes}\r\n", bytes.len())).await
    }

    /// Answers a receiving request: begins a stream, or a response that lasts as long as the connection.
    pub(crate) async fn receiver(&mut self) -> Option<()> {
        self.say("HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n").await
    }

    /// Does the handshake of a WebSocket.
    pub(crate) async fn websocket(&mut self, request: &Request) -> Option<()> {
        self.handshake(request, "").await
    }

    pub(crate) async fn handshake(&mut self, request: &Request, headers: &str) -> Option<()> {
        let accept = derive_accept_key(request.header("sec-websocket-key")?.as_bytes());
        let head = "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n";
        self.say(format!("{head}Sec-WebSocket-Accept: {accept}\r\n{headers}\r\n")).await
    }

    /// Sends a frame of WebSocket: a message of text, if it is short.
    pub(crate) async fn text(&mut self, text: &str) -> Option<()> {
        self.say([&[0x81, text.len() as u8], text.as_bytes()].concat()).await
    }

    /// Reads one frame of WebSocket: its first byte, and its payload.
    pub(crate) async fn frame(&mut self) -> Option<(u8, Vec<u8>)> {
        while self.buffer.len() < 2 {
            self.more().await?;
        }
        assert_eq!(self.buffer[1] & 0x80, 0x80, "a client masks its frames");
        let (length, at) = match self.buffer[1] & 0x7f {
            126 => {
                while self.buffer.len() < 4 {
                    self.more().await?;
                }
                (usize::from(u16::from_be_bytes([self.buffer[2], self.buffer[3]])), 4)
            }
            127 => panic!("a test sends no such frame"),
            short => (usize::from(short), 2),
        };
        while self.buffer.len() < at + 4 + length {
            self.more().await?;
        }
        let bytes: Vec<u8> = self.buffer.drain(..at + 4 + length).collect();
        let (mask, payload) = bytes[at..].split_at(4);
        Some((bytes[0], payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()))
    }

    /// Closes with a reset.
    #[allow(
        deprecated,
        reason = "a linger time of zero does not block, and older versions of tokio know no other way"
    )]
    pub(crate) fn reset(self) {
        self.io.set_linger(Some(Duration::ZERO)).unwrap();
    }
}
