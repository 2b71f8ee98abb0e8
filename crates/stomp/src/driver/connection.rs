//! The connection below a session: a SockJS session, a WebSocket or a stream.

use std::net::SocketAddr;

use axum_sockjs::Transport;
use bytes::Bytes;

use super::pieces::Surrogates;
#[cfg(feature = "tcp")]
use crate::stream::{Received, Stream};
use crate::{link::Link, message::Carriage, session::DisconnectReason};

/// The receiving half of a connection.
#[derive(Debug)]
pub(crate) enum Connection {
    SockJs {
        session: axum_sockjs::Session,
        surrogates: Surrogates,
    },
    #[cfg(feature = "tcp")]
    Stream(Stream),
}

impl Connection {
    pub(crate) fn of_sockjs(session: axum_sockjs::Session) -> Self {
        Self::SockJs { session, surrogates: Surrogates::default() }
    }

    /// The sending half.
    pub(super) fn link(&self) -> Link {
        match self {
            Self::SockJs { session, .. } => Link::SockJs(session.sender()),
            #[cfg(feature = "tcp")]
            Self::Stream(stream) => Link::Stream(stream.sender()),
        }
    }

    pub(super) fn carriage(&self) -> Carriage {
        match self {
            Self::SockJs { session, .. } => match session.transport() {
                Transport::RawWebSocket => Carriage::Any,
                _ => Carriage::Text,
            },
            #[cfg(feature = "tcp")]
            Self::Stream(_) => Carriage::Any,
        }
    }

    pub(super) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::SockJs { session, .. } => session.peer_addr(),
            #[cfg(feature = "tcp")]
            Self::Stream(stream) => stream.peer_addr(),
        }
    }

    /// Receives some bytes, or why there are no more.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn receive(&mut self) -> Result<Bytes, DisconnectReason> {
        match self {
            Self::SockJs { session, surrogates } => match session.recv().await {
                Some(message) => Ok(surrogates.join(&message)),
                None => Err(DisconnectReason::of_connection(session.close_reason())),
            },
            #[cfg(feature = "tcp")]
            Self::Stream(stream) => match stream.receive().await {
                Received::Bytes(bytes) => Ok(bytes),
                Received::End => Err(DisconnectReason::ConnectionLost(None)),
                Received::Shutdown => Err(DisconnectReason::Server),
            },
        }
    }

    /// Ends the connection. What was handed over arrives, also where the client still sends.
    pub(super) async fn finish(self) {
        match self {
            // The server below does it.
            Self::SockJs { .. } => {}
            #[cfg(feature = "tcp")]
            Self::Stream(stream) => stream.finish().await,
        }
    }
}
