//! One connection: its socket options, and the HTTP on it.

use std::{convert::Infallible, net::SocketAddr, pin::pin, time::Duration};

use axum::{
    body::Body,
    extract::{ConnectInfo, Request},
    http::{HeaderValue, StatusCode, header::CONNECTION},
    response::Response,
};
use hyper::{body::Incoming, server::conn::http1};
use hyper_util::{
    rt::{TokioIo, TokioTimer},
    service::TowerToHyperService,
};
use tokio::{net::TcpStream, task::JoinSet};
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

#[cfg(feature = "http2")]
use crate::preface::read_preface;
#[cfg(feature = "rustls")]
use crate::scheme::say_https;
use crate::scheme::say_no_scheme;

/// How far the server has stopped, for all of its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping {
    /// The stop has begun: each answer over HTTP/1.1 is the last one of its connection, and says so. A balancer then sends
    /// no further request on a connection that is about to be closed, which would be lost.
    pub(crate) last_answers: CancellationToken,
    /// Idle connections are closed, and the others after the answers that are under way.
    pub(crate) idle_end: CancellationToken,
}

/// What is spoken on the connections of a listener.
#[derive(Clone)]
pub(crate) enum Protocol {
    /// HTTP/1.1.
    Http1,
    /// HTTP/1.1, or HTTP/2 with a client that begins with it.
    #[cfg(feature = "http2")]
    EitherHttp,
    /// TLS, which says what is spoken over it.
    #[cfg(feature = "rustls")]
    Tls(tokio_rustls::TlsAcceptor),
}

/// Who is at the other end of a connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Client {
    pub(crate) peer: SocketAddr,
    pub(crate) has_tls: bool,
}

impl Client {
    pub(crate) fn without_tls(peer: SocketAddr) -> Self {
        Self { peer, has_tls: false }
    }

    /// Adds to a request what the app has to know of its client.
    pub(crate) fn introduce(self, mut request: Request<Incoming>) -> Request {
        if self.has_tls {
            #[cfg(feature = "rustls")]
            say_https(&mut request);
        } else {
            say_no_scheme(&mut request);
        }
        request.extensions_mut().insert(ConnectInfo(self.peer));
        request.map(Body::new)
    }
}

/// What is set for each connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) header_read_timeout: Option<Duration>,
    pub(crate) half_close: bool,
    pub(crate) tcp_user_timeout: Option<Duration>,
    #[cfg(feature = "rustls")]
    pub(crate) tls_handshake_timeout: Duration,
}

/// The connections of a server, each in a task of its own.
pub(crate) struct Connections<S> {
    settings: Settings,
    app: S,
    pub(crate) stopping: Stopping,
    pub(crate) tasks: JoinSet<()>,
}

impl<S> Connections<S>
where
    S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
    S::Future: Send,
{
    pub(crate) fn new(settings: Settings, app: S) -> Self {
        Self { settings, app, stopping: Stopping::default(), tasks: JoinSet::new() }
    }

    /// Serves a connection until it ends, or until it has answered what was under way when the server stops.
    pub(crate) fn serve(&mut self, protocol: &Protocol, tcp: TcpStream, peer: SocketAddr) {
        let settings = self.settings;
        settings.prepare(&tcp);
        let (app, stopping) = (self.app.clone(), self.stopping.clone());
        // Each protocol has a task of its own size.
        match protocol {
            Protocol::Http1 => {
                let io = TokioIo::new(tcp);
                self.tasks.spawn(settings.http1(io, Client::without_tls(peer), app, stopping))
            }
            #[cfg(feature = "http2")]
            Protocol::EitherHttp => self.tasks.spawn(settings.either_http(tcp, peer, app, stopping)),
            #[cfg(feature = "rustls")]
            Protocol::Tls(acceptor) => {
                self.tasks.spawn(settings.tls(acceptor.clone(), tcp, peer, app, stopping))
            }
        };
    }

    /// Completes when no connection is left.
    ///
    /// # Cancel safety
    /// Dropping the future has no effect.
    pub(crate) async fn all_ended(&mut self) {
        while self.tasks.join_next().await.is_some() {}
    }

    /// Cuts off the connections that are left, and returns their number.
    pub(crate) async fn cut_off(mut self) -> usize {
        self.tasks.abort_all();
        let mut cut_off = 0;
        while let Some(ended) = self.tasks.join_next().await {
            cut_off += usize::from(ended.is_err_and(|error| error.is_cancelled()));
        }
        cut_off
    }
}

