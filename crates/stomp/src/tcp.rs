//! STOMP over TCP.
//!
//! Imports: driver, stomp, stream.

use std::{
    fmt,
    future::{Future, IntoFuture, pending},
    io,
    net::SocketAddr,
    time::Duration,
};

use axum::extract::ConnectInfo;
use futures_util::future::BoxFuture;
use http::{Request, request::Parts};
use tokio::{
    io::{AsyncRead, AsyncWrite},
    net::{TcpListener, TcpStream},
    sync::watch,
    task::JoinSet,
    time::{sleep, timeout},
};

use crate::{
    driver::{Connection, serve},
    stomp::StompServer,
    stream::Stream,
};

/// How many connections are open at the same time, unless set.
const MAX_CONNECTIONS: usize = 10_000;

/// How long a shutdown waits for sessions, unless set.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(15);

/// How long nothing is accepted after the process has run out of file descriptors.
const PAUSE: Duration = Duration::from_secs(1);

impl<S> StompServer<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// Serves STOMP over TCP. Nothing happens until the result is awaited.
    ///
    /// Handlers have this state. The request that extractors see is a `GET /` with the client's address in its
    /// extensions, for [`ConnectInfo`].
    ///
    /// Anybody who can connect is a client: an [`on_connect`](crate::Stomp::on_connect) that asks for credentials is
    /// advised, and TLS where others can listen: see [`serve_stream`](Self::serve_stream).
    ///
    /// ```no_run
    /// # async fn example(server: axum_stomp::StompServer) -> std::io::Result<()> {
    /// let listener = tokio::net::TcpListener::bind("127.0.0.1:61613").await?;
    /// server.tcp(listener, ()).await
    /// # }
    /// ```
    pub fn tcp(&self, listener: TcpListener, state: S) -> TcpServer<S> {
        TcpServer {
            server: self.clone(),
            listener,
            state,
            max_connections: MAX_CONNECTIONS,
            shutdown: Box::pin(pending()),
            shutdown_timeout: SHUTDOWN_TIMEOUT,
        }
    }

    /// Serves one client on a stream of bytes, until the connection ends: for TLS, or sockets of other kinds.
    ///
    /// # Cancel safety
    /// When the future is dropped, the connection is closed, and the session ends.
    pub async fn serve_stream<IO>(&self, io: IO, peer_addr: Option<SocketAddr>, state: S)
    where
        IO: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (_running, shutdown) = watch::channel(false);
        let connection = Connection::Stream(Stream::new(io, peer_addr, shutdown));
        serve(self.app().clone(), state, connection, opening(peer_addr)).await;
    }
}

/// STOMP on a TCP listener: see [`StompServer::tcp`].
#[must_use = "nothing is served before it is awaited"]
pub struct TcpServer<S = ()> {
    server: StompServer<S>,
    listener: TcpListener,
    state: S,
    max_connections: usize,
    shutdown: BoxFuture<'static, ()>,
    shutdown_timeout: Duration,
}

impl<S> TcpServer<S>
where
    S: Clone + Send + Sync + 'static,
{
    /// How many connections may be open at the same time: 10,000 unless set. Those beyond wait in the backlog of the
    /// listener.
    pub fn max_connections(mut self, connections: usize) -> Self {
        self.max_connections = connections;
        self
    }

    /// Stops when `signal` completes: no client is accepted any more, those that are connected get an `ERROR` that says
    /// so, and the server has stopped when the last one has gone.
    ///
    /// A handler that runs is finished before, and its session gets the `ERROR` then. Sessions that are left after
    /// [`shutdown_timeout`](Self::shutdown_timeout) are cut off.
    pub fn with_graceful_shutdown(mut self, signal: impl Future<Output = ()> + Send + 'static) -> Self {
        self.shutdown = Box::pin(signal);
        self
    }

    /// How long a graceful shutdown waits for sessions: for handlers that run, and for clients that read slowly. 15 s unless
    /// set.
    ///
    /// What is left then is cut off: its handlers are dropped where they await something, and it has ended with the reason
    /// [`Cancelled`](crate::DisconnectReason::Cancelled). Parallel handlers are tasks of their own, which nothing waits for.
    pub fn shutdown_timeout(mut self, timeout: Duration) -> Self {
        self.shutdown_timeout = timeout;
        self
    }

    async fn run(self) {
        let Self { server, listener, state, max_connections, mut shutdown, shutdown_timeout } = self;
        let (stop, is_stopping) = watch::channel(false);
        let mut clients = JoinSet::new();
        loop {
            tokio::select! {
                biased;
                () = &mut shutdown => break,
                Some(_) = clients.join_next() => {}
                accepted = listener.accept(), if clients.len() < max_connections => match accepted {
                    Ok((socket, peer_addr)) => {
                        let client = client(server.clone(), socket, peer_addr, is_stopping.clone(), state.clone());
                        clients.spawn(client);
                    }
                    Err(error) if is_of_client(&error) => {}
                    Err(error) => {
                        tracing::error!(%error, "no connection can be accepted");
                        sleep(PAUSE).await;
                    }
                },
            }
        }
        drop(listener);
        stop.send_replace(true);
        let leaving = async { while clients.join_next().await.is_some() {} };
        if timeout(shutdown_timeout, leaving).await.is_err() {
            tracing::warn!(sessions = clients.len(), "sessions have not ended within shutdown_timeout");
            // Their events have been told when this returns.
            clients.shutdown().await;
        }
    }
}

async fn client<S>(
    server: StompServer<S>,
    socket: TcpStream,
    peer_addr: SocketAddr,
    shutdown: watch::Receiver<bool>,
    state: S,
) where
    S: Clone + Send + Sync + 'static,
{
    if let Err(error) = socket.set_nodelay(true) {
        tracing::debug!(%error, "TCP_NODELAY cannot be set");
    }
    let connection = Connection::Stream(Stream::new(socket, Some(peer_addr), shutdown));
    serve(server.app().clone(), state, connection, opening(Some(peer_addr))).await;
}

/// Whether a client has caused the error, so that others can still be accepted.
fn is_of_client(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}

/// What extractors of the opening request see.
fn opening(peer_addr: Option<SocketAddr>) -> Box<Parts> {
    let mut opening = Request::new(()).into_parts().0;
    if let Some(peer_addr) = peer_addr {
        opening.extensions.insert(ConnectInfo(peer_addr));
    }
    Box::new(opening)
}

impl<S> IntoFuture for TcpServer<S>
where
    S: Clone + Send + Sync + 'static,
{
    type Output = io::Result<()>;
    type IntoFuture = BoxFuture<'static, io::Result<()>>;

    fn into_future(self) -> Self::IntoFuture {
        Box::pin(async move {
            self.run().await;
            Ok(())
        })
    }
}

impl<S> fmt::Debug for TcpServer<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TcpServer").field("listener", &self.listener).finish_non_exhaustive()
    }
}
