//! The right to receive a session's frames, held by one request or socket at a time.

use std::{
    pin::pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

#[cfg(feature = "websocket")]
use std::task::Waker;

use sockjs_core::Frame;
#[cfg(feature = "websocket")]
use sockjs_core::Message;

#[cfg(feature = "websocket")]
use super::{close_reason::CloseReason, state::Closed, waiters::Ticket};
use super::{
    core::{AttachError, receiver::ReceiverId},
    shared::Shared,
};

use crate::util::timeout::timeout;

/// The time that a second receiver waits for the first one to detach before it is refused.
///
/// A client that has lost its connection reconnects at once, and the server may read the new request before it sees the
/// end of the old connection. Without this wait, such a client would get 2010 by chance (suite:
/// `test_abort_xhr_polling`).
const HANDOVER: Duration = Duration::from_millis(50);

/// A receiver's hold on its session.
///
/// If it is dropped without [`release`](Self::release), the receiver was cut off: the session ends, since frames may be
/// lost.
#[derive(Debug)]
pub(crate) struct Attachment {
    shared: Arc<Shared>,
    id: ReceiverId,
    released: bool,
}

impl Attachment {
    /// Creates the attachment of a new session's first receiver.
    pub(super) fn first(shared: Arc<Shared>, id: ReceiverId) -> Self {
        Self { shared, id, released: false }
    }

    /// Attaches to an existing session, after a short wait if another receiver is still attached.
    ///
    /// # Cancel safety
    /// Nothing is attached until the future completes.
    pub(crate) async fn attach(shared: Arc<Shared>) -> Result<Self, AttachError> {
        let mut attached = shared.attach();
        if attached == Err(AttachError::Busy) && timeout(HANDOVER, pin!(shared.detached())).await.is_ok() {
            attached = shared.attach();
        }
        attached.map(|id| Self { shared, id, released: false })
    }

    /// Returns the next frame, or `None` once the session is gone.
    ///
    /// # Cancel safety
    /// A frame is taken only when it is returned.
    pub(crate) fn poll_frame(&mut self, max_bytes: usize, cx: &mut Context<'_>) -> Poll<Option<Frame>> {
        self.shared.poll_frame(self.id, max_bytes, cx)
    }

    /// Reports that the connection has accepted more of the last frame.
    pub(crate) fn progress(&self) {
        self.shared.progress(self.id);
    }

    /// Removes the wakers of the caller's own task. The task is about to poll for frames and to run the application,
    /// and each poll that finds nothing sets its waker again.
    #[cfg(feature = "websocket")]
    pub(crate) fn disarm(&self, waker: &Waker) {
        self.shared.disarm(waker);
    }

    /// Accepts a batch from the client once the queue has room for it; `batch` is then empty.
    #[cfg(feature = "websocket")]
    pub(crate) fn poll_accept(
        &self,
        batch: &mut Vec<Message>,
        ticket: &mut Ticket,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), Closed>> {
        self.shared.poll_accept(batch, ticket, cx)
    }

    /// Reports that the peer has sent something since the last ping.
    #[cfg(feature = "websocket")]
    pub(crate) fn heard(&self) {
        self.shared.heard();
    }

    /// Reports the number of the message whose rest the socket reads, or `None` if the message is complete or the
    /// socket is not read.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_unfinished(&self, message: Option<u64>) {
        self.shared.set_unfinished(message);
    }

    /// Whether the session has heartbeats at present.
    #[cfg(feature = "websocket")]
    pub(crate) fn has_heartbeats(&self) -> bool {
        self.shared.has_heartbeats()
    }

    /// Reports that the close frame has been written.
    #[cfg(feature = "websocket")]
    pub(crate) fn close_written(&self) {
        self.shared.close_written();
    }

    /// Ends the session, unless it has ended already.
    #[cfg(feature = "websocket")]
    pub(crate) fn end(&self, reason: CloseReason) {
        self.shared.end(reason);
    }

    #[cfg(feature = "websocket")]
    pub(crate) fn close_reason(&self) -> Option<CloseReason> {
        self.shared.close_reason()
    }

    /// Reports whether the connection does not accept all data that waits to be written.
    #[cfg(feature = "websocket")]
    pub(crate) fn set_blocked(&self, blocked: bool) {
        self.shared.set_blocked(self.id, blocked);
    }

    /// Detaches the receiver, before its last frame leaves: the client's next request may arrive at the same moment as
    /// that frame's last byte, and must find no receiver attached.
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
