//! The right to receive a session's frames, held by one request or socket at a time.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

#[cfg(feature = "websocket")]
use std::task::Waker;

#[cfg(feature = "websocket")]
use super::{close_reason::CloseReason, state::Closed, waiters::Ticket};
use super::{
    core::{AttachError, receiver::ReceiverId},
    shared::Shared,
};
#[cfg(feature = "websocket")]
use crate::protocol::message::Message;
use crate::{protocol::frame::Frame, util::timeout::timeout};

/// How long a second receiver waits for the first to go before it is refused.
///
/// A client that has lost its connection comes back at once, and its new request may be read before the
/// end of the old one: without this time it would be told 2010 by chance (suite: `test_abort_xhr_polling`).
const HANDOVER: Duration = Duration::from_millis(50);

/// A receiver's hold on its session.
///
/// Dropped without [`release`](Self::release), it was cut off: the session ends, since frames may be lost.
#[derive(Debug)]
pub(crate) struct Attachment {
    shared: Arc<Shared>,
    id: ReceiverId,
    released: bool,
}

impl Attachment {
    /// The hold that a new session gives to its first receiver.
    pub(super) fn first(shared: Arc<Shared>, id: ReceiverId) -> Self {
        Self { shared, id, released: false }
    }

    /// Attaches to a known session, after a short wait if another receiver still holds it.
    ///
    /// # Cancel safety
    /// Until it is ready, nothing is attached.
    pub(crate) async fn attach(shared: Arc<Shared>) -> Result<Self, AttachError> {
        let mut attached = shared.attach();
        if attached == Err(AttachError::Busy) && timeout(HANDOVER, pin!(shared.detached())).await.is_ok() {
            attached = shared.attach();
        }
        attached.map(|id| Self { shared, id, released: false })
    }

    /// The next frame; `None` when the session has gone.
    ///
    /// # Cancel safety
    /// A frame is taken only when it is returned.
    pub(crate) fn poll_frame(&mut self, max_bytes: usize, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.shared.poll_frame(self.id, max_bytes, cx)
    }

    /// Tells that some more of the last frame has left.
    pub(crate) fn progress(&self) {
        self.shared.progress(self.id);
    }

    /// Takes back the wake-ups that the caller's own task is noted for: it is about to look for frames and to
    /// let the application look for messages, and notes itself again where there is nothing.
    #[cfg(feature = "websocket")]
    pub(crate) fn disarm(&self, waker: &Waker) {
        self.shared.disarm(waker);
    }

    /// Takes a batch from the client when there is room for it, and drains it then.
    #[cfg(feature = "websocket")]
    pub(crate) fn poll_accept(
        &self,
        batch: &mut Vec<Message>,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        self.shared.poll_accept(batch, ticket, cx)
    }

    /// Tells that something has come from the peer since the last ping.
    #[cfg(feature = "websocket")]
    pub(crate) fn heard(&self) {
        self.shared.heard();
    }

    /// Tells which message is being read, of which a part has yet to come.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_unfinished(&self, message: Option<u64>) {
        self.shared.set_unfinished(message);
    }

    /// Whether the client is sent heartbeats, as things stand.
    #[cfg(feature = "websocket")]
    pub(crate) fn has_heartbeats(&self) -> bool {
        self.shared.has_heartbeats()
    }

    /// Tells that the close frame has left.
    #[cfg(feature = "websocket")]
    pub(crate) fn close_written(&self) {
        self.shared.close_written();
    }

    /// Ends the session, unless it has ended.
    #[cfg(feature = "websocket")]
    pub(crate) fn end(&self, reason: CloseReason) {
        self.shared.end(reason);
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.shared.close_reason()
    }

    /// Tells whether there is something that cannot be written now.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.shared.set_blocked(self.id, blocked);
    }

    /// Lets the session go, before the last frame leaves: the client's next request may come in the same
    /// instant as that frame's last byte, and must find the place free.
    pub(crate) fn release(&mut self) {
        self.released = true;
        self.shared.release(self.id);
    }
}

impl Drop for Attachment {
    fn drop(&mut self) {
        if !self.released {
            self.shared.interrupt(self.id);
        }
    }
}
