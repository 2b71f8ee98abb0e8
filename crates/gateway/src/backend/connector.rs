//! Dials a backend: name, TCP, TLS, and the WebSocket's handshake.

use std::time::Duration;

use http::{HeaderMap, Request, header};
use tokio::{net::TcpStream, time::timeout};
use tokio_tungstenite::{
    client_async_with_config,
    tungstenite::{Error as WsError, error::ProtocolError, protocol::WebSocketConfig},
};

pub(crate) use super::tls::ConnectorError;
use super::{
    dial_error::DialError,
    opening::Opening,
    request,
    socket::{self, BackendSocket, Stream, Watched},
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
        request: Request<()>,
        patience: Duration,
    ) -> Result<BackendSocket, DialError> {
        let opens = async {
            let stream = self.connect().await?;
            handshake(stream, request, self.config).await
        };
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

    /// The name is looked up each time, and its addresses are tried one after the other.
    pub(super) async fn connect_tcp(&self) -> Result<TcpStream, DialError> {
        let tcp =
            TcpStream::connect((&*self.target.host, self.target.port)).await.map_err(DialError::Connect)?;
        tcp.set_nodelay(true).map_err(DialError::Connect)?;
        Ok(tcp)
    }
}

async fn handshake(
    stream: Stream,
    request: Request<()>,
    config: WebSocketConfig,
) -> Result<BackendSocket, DialError> {
    let (stream, response) =
        client_async_with_config(request, Watched::before_handshake(stream), Some(config))
            .await
            .map_err(DialError::of_handshake)?;
    // None was asked for, and its frames would be read wrongly (RFC 6455, section 4.1).
    if response.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        let name = Box::new(header::SEC_WEBSOCKET_EXTENSIONS);
        return Err(DialError::Handshake(WsError::Protocol(ProtocolError::InvalidHeader(name))));
    }
    let subprotocol = response.headers().get(header::SEC_WEBSOCKET_PROTOCOL);
    let subprotocol = subprotocol.and_then(|name| name.to_str().ok()).map(Box::from);
    Ok(BackendSocket { stream, subprotocol })
}
