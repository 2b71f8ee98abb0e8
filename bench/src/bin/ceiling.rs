//! The machine's limit, to be seen beside the SockJS servers: the same traffic on bare axum and hyper, without
//! sessions that end, JSON, frames, limits or checks.
//!
//! `ceiling [--workers N] [--heartbeat MS] [--tcp]`: prints its address. `/echo/websocket` is a WebSocket.
//! `/echo/SERVER/SESSION/plain_streaming` and `plain_polling` receive what is sent to `plain_send`: messages, each
//! ended by LF, after a first line `o`. `/echo/info` is a fixed answer. With `--tcp`, it answers each byte with itself.
//! A heartbeat is a ping, a line `h` or a byte.

use std::{
    collections::HashMap,
    convert::Infallible,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
    time::Duration,
};

use axum::{
    Router,
    body::Body,
    extract::{
        Path, State, WebSocketUpgrade,
        ws::{Message, WebSocket},
    },
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use clap::Parser;
use http_body::Frame;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::{Instant, Interval, Sleep},
};

/// What waits for one client.
#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    reader: Option<Waker>,
}

type Shared = Arc<Mutex<Queue>>;

#[derive(Clone)]
struct Queues {
    of: Arc<Mutex<HashMap<String, Shared>>>,
    /// How long a client waits for its next heartbeat.
    heartbeat: Duration,
}

impl Queues {
    /// The session's queue, which has an opening line when it is new.
    fn get(&self, session: &str) -> Shared {
        let mut queues = self.of.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(queue) = queues.get(session) {
            return queue.clone();
        }
        let queue = Shared::new(Mutex::new(Queue { waiting: b"o\n".to_vec(), reader: None }));
        queues.insert(session.to_owned(), queue.clone());
        queue
    }
}

fn poll_queue(queue: &Shared, cx: &mut Context<'_>) -> Poll<Bytes> {
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    if queue.waiting.is_empty() {
        queue.reader = Some(cx.waker().clone());
        return Poll::Pending;
    }
    Poll::Ready(std::mem::take(&mut queue.waiting).into())
}

/// A body without end, of all that comes.
struct Stream {
    queue: Shared,
    heartbeat: Duration,
    sleep: Pin<Box<Sleep>>,
}

const HEARTBEAT: Bytes = Bytes::from_static(b"h\n");

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let Self { queue, heartbeat, sleep } = &mut *self;
        let mut bytes = poll_queue(queue, cx);
        while bytes.is_pending() && sleep.as_mut().poll(cx).is_ready() {
            bytes = Poll::Ready(HEARTBEAT);
            sleep.as_mut().reset(Instant::now() + *heartbeat);
        }
        bytes.map(|bytes| Some(Ok(Frame::data(bytes))))
    }
}

const TEXT: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];

async fn streaming(State(queues): State<Queues>, Path((_, session)): Path<(String, String)>) -> Response {
    let Queues { heartbeat, .. } = queues;
    let sleep = Box::pin(tokio::time::sleep(heartbeat));
    (TEXT, Body::new(Stream { queue: queues.get(&session), heartbeat, sleep })).into_response()
}

async fn polling(State(queues): State<Queues>, Path((_, session)): Path<(String, String)>) -> Response {
    let queue = queues.get(&session);
    let bytes = tokio::time::timeout(queues.heartbeat, std::future::poll_fn(|cx| poll_queue(&queue, cx)));
    (TEXT, bytes.await.unwrap_or(HEARTBEAT)).into_response()
}

async fn send(
    State(queues): State<Queues>,
    Path((_, session)): Path<(String, String)>,
    messages: Bytes,
) -> axum::http::StatusCode {
    let queue = queues.get(&session);
    let mut queue = queue.lock().unwrap_or_else(PoisonError::into_inner);
    queue.waiting.extend_from_slice(&messages);
    if let Some(reader) = queue.reader.take() {
        reader.wake();
    }
    axum::http::StatusCode::NO_CONTENT
}

async fn websocket(State(queues): State<Queues>, upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(move |mut socket: WebSocket| async move {
        let mut heartbeat = heartbeats(queues.heartbeat);
        loop {
            let message = tokio::select! {
                biased;
                message = socket.recv() => message,
                _ = heartbeat.tick() => Some(Ok(Message::Ping(Bytes::new()))),
            };
            let Some(Ok(message)) = message else { break };
            if !matches!(message, Message::Pong(_)) && socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

/// Longer than any measurement.
const NEVER: Duration = Duration::from_secs(3600);

fn heartbeats(every: Duration) -> Interval {
    tokio::time::interval_at(Instant::now() + every, every)
}

async fn info() -> impl IntoResponse {
    const INFO: &str = r#"{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":1234567890}"#;
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], INFO)
}

async fn serve(listener: TcpListener, heartbeat: Duration) -> std::io::Result<()> {
    let app = Router::new()
        .route("/echo/websocket", get(websocket))
        .route("/echo/info", get(info))
        .route("/echo/{server}/{session}/plain_streaming", get(streaming))
        .route("/echo/{server}/{session}/plain_polling", get(polling))
        .route("/echo/{server}/{session}/plain_send", post(send))
        .with_state(Queues { of: Arc::default(), heartbeat });
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

async fn serve_tcp(listener: TcpListener, heartbeat: Duration) -> std::io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(echo_bytes(socket, heartbeat));
    }
}

async fn echo_bytes(mut socket: TcpStream, heartbeat: Duration) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    let mut heartbeat = heartbeats(heartbeat);
    loop {
        let length = tokio::select! {
            biased;
            read = socket.read(&mut buffer) => read?,
            _ = heartbeat.tick() => 1,
        };
        if length == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..length]).await?;
    }
}

/// How it is to run.
#[derive(Parser)]
struct Setup {
    #[arg(long, default_value_t = 1)]
    workers: usize,
    #[arg(long, value_name = "MS")]
    heartbeat: Option<u64>,
    #[arg(long)]
    tcp: bool,
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let Setup { workers, heartbeat, tcp } = Setup::parse();
    let heartbeat = heartbeat.map_or(NEVER, Duration::from_millis);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        if tcp { serve_tcp(listener, heartbeat).await } else { serve(listener, heartbeat).await }
    })?;
    Ok(())
}
