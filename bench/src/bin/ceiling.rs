//! The machine's limit, to be seen beside the SockJS servers: the same traffic on bare axum and hyper, without
//! sessions that end, JSON, frames, limits or checks.
//!
//! `ceiling [--workers N]`: prints its address. `/echo` is a WebSocket. `/echo/SERVER/SESSION/plain_streaming`
//! and `plain_polling` receive what is sent to `plain_send`: messages, each ended by LF, after a first line `o`.
//! `/echo/info` is a fixed answer. With `--tcp`, it answers each byte with itself.

use std::{
    collections::HashMap,
    convert::Infallible,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, Waker},
};

use axum::{
    Router,
    body::Body,
    extract::{Path, State, WebSocketUpgrade, ws::WebSocket},
    http::header,
    response::{IntoResponse, Response},
    routing::{get, post},
    serve::ListenerExt,
};
use bytes::Bytes;
use http_body::Frame;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What waits for one client.
#[derive(Default)]
struct Queue {
    waiting: Vec<u8>,
    reader: Option<Waker>,
}

type Shared = Arc<Mutex<Queue>>;

#[derive(Clone, Default)]
struct Queues(Arc<Mutex<HashMap<String, Shared>>>);

impl Queues {
    /// The session's queue, which has an opening line when it is new.
    fn get(&self, session: &str) -> Shared {
        let mut queues = self.0.lock().unwrap_or_else(PoisonError::into_inner);
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
struct Stream(Shared);

impl http_body::Body for Stream {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        poll_queue(&self.0, cx).map(|bytes| Some(Ok(Frame::data(bytes))))
    }
}

const TEXT: [(header::HeaderName, &str); 1] = [(header::CONTENT_TYPE, "text/plain; charset=UTF-8")];

async fn streaming(State(queues): State<Queues>, Path((_, session)): Path<(String, String)>) -> Response {
    (TEXT, Body::new(Stream(queues.get(&session)))).into_response()
}

async fn polling(State(queues): State<Queues>, Path((_, session)): Path<(String, String)>) -> Response {
    let queue = queues.get(&session);
    let bytes = std::future::poll_fn(|cx| poll_queue(&queue, cx)).await;
    (TEXT, bytes).into_response()
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

async fn websocket(upgrade: WebSocketUpgrade) -> Response {
    upgrade.on_upgrade(|mut socket: WebSocket| async move {
        while let Some(Ok(message)) = socket.recv().await {
            if socket.send(message).await.is_err() {
                break;
            }
        }
    })
}

async fn info() -> impl IntoResponse {
    const INFO: &str = r#"{"websocket":true,"origins":["*:*"],"cookie_needed":false,"entropy":1234567890}"#;
    ([(header::CONTENT_TYPE, "application/json; charset=UTF-8")], INFO)
}

async fn serve(listener: TcpListener) -> std::io::Result<()> {
    let app = Router::new()
        .route("/echo/websocket", get(websocket))
        .route("/echo/info", get(info))
        .route("/echo/{server}/{session}/plain_streaming", get(streaming))
        .route("/echo/{server}/{session}/plain_polling", get(polling))
        .route("/echo/{server}/{session}/plain_send", post(send))
        .with_state(Queues::default());
    axum::serve(listener.tap_io(|tcp| _ = tcp.set_nodelay(true)), app).await
}

async fn serve_tcp(listener: TcpListener) -> std::io::Result<()> {
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        tokio::spawn(echo_bytes(socket));
    }
}

async fn echo_bytes(mut socket: TcpStream) -> std::io::Result<()> {
    let mut buffer = vec![0; 64 << 10];
    loop {
        let read = socket.read(&mut buffer).await?;
        if read == 0 {
            return Ok(());
        }
        socket.write_all(&buffer[..read]).await?;
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut workers = 1;
    let mut tcp = false;
    let mut args = std::env::args().skip(1);
    while let Some(flag) = args.next() {
        match flag.as_str() {
            "--tcp" => tcp = true,
            "--workers" => workers = args.next().ok_or("--workers needs a value")?.parse()?,
            _ => return Err(format!("unknown option {flag}").into()),
        }
    }
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(workers).enable_all().build()?;
    runtime.block_on(async {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        println!("listening on http://{}", listener.local_addr()?);
        if tcp { serve_tcp(listener).await } else { serve(listener).await }
    })?;
    Ok(())
}
