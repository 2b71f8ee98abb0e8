//! Connections in process whose buffers and clock are the test's own: each deadline is exact, and each byte that
//! the server holds for a client is counted.

use std::time::Duration;

use axum::{Router, body::Body};
use axum_sockjs::{Message, Options, Origins, SendError, Session, SockJs, SockJsHandle};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _, DuplexStream, duplex},
    sync::mpsc,
};
use tower::ServiceExt as _;

#[cfg(feature = "websocket")]
use crate::support::apps::Endpoint;
use crate::support::{
    client::{Kind, WAYS, Way},
    fresh_id, settle, soon,
};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

pub(crate) const WRITE: Duration = Duration::from_secs(10);

/// What the connection holds of what the client has not read.
pub(crate) const PIPE: usize = 4 << 10;

/// What hyper holds of a response before it asks for more of it: its default, and one chunk beyond.
pub(crate) const HYPER: usize = (8 << 10) + 100 * (4 << 10) + CHUNK;

/// What the WebSocket library holds before it takes no more, and one frame of the default size beyond.
pub(crate) const WEBSOCKET: usize = (128 << 10) + (128 << 10) + CHUNK;

pub(crate) const CHUNK: usize = 64 << 10;

pub(crate) fn streaming() -> impl Iterator<Item = &'static Way> {
    WAYS.iter().filter(|way| way.kind != Kind::Poll)
}

/// A stream would come to its end by itself.
pub(crate) fn endless(way: &Way, options: Options) -> Options {
    let options = options.origins(Origins::any());
    if way.kind == Kind::Stream { options.response_limit(1 << 30) } else { options }
}

/// An endpoint in process, whose application is the test.
pub(crate) struct Stage {
    pub(crate) app: Router,
    pub(crate) handle: SockJsHandle,
    pub(crate) sessions: mpsc::UnboundedReceiver<Session>,
}

impl Stage {
    pub(crate) fn new(way: &Way, options: Options) -> Self {
        let (sender, sessions) = mpsc::unbounded_channel();
        let endpoint = SockJs::new(move |session: Session| async move {
            sender.send(session).ok();
        });
        let endpoint = endpoint.options(endless(way, options));
        let handle = endpoint.handle();
        Self { app: Router::new().nest_service("/app", endpoint), handle, sessions }
    }

    /// A connection to the server.
    pub(crate) fn connect(&self) -> DuplexStream {
        let (client, server) = duplex(PIPE);
        let app = self.app.clone();
        let service =
            service_fn(move |request: hyper::Request<Incoming>| app.clone().oneshot(request.map(Body::new)));
        let connection = http1::Builder::new().serve_connection(TokioIo::new(server), service);
        tokio::spawn(connection.with_upgrades());
        client
    }

    /// A session whose client has seen that it opened, and reads only when told.
    pub(crate) async fn open(&mut self, way: &Way) -> (DuplexStream, Session) {
        self.open_as(way, &fresh_id()).await
    }

    pub(crate) async fn open_as(&mut self, way: &Way, id: &str) -> (DuplexStream, Session) {
        let mut connection = self.connect();
        let (request, head) = match way.kind {
            #[cfg(feature = "websocket")]
            Kind::Socket => {
                let path =
                    if way.framed { Endpoint::path(id, way.receive) } else { "/app/websocket".to_owned() };
                // Behind the head, `o` in a frame of one byte; the raw one sends nothing.
                (
                    crate::support::ws::handshake(path),
                    if way.framed { "\r\n\r\n\u{fffd}\u{1}o" } else { "\r\n\r\n" },
                )
            }
            _ => (way.receiving(id), "o"),
        };
        connection.write_all(&request.to_bytes()).await.expect("the server reads");
        let mut seen = Vec::new();
        while !String::from_utf8_lossy(&seen).contains("\r\n\r\n")
            || !String::from_utf8_lossy(&seen).trim_end_matches(['\r', '\n']).contains(head.trim_end())
        {
            let mut more = vec![0; 512];
            let read =
                soon(&format!("more than {}", String::from_utf8_lossy(&seen)), connection.read(&mut more))
                    .await
                    .expect("the server writes");
            assert!(read > 0, "{}", String::from_utf8_lossy(&seen));
            seen.extend_from_slice(&more[..read]);
        }
        let session =
            soon(&format!("a session for {}", String::from_utf8_lossy(&seen)), self.sessions.recv())
                .await
                .expect("the endpoint is alive");
        settle().await;
        (connection, session)
    }
}

/// Sends until nothing moves any more, and says how many bytes went in.
pub(crate) async fn fill(session: &Session) -> usize {
    let message = Message::from("x".repeat(CHUNK));
    let mut taken = 0;
    loop {
        match session.try_send(message.clone()) {
            Ok(()) => taken += CHUNK,
            Err(SendError::Full(_)) => {
                settle().await;
                if let Err(SendError::Full(_)) = session.try_send(message.clone()) {
                    return taken;
                }
                taken += CHUNK;
            }
            Err(error) => panic!("{error}"),
        }
    }
}

pub(crate) async fn read(connection: &mut DuplexStream, bytes: usize) {
    let mut some = vec![0; bytes];
    soon("bytes", connection.read_exact(&mut some)).await.expect("the server writes");
    settle().await;
}
