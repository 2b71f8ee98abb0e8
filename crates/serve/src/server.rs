//! The server: its settings, its accept loop, and its stop.

use std::{borrow::Cow, convert::Infallible, future::Future, net::SocketAddr, pin::pin, time::Duration};

use axum::{extract::Request, response::Response, serve::Listener};
use axum_sockjs::SockJsHandle;
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
    time::timeout,
};
use tower::Service;

use crate::{
    connection::{Settings, Stopping},
    report::Report,
};

/// How long idle connections stay open after the last one was accepted: a request that a balancer is just sending on one
/// of them is answered.
const IDLE: Duration = Duration::from_millis(300);

/// An HTTP/1.1 server for an app with SockJS endpoints.
///
/// | setting | default |
/// |---|---|
/// | [`header_read_timeout`](Self::header_read_timeout) | 10 s |
/// | [`half_close`](Self::half_close) | off |
/// | [`tcp_user_timeout`](Self::tcp_user_timeout) | the system's |
/// | [`close`](Self::close) | 1001 "Going away" |
/// | [`grace`](Self::grace) | 8 s |
/// | [`last_bytes`](Self::last_bytes) | 1 s |
#[derive(Debug, Clone)]
#[must_use]
pub struct Server {
    connection: Settings,
    endpoints: Vec<SockJsHandle>,
    code: u16,
    reason: Cow<'static, str>,
    grace: Duration,
    last_bytes: Duration,
}

impl Default for Server {
    fn default() -> Self {
        Self {
            connection: Settings {
                header_read_timeout: Some(Duration::from_secs(10)),
                half_close: false,
                tcp_user_timeout: None,
            },
            endpoints: Vec::new(),
            code: 1001,
            reason: "Going away".into(),
            grace: Duration::from_secs(8),
            last_bytes: Duration::from_secs(1),
        }
    }
}

impl Server {
    /// A server with the defaults.
    pub fn new() -> Self {
        Self::default()
    }

    /// Shuts this endpoint down when the server stops. Call it for each endpoint of the app.
    pub fn endpoint(mut self, handle: SockJsHandle) -> Self {
        self.endpoints.push(handle);
        self
    }

    /// Closes a connection on which the head of a request takes longer than this, and one that stays idle for that
    /// long between two requests. `None` waits for ever.
    pub fn header_read_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connection.header_read_timeout = timeout.into();
        self
    }

    /// Answers clients that close their half of the connection right behind a request, as `nc -N` and some health
    /// checks do. Leave it off behind a proxy: it delays the moment at which a client that has gone is noticed. The
    /// SECURITY.md of axum-sockjs has the figures.
    pub fn half_close(mut self, allow: bool) -> Self {
        self.connection.half_close = allow;
        self
    }

    /// Gives a connection up when data that was sent stays unacknowledged for this long (`TCP_USER_TIMEOUT`, in
    /// milliseconds, on Linux, Android and Fuchsia; ignored elsewhere). `None` leaves it to the system, which on Linux
    /// takes a quarter of an hour.
    pub fn tcp_user_timeout(mut self, timeout: impl Into<Option<Duration>>) -> Self {
        self.connection.tcp_user_timeout = timeout.into();
        self
    }

    /// The close code and reason that every client is told when the server stops.
    pub fn close(mut self, code: u16, reason: impl Into<Cow<'static, str>>) -> Self {
        (self.code, self.reason) = (code, reason.into());
        self
    }

    /// How long a stop waits for clients to fetch what they have coming, and for handlers to return. Together with
    /// [`last_bytes`](Self::last_bytes), keep it below the time after which your supervisor kills: 90 s for systemd,
    /// 30 s for Kubernetes, 10 s for Docker.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// How long a stop then waits for the last requests to be answered, before it cuts their connections off.
    pub fn last_bytes(mut self, time: Duration) -> Self {
        self.last_bytes = time;
        self
    }

    /// Serves the app until `stop` completes, then stops:
    ///
    /// 1. Every [endpoint](Self::endpoint) shuts down, all at once. The server goes on accepting connections
    ///    meanwhile, since a client that polls comes by a new request. Each answer from now on is the last one of its
    ///    connection (`Connection: close`), so that no balancer sends a request on one that is about to be closed.
    /// 2. No more connections are accepted. Idle ones are closed 0.3 s later, and requests under way get their answers,
    ///    all within [`last_bytes`](Self::last_bytes).
    /// 3. Connections that are left are cut off, and counted. A WebSocket is no longer one of them after its handshake:
    ///    those of the endpoints given here have been closed, others are the app's to close.
    ///
    /// Handlers find the peer's address by [`Session::peer_addr`](axum_sockjs::Session::peer_addr), and extractors as
    /// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo).
    ///
    /// Where the process has no file descriptors left, that is logged, and accepting goes on within a second.
    ///
    /// # Cancel safety
    /// Dropping it cuts every connection off but WebSockets. Before `stop` completes, that shuts no endpoint down;
    /// afterwards, the endpoints stay shut.
    pub async fn serve<S>(self, mut listener: TcpListener, app: S, stop: impl Future<Output = ()>) -> Report
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let mut connections = JoinSet::new();
        let stopping = Stopping::default();
        let mut stopped = pin!(async {
            stop.await;
            stopping.last_answers.cancel();
            self.shut_down().await
        });
        let endpoints = loop {
            tokio::select! {
                (tcp, peer) = Listener::accept(&mut listener) => {
                    self.connection.prepare(&tcp);
                    connections.spawn(self.connection.serve(tcp, peer, app.clone(), stopping.clone()));
                }
                Some(_) = connections.join_next() => {}
                reports = &mut stopped => break reports,
            }
        };
        // Connections that the system has accepted already would be reset with the listener.
        for (tcp, peer) in waiting(listener) {
            self.connection.prepare(&tcp);
            connections.spawn(self.connection.serve(tcp, peer, app.clone(), stopping.clone()));
        }
        let idle = IDLE.min(self.last_bytes / 2);
        if timeout(idle, all_ended(&mut connections)).await.is_err() {
            stopping.idle_end.cancel();
            let _ = timeout(self.last_bytes - idle, all_ended(&mut connections)).await;
        }
        connections.abort_all();
        let mut connections_cut_off = 0;
        while let Some(ended) = connections.join_next().await {
            connections_cut_off += usize::from(ended.is_err_and(|error| error.is_cancelled()));
        }
        Report { endpoints, connections_cut_off }
    }

    async fn shut_down(&self) -> Vec<axum_sockjs::ShutdownReport> {
        let mut endpoints = JoinSet::new();
        for (place, handle) in self.endpoints.iter().cloned().enumerate() {
            let (code, reason, grace) = (self.code, self.reason.clone(), self.grace);
            endpoints.spawn(async move { (place, handle.shutdown(code, reason, grace).await) });
        }
        let mut reports = endpoints.join_all().await;
        reports.sort_by_key(|(place, _)| *place);
        reports.into_iter().map(|(_, report)| report).collect()
    }
}

async fn all_ended(connections: &mut JoinSet<()>) {
    while connections.join_next().await.is_some() {}
}

/// The connections that nobody has accepted yet, and the end of the listener.
fn waiting(listener: TcpListener) -> Vec<(TcpStream, SocketAddr)> {
    // It does not block: there is an error when none waits.
    let Ok(listener) = listener.into_std() else { return Vec::new() };
    std::iter::from_fn(|| {
        let (tcp, peer) = listener.accept().ok()?;
        tcp.set_nonblocking(true).ok()?;
        Some((TcpStream::from_std(tcp).ok()?, peer))
    })
    .collect()
}