impl Settings {
    /// Sets the options of a socket. One that cannot be set is logged: the connection works without.
    fn prepare(self, tcp: &TcpStream) {
        if let Err(error) = tcp.set_nodelay(true) {
            tracing::debug!(%error, "TCP_NODELAY could not be set");
        }
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        if let Some(timeout) = self.tcp_user_timeout {
            if let Err(error) = socket2::SockRef::from(tcp).set_tcp_user_timeout(Some(timeout)) {
                tracing::debug!(%error, "TCP_USER_TIMEOUT could not be set");
            }
        }
    }

    /// Speaks HTTP/1.1 on a connection.
    async fn http1<I, S>(self, io: I, client: Client, app: S, stopping: Stopping)
    where
        I: hyper::rt::Read + hyper::rt::Write + Unpin + Send + 'static,
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let Stopping { last_answers, idle_end } = stopping;
        let says_the_end = move |mut answer: Response| {
            if last_answers.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        };
        let introduce = move |request| client.introduce(request);
        let service = TowerToHyperService::new(app.map_request(introduce).map_response(says_the_end));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .half_close(self.half_close);
        let mut connection = pin!(http.serve_connection(io, service).with_upgrades());
        // An error is the client's: it has broken off, or sent no HTTP.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = idle_end.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        _ = connection.await;
    }

    /// Speaks HTTP/2 with a client that begins with it, otherwise HTTP/1.1.
    #[cfg(feature = "http2")]
    async fn either_http<S>(self, mut tcp: TcpStream, peer: SocketAddr, app: S, stopping: Stopping)
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let limit = self.header_read_timeout;
        let (is_http2, io) = tokio::select! {
            read = read_preface(&mut tcp, limit) => match read {
                Some((is_http2, read)) => (is_http2, TokioIo::new(crate::preface::ReadAhead::new(read, tcp))),
                None => return,
            },
            () = stopping.idle_end.cancelled() => return,
        };
        let client = Client::without_tls(peer);
        if is_http2 {
            Box::pin(self.http2(io, client, app, stopping)).await;
        } else {
            Box::pin(self.http1(io, client, app, stopping)).await;
        }
    }

    /// Speaks TLS, and over it what both ends have agreed upon.
    #[cfg(feature = "rustls")]
    async fn tls<S>(
        self,
        acceptor: tokio_rustls::TlsAcceptor,
        tcp: TcpStream,
        peer: SocketAddr,
        app: S,
        stopping: Stopping,
    ) where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let handshake = tokio::time::timeout(self.tls_handshake_timeout, acceptor.accept(tcp));
        let shaken = tokio::select! {
            shaken = handshake => shaken,
            () = stopping.idle_end.cancelled() => return,
        };
        let tls = match shaken {
            Ok(Ok(tls)) => tls,
            Ok(Err(error)) => return tracing::debug!(%peer, %error, "the handshake of TLS has failed"),
            Err(_) => return tracing::debug!(%peer, "the handshake of TLS takes too long"),
        };
        let client = Client { peer, has_tls: true };
        // Each with a future of its own size, once that of the handshake is gone.
        #[cfg(feature = "http2")]
        if tls.get_ref().1.alpn_protocol() == Some(crate::tls::HTTP2) {
            return Box::pin(self.http2(TokioIo::new(tls), client, app, stopping)).await;
        }
        Box::pin(self.http1(TokioIo::new(tls), client, app, stopping)).await;
    }
}

#[cfg(test)]
mod tests {
    use tokio::net::TcpListener;

    use super::*;

    #[tokio::test]
    async fn sockets_have_their_options() -> std::io::Result<()> {
        let settings = Settings {
            header_read_timeout: None,
            half_close: false,
            tcp_user_timeout: Some(Duration::from_secs(7)),
            #[cfg(feature = "rustls")]
            tls_handshake_timeout: Duration::ZERO,
        };
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let (client, accepted) = tokio::join!(TcpStream::connect(listener.local_addr()?), listener.accept());
        let (tcp, _) = (accepted?.0, client?);
        assert!(!tcp.nodelay()?);
        settings.prepare(&tcp);
        assert!(tcp.nodelay()?);
        #[cfg(target_os = "linux")]
        assert_eq!(socket2::SockRef::from(&tcp).tcp_user_timeout()?, Some(Duration::from_secs(7)));
        Ok(())
    }
}
