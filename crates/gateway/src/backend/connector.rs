//! Dials a backend: name, TCP, TLS, and the WebSocket's handshake.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request};
use http_body_util::Empty;
use tokio::{
    net::{TcpStream, lookup_host},
    time::timeout,
};
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;

pub(crate) use super::tls::ConnectorError;
use super::{
    dial_error::DialError,
    handshake, happy_eyeballs,
    opening::Opening,
    request,
    socket::{self, BackendSocket, Stream},
    target::Target,
    tls::Tls,
};
use crate::config::backend::{Backend, Pass, Upstream};

/// Dials one backend. Made once for a configuration: its files are read by then.
#[derive(Debug, Clone)]
pub(crate) struct Connector {
    pub(super) target: Target,
    pub(super) tls: Option<Tls>,
    pub(super) pass: Pass,
    pub(super) set: HeaderMap,
    config: WebSocketConfig,
    connect_timeout: Duration,
}

impl Connector {
    /// # Errors
    /// The URL is none of a WebSocket, or a file of certificates cannot be used: the error names it.
    pub(crate) fn new(upstream: &Upstream, backend: &Backend) -> Result<Self, ConnectorError> {
        let target = Target::try_from(&backend.url).map_err(ConnectorError::Target)?;
        let tls = if target.is_tls { Some(Tls::new(&target.host, &upstream.tls)?) } else { None };
        Ok(Self {
            target,
            tls,
            pass: upstream.pass.clone(),
            set: upstream.set.clone(),
            config: socket::config(upstream.max_message_bytes),
            connect_timeout: upstream.connect_timeout,
        })
    }

    /// Opens a WebSocket for the session of this request, within `connect_timeout`.
    ///
    /// # Errors
    /// See [`DialError`], which is also the answer to the request.
    ///
    /// # Cancel safety
    /// Dropped before its end, it closes its connection. The backend may have seen a session that it loses at once.
    pub(crate) async fn dial(&self, opening: &Opening<'_>) -> Result<BackendSocket, DialError> {
        let request = request::for_session(&self.target, &self.pass, &self.set, opening);
        self.open(request, self.connect_timeout).await
    }

    pub(super) async fn open(
        &self,
        request: Request<Empty<Bytes>>,
        patience: Duration,
    ) -> Result<BackendSocket, DialError> {
        // In a box of its own, for what awaits this keeps room for it as long as a session lives.
        let opens = Box::pin(async {
            let stream = self.connect().await?;
            handshake::open(stream, request, self.config).await
        });
        timeout(patience, opens).await.unwrap_or(Err(DialError::TimedOut))
    }

    pub(super) async fn connect(&self) -> Result<Stream, DialError> {
        let tcp = self.connect_tcp().await?;
        match &self.tls {
            None => Ok(Stream::Plain(tcp)),
            Some(tls) => {
                tls.connect(tcp).await.map(|stream| Stream::Tls(Box::new(stream))).map_err(DialError::Tls)
            }
        }
    }

    /// The name is looked up each time.
    pub(super) async fn connect_tcp(&self) -> Result<TcpStream, DialError> {
        let addresses =
            lookup_host((&*self.target.host, self.target.port)).await.map_err(DialError::Connect)?;
        let tcp = happy_eyeballs::connect(addresses, TcpStream::connect).await.map_err(DialError::Connect)?;
        tcp.set_nodelay(true).map_err(DialError::Connect)?;
        Ok(tcp)
    }
}
