//! Opens sessions: limits, the application's extractors, and the session's task.

use std::{
    future::{Future, poll_fn},
    net::SocketAddr,
    pin::pin,
};

use axum::{
    extract::{ConnectInfo, connect_info::MockConnectInfo},
    response::Response,
};
use http::request::Parts;
use sockjs_core::Transport;

use super::{dispatch::Service, head::Head};
#[cfg(feature = "websocket")]
use crate::transport::websocket::handshake::{Upgrade, is_opening};
use crate::{
    response::rejection::Rejection,
    session::{
        attachment::Attachment,
        connection::Connection,
        connection_id::ConnectionId,
        driver::Driver,
        opened::Opened,
        owner::Owner,
        registry::{NoRoom, Reservation},
    },
    util::timeout::timeout,
};

impl From<NoRoom> for Rejection {
    fn from(why: NoRoom) -> Self {
        match why {
            NoRoom::Sessions => Self::SessionsFull,
            NoRoom::Peer => Self::PeerFull,
            NoRoom::Identity => Self::IdentityFull,
            NoRoom::Shutdown => Self::Shutdown,
        }
    }
}

impl Service {
    /// Opens a session over an HTTP transport, in its own task.
    pub(super) async fn open_session(
        &self,
        mut reservation: Reservation,
        transport: Transport,
        owner: Option<Owner>,
        head: Box<Head>,
    ) -> Result<Attachment, Rejection> {
        let connection = connection(reservation.id, transport, &head.parts, owner);
        self.admit(&mut reservation, &connection, &head.parts)?;
        let opened = self.open(head.into_redacted()).await?;
        let (mut driver, attachment) = self.start(reservation, connection, opened)?;
        tokio::spawn(async move { poll_fn(|cx| driver.poll(true, cx)).await });
        Ok(attachment)
    }

    #[cfg(feature = "websocket")]
    pub(super) async fn raw_websocket(&self, head: Box<Head>) -> Result<Response, Rejection> {
        if !is_opening(&head.parts) {
            return Err(Rejection::Method { allow: "GET" });
        }
        self.websocket(Transport::RawWebSocket, head).await
    }

    #[cfg(not(feature = "websocket"))]
    pub(super) async fn raw_websocket(&self, _: Box<Head>) -> Result<Response, Rejection> {
        Err(Rejection::NotFound)
    }

    #[cfg(feature = "websocket")]
    pub(super) async fn websocket(
        &self,
        transport: Transport,
        mut head: Box<Head>,
    ) -> Result<Response, Rejection> {
        let options = self.options();
        let mut upgrade = Upgrade::from_request(&mut head.parts, options)?;
        let owner = self.identify(&head).await?;
        let mut reservation = self.endpoint.registry().reserve_socket(
            transport,
            owner.as_ref(),
            options.max_sessions.unwrap_or(usize::MAX),
        )?;
        let mut connection = connection(reservation.id, transport, &head.parts, owner);
        connection.binary &= upgrade.is_rfc6455();
        connection.pings = upgrade.is_rfc6455();
        self.admit(&mut reservation, &connection, &head.parts)?;
        if !options.subprotocols.is_none() {
            connection.subprotocol = options.subprotocols.choose(&head.parts.headers, || head.redacted());
            upgrade.agree_on(connection.subprotocol.as_deref());
        }
        let opened = self.open(head.into_redacted()).await?;
        let (driver, attachment) = self.start(reservation, connection, opened)?;
        Ok(upgrade.accept(transport, options, attachment, driver))
    }

    /// The owner of a request, if the application has an identity function.
    pub(super) async fn identify(&self, head: &Head) -> Result<Option<Owner>, Rejection> {
        let Some(identity) = &self.identity else { return Ok(None) };
        Box::pin(self.with_open_timeout(identity.function.identify(head.redacted(), ()))).await.map(Some)
    }

    /// Rejects an owner or a peer that has reached its session limit.
    fn admit(
        &self,
        reservation: &mut Reservation,
        connection: &Connection,
        parts: &Parts,
    ) -> Result<(), Rejection> {
        let limit_of = self.identity.as_ref().and_then(|identity| identity.limit.as_ref());
        if let (Some(limit_of), Some(owner)) = (limit_of, &connection.owner) {
            if let Some(limit) = limit_of(owner) {
                reservation.admit_owner(owner, limit)?;
            }
        }
        let options = self.options();
        let Some(limit) = options.max_sessions_per_peer else { return Ok(()) };
        if let Some(peer) = options.peer_key.peer(&parts.headers, connection.peer) {
            return Ok(reservation.admit_peer(peer, limit)?);
        }
        // Logged once: either no peer is known, or the application exempts some requests on purpose.
        self.endpoint.unknown_peer_warning.call_once(|| {
            tracing::warn!(
                limit,
                "a peer is not known, and its sessions are not limited; serve with \
                 `into_make_service_with_connect_info::<SocketAddr>()`, or see what `Options::peer_key` needs",
            );
        });
        Ok(())
    }

    /// Runs the handler's extractors on the opening request.
    fn open(&self, parts: Parts) -> impl Future<Output = Result<Opened, Rejection>> + '_ {
        self.with_open_timeout(self.handler.open(parts, ()))
    }

    /// Runs the application's extractors with a time limit.
    async fn with_open_timeout<T>(
        &self,
        extractors: impl Future<Output = Result<T, Response>>,
    ) -> Result<T, Rejection> {
        match timeout(self.options().open_timeout, pin!(extractors)).await {
            Ok(result) => result.map_err(|rejection| Rejection::Extractor(Box::new(rejection))),
            Err(_) => Err(Rejection::OpenTimeout),
        }
    }

    fn start(
        &self,
        reservation: Reservation,
        connection: Connection,
        opened: Opened,
    ) -> Result<(Driver, Attachment), Rejection> {
        let options = self.options();
        let settings = options.settings(&connection);
        let fallback = !connection.transport.is_socket() && options.transports.has_websocket();
        let Connection { id, transport, .. } = connection;
        let (registered, permit, attachment) = reservation.open(connection, settings, fallback)?;
        tracing::debug!(connection = %id, %transport, "session opened");
        Ok((Driver::new(registered, permit, opened, options.span_level), attachment))
    }
}

fn connection(id: ConnectionId, transport: Transport, parts: &Parts, owner: Option<Owner>) -> Connection {
    Connection {
        id,
        transport,
        peer: peer_addr(parts),
        owner,
        subprotocol: None,
        binary: transport == Transport::RawWebSocket,
        pings: false,
    }
}

/// The peer's address, found like axum's extractor does, in tests too.
pub(super) fn peer_addr(parts: &Parts) -> Option<SocketAddr> {
    let real = parts.extensions.get().map(|&ConnectInfo(peer)| peer);
    real.or_else(|| parts.extensions.get().map(|&MockConnectInfo(peer)| peer))
}
