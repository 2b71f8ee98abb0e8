//! The application's side of one session.

use std::{
    fmt,
    future::poll_fn,
    net::SocketAddr,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use futures_core::Stream;
use futures_sink::Sink;
use sockjs_core::{Message, Transport};

use super::{
    close_reason::CloseReason, connection_id::ConnectionId, core::settings::Overflow, send_error::SendError,
    sender::Sender, shared::Shared, turn,
};
/// An open connection to one client, given to the endpoint's handler.
///
/// A session receives with [`recv`](Self::recv) and sends with [`send`](Self::send), in order and each message once,
/// over the transport that the client has chosen. It is also a [`Stream`] of messages and a [`Sink`] for them.
/// [`sender`](Self::sender) makes handles that send from other tasks.
///
/// **Dropping a session closes it** with 1000 "Normal closure". So a session closes when its handler returns; with 1011
/// "Internal error" if the handler panics, and with the [frame of its error](crate::HandlerError) if it returns one.
/// Messages sent before reach the client before the close. To keep a session beyond its handler, move it into another
/// task.
///
/// # The end
///
/// When the session ends, `recv` first returns the messages that the client had sent, then `None`;
/// [`closed`](Self::closed) and [`close_reason`](Self::close_reason) return the reason. A handler is never cancelled:
/// one that waits for something else can wait for `closed` beside it.
pub struct Session {
    sender: Sender,
}

impl Session {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { sender: Sender::new(shared) }
    }

    fn shared(&self) -> &Shared {
        self.sender.shared()
    }

    /// Receives the next message from the client. Returns `None` once the session has ended and all messages accepted
    /// before have been received.
    ///
    /// Over the HTTP transports, if no response of the session is open, a request that brings messages is answered once
    /// the handler has run with them until it waits for something, or until [its turn](crate#taking-turns) is over.
    /// Messages that it has sent by then leave with the client's next poll.
    ///
    /// # Cancel safety
    /// A message is taken only when it is returned: safe in `select!`.
    pub async fn recv(&mut self) -> Option<Message> {
        poll_fn(|cx| self.shared().poll_receive(cx)).await
    }

    /// Returns the next message if one is already there. `None` does not mean that the session has ended.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.shared().try_receive()
    }

    /// Sends a message to the client, and waits while the queue to it is full: see [`Sender::send`].
    ///
    /// The message is text, bytes or a [`Message`]. A struct becomes one by [`Message::json`], and
    /// [`Session::json`] makes this a session that sends values.
    ///
    /// # Errors
    /// [`SendError::Closed`] after the end, [`SendError::BinaryUnsupported`] for binary data on any transport but the
    /// raw WebSocket. Both return the message.
    ///
    /// # Cancel safety
    /// The message is queued only when the future completes: if it is dropped before, the message is not sent.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// Sends a message to the client if there is room for it: see [`Sender::try_send`].
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Full`] when the queue is full.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.try_send(message)
    }

    /// Sends a message to the client, with its own policy for a full queue: see [`Sender::send_with`].
    ///
    /// # Errors
    /// As [`send`](Self::send); with [`Overflow::Close`] also [`SendError::Closed`] when the queue is full.
    ///
    /// # Cancel safety
    /// The message is queued only when the future completes: if it is dropped before, the message is not sent.
    pub async fn send_with(&self, message: impl Into<Message>, overflow: Overflow) -> Result<(), SendError> {
        self.sender.send_with(message, overflow).await
    }

    /// Sends a message to the client with its own policy for a full queue, and never waits: see
    /// [`Sender::try_send_with`].
    ///
    /// # Errors
    /// As [`send_with`](Self::send_with), and [`SendError::Full`] if the message would have to wait.
    pub fn try_send_with(&self, message: impl Into<Message>, overflow: Overflow) -> Result<(), SendError> {
        self.sender.try_send_with(message, overflow)
    }

    /// Closes the session: see [`Sender::close`].
    pub fn close(&self, code: u16, reason: impl Into<std::borrow::Cow<'static, str>>) {
        self.sender.close(code, reason);
    }

    /// Returns a handle that sends and closes from other tasks. It does not keep the session open.
    #[must_use]
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Changes the interval of this session's heartbeats from now on; `None` stops them: see [`Sender::set_heartbeat`].
    ///
    /// # Panics
    /// If the interval is zero.
    #[track_caller]
    pub fn set_heartbeat(&self, interval: impl Into<Option<Duration>>) {
        self.sender.set_heartbeat(interval);
    }

    /// Waits for the end of the session and returns its reason: see [`Sender::closed`].
    pub async fn closed(&self) -> CloseReason {
        self.sender.closed().await
    }

    /// Returns the number of messages that were dropped for newer ones: see [`Sender::dropped_messages`].
    #[must_use]
    pub fn dropped_messages(&self) -> u64 {
        self.sender.dropped_messages()
    }

    /// Returns whether the session has ended, for whatever reason.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.sender.is_closed()
    }

    /// Returns the reason why the session has ended, or `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.sender.close_reason()
    }

    /// Returns the id of this connection: random, made by the server, suited for logs and maps.
    ///
    /// It is not the session id of the protocol, which lets its holder read and send and which an application never
    /// sees.
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.sender.id()
    }

    /// Returns the transport over which the session was opened.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.sender.transport()
    }

    /// Returns the sub-protocol that the client of a WebSocket and the endpoint have agreed on
    #[cfg_attr(feature = "websocket", doc = "([`Options::subprotocols`](crate::Options::subprotocols)).")]
    /// Always `None` on the HTTP transports.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.sender.subprotocol()
    }

    /// Returns the identity of the session's owner, as [`SockJs::identity`](crate::SockJs::identity) returned it for
    /// the opening request. `None` if the endpoint has no such function, or if the function returns another type.
    ///
    /// ```
    /// use axum_sockjs::Session;
    ///
    /// #[derive(PartialEq, Eq, Hash)]
    /// struct UserId(u64);
    ///
    /// fn user(session: &Session) -> Option<u64> {
    ///     session.identity().map(|UserId(id)| *id)
    /// }
    /// ```
    #[must_use]
    pub fn identity<I: 'static>(&self) -> Option<&I> {
        self.sender.identity()
    }

    /// Returns the address of the socket that brought the opening request. Behind a proxy this is the proxy's address.
    ///
    /// `None` unless the server provides it as axum's [`ConnectInfo<SocketAddr>`](axum::extract::ConnectInfo), as
    /// `into_make_service_with_connect_info::<SocketAddr>()` does.
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.sender.peer_addr()
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        turn::close_dropped(self.shared());
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sender.fmt_as("Session", f)
    }
}

/// The messages from the client, until the session ends.
impl Stream for Session {
    type Item = Message;

    fn poll_next(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.shared().poll_receive(cx)
    }
}

/// Like the [`Sink`] of a [`Sender`].
impl Sink<Message> for Session {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sender).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        Pin::new(&mut self.sender).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sender).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        Pin::new(&mut self.sender).poll_close(cx)
    }
}
