//! The sending half of a session, for any number of tasks.

use std::{
    borrow::Cow,
    fmt,
    hash::{Hash, Hasher},
    net::SocketAddr,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
    time::Duration,
};

use sockjs_core::{CloseFrame, Message, Transport, close::NORMAL};

use super::{
    close_reason::CloseReason,
    connection_id::ConnectionId,
    core::{queue::Refused, settings::Overflow},
    send_error::SendError,
    shared::Shared,
    state::Closed,
    waiters::Ticket,
};
use futures_sink::Sink;

/// A cloneable handle to a session's sending side.
///
/// It does not keep the session open, and dropping it closes nothing. Messages from several senders keep
/// each sender's order.
pub struct Sender {
    shared: Arc<Shared>,
    /// The waits of the [`Sink`]: for room, and for the receiver to take all messages.
    ready: Ticket,
    flushed: Ticket,
}

impl Sender {
    pub(crate) fn new(shared: Arc<Shared>) -> Self {
        Self { shared, ready: Ticket::default(), flushed: Ticket::default() }
    }

    pub(super) fn shared(&self) -> &Shared {
        &self.shared
    }

    /// Sends a message to the client. If the queue to the client is full, it waits, or does what
    /// [`Options::send_overflow`](crate::Options::send_overflow) says instead.
    ///
    /// Waiting calls are served in the order in which they came, whatever the size of their messages: a large message
    /// waits only for those sent before it. A call that has been granted its room and is neither polled nor dropped
    /// keeps that room from others.
    ///
    /// `Ok` means that the message is queued, behind those sent before it. It leaves at once if a receiving request or
    /// socket is attached, otherwise with the client's next receiving request. If the client is lost, its queue is lost
    /// too. The bound of the queue is [`Options::send_queue_bytes`](crate::Options::send_queue_bytes).
    ///
    /// # Errors
    /// [`SendError::Closed`] after the end, [`SendError::BinaryUnsupported`] for binary data on any transport but the
    /// raw WebSocket. Both return the message.
    ///
    /// # Cancel safety
    /// The message is queued only when the future completes: if it is dropped before, the message is not sent.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.send_by(message.into(), None).await
    }

    /// Sends a message like [`send`](Self::send), with its own policy for a full queue in place of
    /// [`Options::send_overflow`](crate::Options::send_overflow).
    ///
    /// | policy | with room | the queue is full |
    /// |---|---|---|
    /// | [`Wait`](Overflow::Wait) | is queued behind waiting calls | waits |
    /// | [`Close`](Overflow::Close) | is queued at once | ends the session |
    /// | [`DropOldest`](Overflow::DropOldest) | is queued at once; while other calls wait, in the place of the oldest | is queued in the place of the oldest |
    ///
    /// All calls share one queue. `DropOldest` may drop a message for which another call has returned `Ok`, whatever
    /// the policy of that call: [`dropped_messages`](Self::dropped_messages) counts it. So a message that must arrive
    /// is the last one that is sent, or no call on its session uses `DropOldest`.
    ///
    /// Only `Wait` waits. The other policies complete at once, even while calls wait for room, but they do not starve
    /// these: while any call waits, `DropOldest` drops as many bytes as it queues, and the room that the client makes
    /// goes to the waiting calls. `Close` uses only room that is too little for the first waiting call.
    ///
    /// ```
    /// use axum_sockjs::{Overflow, SendError, Sender};
    ///
    /// /// The newest position counts, the end of the game must not be lost.
    /// async fn play(client: &Sender) -> Result<(), SendError> {
    ///     client.send_with("12,7", Overflow::DropOldest).await?;
    ///     client.send_with("over", Overflow::Close).await
    /// }
    /// ```
    ///
    /// # Errors
    /// As [`send`](Self::send); with `Close` also [`SendError::Closed`] when the queue is full.
    ///
    /// # Cancel safety
    /// The message is queued only when the future completes: if it is dropped before, the message is not sent.
    pub async fn send_with(&self, message: impl Into<Message>, overflow: Overflow) -> Result<(), SendError> {
        self.send_by(message.into(), Some(overflow)).await
    }

    async fn send_by(&self, message: Message, overflow: Option<Overflow>) -> Result<(), SendError> {
        let message = self.check(message)?;
        let sent = self.shared.send(&message, overflow).await;
        sent.map_err(|Closed| SendError::Closed(message))
    }

    /// Sends a message to the client if there is room for it and no [`send`](Self::send) waits for room. Otherwise it
    /// returns the message, or does what [`Options::send_overflow`](crate::Options::send_overflow) says instead.
    ///
    /// # Errors
    /// As [`send`](Self::send), and [`SendError::Full`] when the queue is full, or other calls wait for room.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.try_send_by(message.into(), None)
    }

    /// Sends a message like [`send_with`](Self::send_with), but never waits: a message that would have to wait is
    /// returned.
    ///
    /// So one slow client does not delay a broadcast: with [`Overflow::Wait`] it misses the message, and the call
    /// returns an error.
    ///
    /// ```
    /// use axum_sockjs::{Message, Overflow, SendError, Sender};
    ///
    /// /// Returns how many members got it.
    /// fn broadcast(members: &[Sender], text: &str) -> usize {
    ///     let message = Message::from(text);
    ///     let queued = |member: &&Sender| member.try_send_with(message.clone(), Overflow::Wait).is_ok();
    ///     members.iter().filter(queued).count()
    /// }
    /// ```
    ///
    /// # Errors
    /// [`SendError::Full`] with [`Overflow::Wait`], when the queue is full or other calls wait for room;
    /// [`SendError::Closed`] after the end, and with [`Overflow::Close`] when the queue is full;
    /// [`SendError::BinaryUnsupported`] as [`send`](Self::send). Each returns the message.
    pub fn try_send_with(&self, message: impl Into<Message>, overflow: Overflow) -> Result<(), SendError> {
        self.try_send_by(message.into(), Some(overflow))
    }

    fn try_send_by(&self, message: Message, overflow: Option<Overflow>) -> Result<(), SendError> {
        let message = self.check(message)?;
        self.shared.try_send(&message, overflow).map_err(|refused| match refused {
            Refused::Full => SendError::Full(message),
            Refused::Closed => SendError::Closed(message),
        })
    }

    fn check(&self, message: Message) -> Result<Message, SendError> {
        if message.is_binary() && !self.shared.connection.binary {
            return Err(SendError::BinaryUnsupported(message));
        }
        Ok(message)
    }

    /// Closes the session with a code and a text.
    ///
    /// The client gets the messages sent before, then the close frame. Every later poll gets that frame again until the
    /// disconnect delay ends. Only the first close of a session has an effect. [`CloseFrame`] says which codes reach
    /// which clients.
    pub fn close(&self, code: u16, reason: impl Into<Cow<'static, str>>) {
        self.shared.end(CloseReason::Server(CloseFrame::new(code, reason)));
    }

    /// Ends the session. Returns `false` if it had ended before.
    pub(crate) fn end(&self, reason: CloseReason) -> bool {
        self.shared.end(reason)
    }

    /// Changes the interval of this session's heartbeats from now on, in place of
    /// [`Options::heartbeat`](crate::Options::heartbeat); `None` stops them.
    ///
    /// The interval applies to each receiving request of the session, on every transport, until it is changed again. It
    /// counts from the last frame: if it is already over, a heartbeat leaves at once. On a WebSocket the pings change
    /// with the heartbeats. Without heartbeats no answer is expected within
    /// [`Options::pong_timeout`](crate::Options::pong_timeout), not even to a ping that has left, and a dead peer is
    /// found only when something is sent to it. After the end of the session the call has no effect.
    ///
    /// This is for protocols above SockJS that have their own heartbeats, such as STOMP: while those run, the session
    /// needs none.
    ///
    /// ```
    /// use std::time::Duration;
    /// use axum_sockjs::Session;
    ///
    /// async fn subscribe(mut session: Session) {
    ///     session.set_heartbeat(Duration::from_secs(5));
    ///     while let Some(message) = session.recv().await {
    ///         if message == "CONNECT" {
    ///             session.set_heartbeat(None);
    ///         }
    ///     }
    /// }
    /// ```
    ///
    /// # Panics
    /// If the interval is zero.
    #[track_caller]
    pub fn set_heartbeat(&self, interval: impl Into<Option<Duration>>) {
        let interval = interval.into();
        assert!(
            interval.is_none_or(|interval| !interval.is_zero()),
            "the interval of heartbeats cannot be zero; None stops them"
        );
        self.shared.set_heartbeat(interval);
    }

    /// Waits for the end of the session and returns its reason.
    ///
    /// # Cancel safety
    /// Safe: the function can be called any number of times.
    pub async fn closed(&self) -> CloseReason {
        self.shared.ended().await
    }

    /// Returns whether the session has ended, for whatever reason.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.shared.has_ended()
    }

    /// Returns a sender that does not keep the session: for maps that may outlive their sessions. Until it is dropped, a
    /// session that has gone leaves less than 1 KiB, without its messages.
    #[must_use]
    pub fn downgrade(&self) -> WeakSender {
        WeakSender { shared: Arc::downgrade(&self.shared) }
    }

    /// Returns the number of messages to this client that were dropped for newer ones. It is always 0 unless the policy
    /// of the endpoint, or of a [`send_with`](Self::send_with), is [`Overflow::DropOldest`].
    #[must_use]
    pub fn dropped_messages(&self) -> u64 {
        self.shared.dropped_messages()
    }

    /// Returns the reason why the session has ended, or `None` while it is open.
    #[must_use]
    pub fn close_reason(&self) -> Option<CloseReason> {
        self.shared.close_reason()
    }

    /// Returns the connection's id: see [`Session::id`](crate::Session::id).
    #[must_use]
    pub fn id(&self) -> ConnectionId {
        self.shared.connection.id
    }

    /// Returns the transport over which the session was opened.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.shared.connection.transport
    }

    /// Returns the sub-protocol of the WebSocket: see [`Session::subprotocol`](crate::Session::subprotocol).
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.shared.connection.subprotocol.as_deref()
    }

    /// Returns the identity of the session's owner: see [`Session::identity`](crate::Session::identity).
    #[must_use]
    pub fn identity<I: 'static>(&self) -> Option<&I> {
        self.shared.connection.owner.as_ref()?.identity()
    }

    /// Returns the peer's address: see [`Session::peer_addr`](crate::Session::peer_addr).
    #[must_use]
    pub fn peer_addr(&self) -> Option<SocketAddr> {
        self.shared.connection.peer
    }

    pub(super) fn fmt_as(&self, name: &str, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct(name)
            .field("id", &self.id())
            .field("transport", &self.transport())
            .field("close_reason", &self.close_reason())
            .finish_non_exhaustive()
    }
}

