//! The connection below a session: a SockJS session, or a WebSocket.

use std::net::SocketAddr;

use axum_sockjs::{CloseReason, Transport};
use bytes::Bytes;

use super::pieces::Surrogates;
use crate::{link::Link, message::Carriage};

/// The receiving half of a connection, and its end.
#[derive(Debug)]
pub(crate) enum Connection {
    SockJs { session: axum_sockjs::Session, surrogates: Surrogates },
}

impl Connection {
    pub(crate) fn of_sockjs(session: axum_sockjs::Session) -> Self {
        Self::SockJs { session, surrogates: Surrogates::default() }
    }

    /// The sending half.
    pub(crate) fn link(&self) -> Link {
        match self {
            Self::SockJs { session, .. } => Link::SockJs(session.sender()),
        }
    }

    pub(crate) fn carriage(&self) -> Carriage {
        match self {
            Self::SockJs { session, .. } if session.transport() == Transport::RawWebSocket => Carriage::Any,
            Self::SockJs { .. } => Carriage::Text,
        }
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        match self {
            Self::SockJs { session, .. } => session.peer_addr(),
        }
    }

    /// Receives some bytes. `None` is the end.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(super) async fn receive(&mut self) -> Option<Bytes> {
        match self {
            Self::SockJs { session, surrogates } => {
                session.recv().await.map(|message| surrogates.join(&message))
            }
        }
    }

    /// Why it has ended.
    pub(super) fn close_reason(&self) -> Option<CloseReason> {
        match self {
            Self::SockJs { session, .. } => session.close_reason(),
        }
    }
}
