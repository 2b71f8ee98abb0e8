//! A session, for the application.

use std::{
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
};

use bytestring::ByteString;
use http::Extensions;
use stomp_codec::Version;

use crate::outbox::{Outbox, SessionId};

/// A client's session, from `CONNECTED` until the connection ends.
///
/// Clones are the same session. They do not keep it open, and may outlive it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    outbox: Arc<Outbox>,
    peer_addr: Option<SocketAddr>,
    attributes: Mutex<Extensions>,
}

impl Session {
    pub(crate) fn new(outbox: Arc<Outbox>, peer_addr: Option<SocketAddr>, attributes: Extensions) -> Self {
        Self(Arc::new(Inner { outbox, peer_addr, attributes: Mutex::new(attributes) }))
    }

    /// Its id: the `session` header of its `CONNECTED` frame.
    #[must_use]
    pub fn id(&self) -> SessionId {
        self.0.outbox.id()
    }

    /// The name of its user, if it has one.
    #[must_use]
    pub fn user(&self) -> Option<&ByteString> {
        self.0.outbox.user()
    }

    /// The version of STOMP that it speaks.
    #[must_use]
    pub fn version(&self) -> Version {
        self.0.outbox.version()
    }

    /// The address of the client, or of the last proxy.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.0.peer_addr
    }

    /// Calls `access` with what the application keeps for this session, a value for each type.
    ///
    /// A lock is held meanwhile: `access` may not call this for the same session.
    ///
    /// ```
    /// # fn handler(session: axum_stomp::Session) {
    /// #[derive(Clone, Default)]
    /// struct Sent(u32);
    ///
    /// session.attributes(|attributes| attributes.get_or_insert_default::<Sent>().0 += 1);
    /// # }
    /// ```
    pub fn attributes<R>(&self, access: impl FnOnce(&mut Extensions) -> R) -> R {
        access(&mut self.0.attributes.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session").field("id", &self.id()).field("user", &self.user()).finish_non_exhaustive()
    }
}

impl PartialEq for Session {
    fn eq(&self, other: &Self) -> bool {
        self.id() == other.id()
    }
}

impl Eq for Session {}