/// A [`Sender`] that does not keep its session: see [`Sender::downgrade`].
#[derive(Debug, Clone, Default)]
pub struct WeakSender {
    shared: Weak<Shared>,
}

impl WeakSender {
    /// Creates a sender without a session: [`upgrade`](Self::upgrade) returns `None`.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the sender, unless the session has ended, been forgotten, and all other senders are gone.
    #[must_use]
    pub fn upgrade(&self) -> Option<Sender> {
        self.shared.upgrade().map(Sender::new)
    }
}

/// Senders of the same session are equal.
impl PartialEq for Sender {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.shared, &other.shared)
    }
}

impl Eq for Sender {}

impl Hash for Sender {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id().hash(state);
    }
}

impl Clone for Sender {
    fn clone(&self) -> Self {
        Self::new(Arc::clone(&self.shared))
    }
}

impl Drop for Sender {
    fn drop(&mut self) {
        self.shared.forget(self.ready);
        self.shared.forget(self.flushed);
    }
}

impl fmt::Debug for Sender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.fmt_as("Sender", f)
    }
}

/// Sends with the same back-pressure as [`Sender::send`], but `SinkExt::send` also flushes: over a polling transport it
/// waits for the client's next poll. `Ok` does not distinguish a message that a receiver has taken from one that was
/// lost with its session; [`close_reason`](Sender::close_reason) does.
///
/// `poll_flush` waits until receivers have taken all messages, or the rest is lost with the session; `poll_close`
/// flushes and then closes with 1000 "Normal closure". Between `poll_ready` and `start_send` another sender may fill
/// the queue: the message is then queued beyond the bound.
impl Sink<Message> for Sender {
    type Error = SendError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Self { shared, ready, .. } = &mut *self;
        // After the end, `start_send` returns the message.
        shared.poll_writable(ready, cx).map(|_| Ok(()))
    }

    fn start_send(self: Pin<&mut Self>, message: Message) -> Result<(), SendError> {
        let message = self.check(message)?;
        self.shared.push(&message).map_err(|Closed| SendError::Closed(message))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Self { shared, flushed, .. } = &mut *self;
        shared.poll_flushed(flushed, cx).map(Ok)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SendError>> {
        let Self { shared, flushed, .. } = &mut *self;
        ready!(shared.poll_flushed(flushed, cx));
        shared.end(CloseReason::Server(NORMAL));
        Poll::Ready(Ok(()))
    }
}
