//! The key by which sessions are counted per peer.

use std::{fmt, net::SocketAddr, sync::Arc};

use http::HeaderMap;

use crate::session::limits::Peer;

/// The key by which sessions are counted per peer.
#[derive(Clone)]
pub(crate) enum PeerKey {
    Address,
    Custom(Arc<CustomPeerKey>),
}

type CustomPeerKey = dyn Fn(&HeaderMap, Option<SocketAddr>) -> Option<String> + Send + Sync;

impl PeerKey {
    pub(crate) fn peer(&self, headers: &HeaderMap, addr: Option<SocketAddr>) -> Option<Peer> {
        match self {
            Self::Address => addr.map(Peer::from),
            Self::Custom(key) => key(headers, addr).map(|key| Peer::Key(key.into())),
        }
    }
}

impl fmt::Debug for PeerKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Address => "address",
            Self::Custom(_) => "custom",
        })
    }
}
