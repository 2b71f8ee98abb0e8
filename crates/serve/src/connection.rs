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
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;
use tower::{Service, ServiceExt as _};

/// How far the server has stopped, for all of its connections.
#[derive(Debug, Clone, Default)]
pub(crate) struct Stopping {
    /// The stop has begun: each answer is the last one of its connection, and says so. A balancer then sends no further
    /// request on a connection that is about to be closed, which would be lost.
    pub(crate) last_answers: CancellationToken,
    /// Idle connections are closed, and the others after the answer that is under way.
    pub(crate) idle_end: CancellationToken,
}

/// What is set for each connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Settings {
    pub(crate) header_read_timeout: Option<Duration>,
    pub(crate) half_close: bool,
    pub(crate) tcp_user_timeout: Option<Duration>,
}

impl Settings {
    /// Sets the options of a socket. One that cannot be set is logged: the connection works without.
    pub(crate) fn prepare(self, tcp: &TcpStream) {
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

    /// Serves one connection until it ends, or until it has answered what was under way when the server stops.
    pub(crate) async fn serve<S>(self, tcp: TcpStream, peer: SocketAddr, app: S, stopping: Stopping)
    where
        S: Service<Request, Response = Response, Error = Infallible> + Clone + Send + 'static,
        S::Future: Send,
    {
        let with_peer = move |mut request: Request<Incoming>| {
            request.extensions_mut().insert(ConnectInfo(peer));
            request.map(Body::new)
        };
        let Stopping { last_answers, idle_end } = stopping;
        let says_the_end = move |mut answer: Response| {
            if last_answers.is_cancelled() && answer.status() != StatusCode::SWITCHING_PROTOCOLS {
                answer.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            }
            answer
        };
        let service = TowerToHyperService::new(app.map_request(with_peer).map_response(says_the_end));
        let mut http = http1::Builder::new();
        http.timer(TokioTimer::new())
            .header_read_timeout(self.header_read_timeout)
            .half_close(self.half_close);
        let mut connection = pin!(http.serve_connection(TokioIo::new(tcp), service).with_upgrades());
        // An error is the client's: it has broken off, or sent no HTTP.
        tokio::select! {
            _ = connection.as_mut() => return,
            () = idle_end.cancelled() => connection.as_mut().graceful_shutdown(),
        }
        _ = connection.await;
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
