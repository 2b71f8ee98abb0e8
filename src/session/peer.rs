//! The client of a session in process.

use std::{
    borrow::Cow,
    fmt,
    future::poll_fn,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use futures_core::Stream;
use sockjs_core::{CloseFrame, Frame, Message};

use super::{
    attachment::Attachment, close_reason::CloseReason, connection::Connection, core::settings::Settings,
    limits::LiveSessions, send_error::SendError, send_permit::SendPermit, session::Session, shared::Shared,
};
/// The client's end of a session in process, without a transport: see [`Pair`](crate::Pair).
///
/// It sends and receives messages in order, each once. It is also a [`Stream`] of messages.
///
/// **Dropping a peer ends the session**, as a broken connection does: the application sees
/// [`CloseReason::ConnectionLost`].
pub struct Peer {
    shared: Arc<Shared>,
    attachment: Attachment,
    /// Messages of the last frame: empty ones take no bytes and come together.
    taken: std::vec::IntoIter<Message>,
    told: Option<CloseFrame>,
}

/// A session that is open, and its client.
pub(crate) fn pair(connection: Connection, settings: Settings) -> (Session, Peer) {
    let (shared, receiver) = Shared::new(connection, settings, LiveSessions::default().count());
    let attachment = Attachment::first(Arc::clone(&shared), receiver);
    let mut peer =
        Peer { shared: Arc::clone(&shared), attachment, taken: Vec::new().into_iter(), told: None };
    // The open frame.
    peer.try_recv();
    (Session::new(shared), peer)
}

impl Peer {
    /// Receives the next message from the application. Returns `None` once the session has ended and everything sent
    /// before has been received; [`close_frame`](Self::close_frame) then says what a client is told.
    ///
    /// # Cancel safety
    /// A message is taken only when it is returned.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|cx| self.poll_recv(cx)).await
    }

    /// Returns the next message if one is already there. `None` says nothing about the end.
    pub fn try_recv(&mut self) -> Option<Message> {
        match self.poll_recv(&mut Context::from_waker(std::task::Waker::noop())) {
            Poll::Ready(message) => message,
            Poll::Pending => None,
        }
    }

    fn poll_recv(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            if let Some(message) = self.taken.next() {
                return Poll::Ready(Some(message));
            }
            if self.told.is_some() {
                return Poll::Ready(None);
            }
            // As few messages as possible: the others stay in the queue, whose limit then holds.
            match self.attachment.poll_frame(1, cx) {
                Poll::Ready(Some(Frame::Messages(messages))) => self.taken = messages.into_iter(),
                Poll::Ready(Some(Frame::Open | Frame::Heartbeat)) => {}
                Poll::Ready(Some(Frame::Close(frame))) => self.told = Some(frame),
                Poll::Ready(None) => return Poll::Ready(None),
                Poll::Pending => return Poll::Pending,
            }
        }
    }

    /// Sends a message to the application, and waits while the queue to it is full
    /// ([`Options::receive_queue_bytes`](crate::Options::receive_queue_bytes),
    /// [`receive_queue_messages`](crate::Options::receive_queue_messages)).
    ///
    /// # Errors
    /// [`SendError::Closed`] after the end, [`SendError::BinaryUnsupported`] for binary data unless the transport is
    /// the raw WebSocket. Both return the message.
    ///
    /// # Cancel safety
    /// The message is queued only when the future completes.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = message.into();
        if message.is_binary() && !self.shared.connection.binary {
            return Err(SendError::BinaryUnsupported(message));
        }
        if self.shared.has_ended() {
            return Err(SendError::Closed(message));
        }
        let Some(mut permit) = SendPermit::acquire(Arc::clone(&self.shared), usize::MAX) else {
            return Err(SendError::Closed(message));
        };
        let mut batch = vec![message];
        // An application that closes while this waits lets nothing more in: what is left was not taken.
        permit.accept(&mut batch).await.ok();
        batch.pop().map_or(Ok(()), |message| Err(SendError::Closed(message)))
    }

    /// Closes the session like the client of a WebSocket: the application receives everything sent before, and then
    /// sees [`CloseReason::Client`]. Only the first close of a session has an effect.
    pub fn close(&self, code: u16, reason: impl Into<Cow<'static, str>>) {
        self.shared.end(CloseReason::Client(Some(CloseFrame::new(code, reason))));
    }

    /// Returns the close frame that a client gets, once [`recv`](Self::recv) has returned `None`; after the peer's own
    /// [`close`](Self::close), that is 1002 "Connection interrupted".
    #[must_use]
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        self.told.as_ref()
    }
}

impl fmt::Debug for Peer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peer")
            .field("id", &self.shared.connection.id)
            .field("close_frame", &self.told)
            .finish_non_exhaustive()
    }
}

/// The messages from the application, until the end.
impl Stream for Peer {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.poll_recv(cx)
    }
}
