//! The backend's connection of a session that opens, as an extractor: a backend that refuses it is the answer to the opening
//! request.

use std::{net::SocketAddr, sync::Arc};

use axum::extract::{ConnectInfo, FromRequestParts};
use http::request::Parts;

use super::state::RouteState;
use crate::{
    backend::{
        dial_error::DialError,
        opening::{Opening, Scheme},
        socket::BackendSocket,
    },
    pool::{lease::Lease, pool::OpenError},
    pump::settings::Settings,
};

/// A backend that waits for the session's messages.
pub(crate) struct Dialled {
    pub(super) socket: BackendSocket,
    pub(super) lease: Lease,
    pub(super) pump: Settings,
}

impl FromRequestParts<Arc<RouteState>> for Dialled {
    type Rejection = OpenError<DialError>;

    async fn from_request_parts(parts: &mut Parts, state: &Arc<RouteState>) -> Result<Self, Self::Rejection> {
        let current = state.current.load_full();
        let peer = parts.extensions.get().map(|&ConnectInfo::<SocketAddr>(peer)| peer.ip());
        let opening = Opening {
            parts,
            subprotocols: &current.subprotocols,
            scheme: scheme(parts),
            is_from_trusted_proxy: peer.is_some_and(|peer| state.proxies.load().trusts(peer)),
        };
        let (socket, lease) = state.pool.open(&opening).await?;
        Ok(Self { socket, lease, pump: current.pump })
    }
}

/// The scheme by which the client, or a proxy in front, has come to a gateway: a listener with TLS says it in the URI, and
/// one without removes what the client says there.
fn scheme(parts: &Parts) -> Scheme {
    if parts.uri.scheme() == Some(&http::uri::Scheme::HTTPS) { Scheme::Https } else { Scheme::Http }
}
