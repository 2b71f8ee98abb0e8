//! The server: its settings, its accept loop, and its stop.

use std::{borrow::Cow, convert::Infallible, fmt, future::Future, pin::pin, sync::Arc, time::Duration};

use axum::{extract::Request, response::Response};
use axum_sockjs::{ShutdownReport, SockJsHandle};
use tokio::{task::JoinSet, time::timeout};
use tower::Service;

use crate::{
    accept::{Accepting, waiting},
    connection::{Connections, Settings},
    listener::Listener,
    report::Report,
};

/// How long idle connections stay open after the last one was accepted: a request that a balancer is just sending on one
/// of them is answered.
const IDLE: Duration = Duration::from_millis(300);

/// An HTTP server for an app with SockJS endpoints: HTTP/1.1, and what its [listeners](Listener) are told to speak.
///
/// | setting | default |
/// |---|---|
/// | [`header_read_timeout`](Self::header_read_timeout) | 10 s |
/// | [`half_close`](Self::half_close) | off |
/// | [`tcp_user_timeout`](Self::tcp_user_timeout) | the system's |
#[cfg_attr(feature = "rustls", doc = "| [`tls_handshake_timeout`](Self::tls_handshake_timeout) | 10 s |")]
/// | [`close`](Self::close) | 1001 "Going away" |
/// | [`grace`](Self::grace) | 8 s |
/// | [`last_bytes`](Self::last_bytes) | 1 s |
#[derive(Debug, Clone)]
#[must_use]
pub struct Server {
    connection: Settings,
    endpoints: Vec<Endpoints>,
    code: u16,
    reason: Cow<'static, str>,
    grace: Duration,
    last_bytes: Duration,
}

/// Returns the endpoints that a stop has to shut down.
#[derive(Clone)]
struct Endpoints(Arc<dyn Fn() -> Vec<SockJsHandle> + Send + Sync>);

impl fmt::Debug for Endpoints {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Endpoints")
    }
}

impl Default for Server {
    fn default() -> Self {
        Self {
            connection: Settings {
                header_read_timeout: Some(Duration::from_secs(10)),
                half_close: false,
                tcp_user_timeout: None,
                #[cfg(feature = "rustls")]
                tls_handshake_timeout: Duration::from_secs(10),
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
    pub fn endpoint(self, handle: SockJsHandle) -> Self {
        self.endpoints(move || vec![handle.clone()])
    }

    /// Shuts the endpoints down that this function returns when the server stops, for an app in which they come and go.
    /// It is called once. An endpoint that the app gets later is not shut down.
    pub fn endpoints(mut self, all: impl Fn() -> Vec<SockJsHandle> + Send + Sync + 'static) -> Self {
        self.endpoints.push(Endpoints(Arc::new(all)));
        self
    }

    /// Closes a connection on which the head of a request takes longer than this, and one that stays idle for that
    /// long between two requests. `None` waits for ever.
    ///
    /// Over HTTP/2, it closes a connection on which no request is under way for this long, unless a WebSocket was ever
    /// opened on it.
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

    /// Closes a connection on which the handshake of TLS takes longer than this.
    #[cfg(feature = "rustls")]
    pub fn tls_handshake_timeout(mut self, timeout: Duration) -> Self {
        self.connection.tls_handshake_timeout = timeout;
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

    /// Serves the app at one address until `stop` completes, and then stops as [`serve_all`](Self::serve_all) does.
    ///
    /// # Cancel safety
    /// See [`serve_all`](Self::serve_all).
    pub async fn serve<S>(
        self,
        listener: impl Into<Listener>,
        app: S,
        stop: impl Future<Output = ()>,
    ) -> Report
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        self.serve_all([listener.into()], app, stop).await
    }

    /// Serves the app at each of these addresses until `stop` completes, then stops:
    ///
    /// 1. Every [endpoint](Self::endpoint) shuts down, all at once. The server goes on accepting connections
    ///    meanwhile, at each address, since a client that polls comes by a new request. Each answer over HTTP/1.1 from now
    ///    on is the last one of its connection (`Connection: close`), so that no balancer sends a request on one that is
    ///    about to be closed.
    /// 2. No more connections are accepted. Idle ones are closed 0.3 s later, and requests under way get their answers,
    ///    all within [`last_bytes`](Self::last_bytes). Clients of HTTP/2 are told to send no more (`GOAWAY`).
    /// 3. Connections that are left are cut off, and counted. Over HTTP/1.1, a WebSocket is no longer one of them after its
    ///    handshake: those of the endpoints given here have been closed, others are the app's to close.
    ///
    /// Handlers find the peer's address by [`Session::peer_addr`](axum_sockjs::Session::peer_addr), and extractors as
    /// [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo).
    ///
    /// Where the process has no file descriptors left, that is logged, and accepting goes on within a second.
    ///
    /// # Cancel safety
    /// Dropping it cuts every connection off but WebSockets over HTTP/1.1. Before `stop` completes, that shuts no endpoint
    /// down; afterwards, the endpoints stay shut.
    pub async fn serve_all<S>(
        self,
        listeners: impl IntoIterator<Item = Listener>,
        app: S,
        stop: impl Future<Output = ()>,
    ) -> Report
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let listeners = Vec::from_iter(listeners);
        let protocols: Vec<_> = listeners.iter().map(Listener::protocol).collect();
        let mut connections = Connections::new(self.connection, app);
        let stopping = connections.stopping.clone();
        let mut stopped = pin!(async {
            stop.await;
            stopping.last_answers.cancel();
            self.shut_down().await
        });
        let mut accepting = Accepting::default();
        let endpoints = loop {
            tokio::select! {
                (place, tcp, peer) = accepting.next(&listeners) => {
                    connections.serve(&protocols[place], tcp, peer);
                }
                Some(_) = connections.tasks.join_next() => {}
                reports = &mut stopped => break reports,
            }
        };
        // Connections that the system has accepted already would be reset with the listener.
        for (listener, protocol) in listeners.into_iter().zip(&protocols) {
            for (tcp, peer) in waiting(listener.tcp) {
                connections.serve(protocol, tcp, peer);
            }
        }
        let idle = IDLE.min(self.last_bytes / 2);
        if timeout(idle, connections.all_ended()).await.is_err() {
            stopping.idle_end.cancel();
            let _ = timeout(self.last_bytes - idle, connections.all_ended()).await;
        }
        Report { endpoints, connections_cut_off: connections.cut_off().await }
    }

    async fn shut_down(&self) -> Vec<ShutdownReport> {
        let mut endpoints = JoinSet::new();
        let handles = self.endpoints.iter().flat_map(|Endpoints(all)| all());
        for (place, handle) in handles.enumerate() {
            let (code, reason, grace) = (self.code, self.reason.clone(), self.grace);
            endpoints.spawn(async move { (place, handle.shutdown(code, reason, grace).await) });
        }
        let mut reports = endpoints.join_all().await;
        reports.sort_by_key(|(place, _)| *place);
        reports.into_iter().map(|(_, report)| report).collect()
    }
}
