//! A session, for the application.

use std::{
    collections::BTreeMap,
    fmt,
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError},
};

use axum_sockjs::Message as Piece;
use bytestring::ByteString;
use http::Extensions;
use stomp_codec::{Command, Frame, Version};

use super::{reason::DisconnectReason, refusal::Refusal};
use crate::{
    outbox::{Outbox, SessionId, Traffic},
    subscription::Subscription,
};

/// A client's session, from `CONNECTED` until the connection ends.
///
/// Clones are the same session. They do not keep it open, and may outlive it.
#[derive(Clone)]
pub struct Session(Arc<Inner>);

struct Inner {
    outbox: Arc<Outbox>,
    peer_addr: Option<SocketAddr>,
    attributes: Mutex<Extensions>,
    subscriptions: Mutex<BTreeMap<u32, Arc<Subscription>>>,
    end: OnceLock<DisconnectReason>,
}

impl Session {
    pub(crate) fn new(outbox: Arc<Outbox>, peer_addr: Option<SocketAddr>, attributes: Extensions) -> Self {
        Self(Arc::new(Inner {
            outbox,
            peer_addr,
            attributes: Mutex::new(attributes),
            subscriptions: Mutex::default(),
            end: OnceLock::new(),
        }))
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

    /// Who the SockJS or WebSocket endpoint says that the client is: see [`SockJs::identity`](axum_sockjs::SockJs::identity),
    /// which returns an `I`. `None` if it returns another type, if the endpoint has no such function, and over TCP.
    #[must_use]
    pub fn identity<I: 'static>(&self) -> Option<&I> {
        self.0.outbox.link().identity()
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

    /// Its subscriptions, in the order in which they have begun.
    #[must_use]
    pub fn subscriptions(&self) -> Vec<Arc<Subscription>> {
        self.lock_subscriptions().values().cloned().collect()
    }

    /// Whether it has ended, or is about to.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.0.outbox.is_ended()
    }

    /// How many messages were dropped because the client reads too slowly: see
    /// [`Overflow`](crate::outbox::Overflow).
    #[must_use]
    pub fn dropped_messages(&self) -> u64 {
        self.0.outbox.dropped()
    }

    pub(crate) fn traffic(&self) -> Traffic {
        self.0.outbox.traffic()
    }

    /// Closes it: the client gets what waits for it, then an `ERROR` with this text as its `message`, and then the
    /// connection ends. Handlers that run are finished.
    ///
    /// Nothing happens if it has ended.
    pub fn close(&self, message: impl Into<std::borrow::Cow<'static, str>>) {
        self.end(DisconnectReason::Server, Some(Refusal::new(message)));
    }

    /// Ends it, if nothing has before.
    pub(crate) fn end(&self, reason: DisconnectReason, error: Option<Refusal>) {
        if self.0.end.set(reason).is_ok() {
            self.0.outbox.close(error.map(|error| text(error.encode(Some(self.version())))));
        }
    }

    /// Ends it by an `ERROR`.
    pub(crate) fn refuse(&self, refusal: Refusal) {
        self.end(DisconnectReason::Error(refusal.message.clone()), Some(refusal));
    }

    /// Whether nothing more is read of it.
    pub(crate) fn is_reading_ended(&self) -> bool {
        self.0.end.get().is_some() || self.0.outbox.is_reading_ended()
    }

    /// Why it has ended, if that is known.
    pub(crate) fn end_reason(&self) -> Option<&DisconnectReason> {
        self.0.end.get()
    }

    pub(crate) fn receipt(&self, receipt: Option<ByteString>) {
        if let Some(receipt) = receipt {
            let name = ByteString::from_static("receipt-id");
            let frame = Frame::new(Command::Receipt).header(name, receipt);
            self.0.outbox.control(text(frame.encode(self.version())));
        }
    }

    pub(crate) fn outbox(&self) -> &Arc<Outbox> {
        &self.0.outbox
    }

    pub(crate) fn lock_subscriptions(&self) -> MutexGuard<'_, BTreeMap<u32, Arc<Subscription>>> {
        self.0.subscriptions.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A frame without a binary body.
pub(crate) fn text(frame: bytes::Bytes) -> Piece {
    Piece::from_utf8(frame).unwrap_or_else(|error| Piece::binary(error.into_bytes()))
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
