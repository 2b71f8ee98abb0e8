//! An open session.

use std::{
    borrow::Cow,
    fmt,
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use sockjs_core::{CloseFrame, Message, Transport};
use tokio::{sync::watch, task::AbortHandle};

use crate::{
    close_event::CloseEvent,
    driver::{Driver, EndSender, Ended, Settings, Unsent},
    error::Error,
    queue::{self, queue},
    send_error::{FlushError, SendError, SinkError},
    transport::Halves,
};

/// The longest reason of a WebSocket's close frame, in bytes
/// ([RFC 6455, section 5.5](https://www.rfc-editor.org/rfc/rfc6455#section-5.5)).
const MAX_REASON: usize = 123;

/// An open session with a server.
///
/// It receives messages with [`recv`](Self::recv) or as a [`Stream`], and sends with [`send`](Self::send) or as a
/// [`Sink`]. Each message is delivered once, and in order, as long as the connection holds. Queues in both directions
/// are bounded: an application that does not receive holds up the server, and `send` waits for a slow server.
///
/// Over HTTP one request that carries messages is under way at a time; the next one takes all that has queued up, so
/// many small messages cost few requests.
///
/// Dropping a session cuts its connection, and what is queued is lost: [`close`](Self::close) it.
#[must_use]
pub struct Session {
    incoming: queue::Receiver,
    sender: Sender,
    closing: watch::Sender<Option<CloseFrame>>,
    ended: watch::Receiver<Option<Ended>>,
    subprotocol: Option<String>,
    task: AbortHandle,
    sink: SinkState,
}

type Operation<E> = Pin<Box<dyn Future<Output = Result<(), E>> + Send + Sync>>;

/// What the session is busy with as a [`Sink`].
enum SinkState {
    Idle,
    Sending(Operation<SendError>),
    Flushing(Operation<FlushError>),
    Closing(Operation<FlushError>),
}

impl Session {
    pub(crate) fn start(
        transport: Transport,
        mut halves: Halves,
        settings: Settings,
        receive_queue_bytes: usize,
        send_queue_bytes: usize,
    ) -> Self {
        let (to_application, incoming) = queue(receive_queue_bytes);
        let (to_server, outgoing) = queue(send_queue_bytes);
        let (closing, close_requests) = watch::channel(None);
        let (end, ended) = EndSender::new();
        let driver =
            Driver { ended: end, incoming: to_application, outgoing, closing: close_requests, settings };
        let subprotocol = halves.subprotocol.take();
        let task = tokio::spawn(driver.run(halves)).abort_handle();
        let sender = Sender { queue: to_server, transport };
        Self { incoming, sender, closing, ended, subprotocol, task, sink: SinkState::Idle }
    }

    /// Returns the transport that opened the session.
    #[must_use]
    pub fn transport(&self) -> Transport {
        self.sender.transport
    }

    /// Returns the sub-protocol that the server of a raw WebSocket has chosen.
    #[must_use]
    pub fn subprotocol(&self) -> Option<&str> {
        self.subprotocol.as_deref()
    }

    /// Receives the next message, or `None` once the session has ended and all messages before its end are received.
    /// Then [`close_event`](Self::close_event) says how.
    ///
    /// Cancel safe: a message is received only when the future completes.
    pub async fn recv(&mut self) -> Option<Message> {
        std::future::poll_fn(|cx| self.incoming.poll_next(cx)).await
    }

    /// Receives a message that has already arrived.
    pub fn try_recv(&mut self) -> Option<Message> {
        self.incoming.try_next()
    }

    /// Sends a message: waits for room in the queue to the server
    /// ([`send_queue_bytes`](crate::Client::send_queue_bytes)), and returns once the message is in it.
    ///
    /// Cancel safe: the message is queued only when the future completes.
    ///
    /// # Errors
    /// The session has ended, or the message is binary and the transport is not the raw WebSocket.
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.send(message).await
    }

    /// Sends a message if there is room in the queue to the server.
    ///
    /// # Errors
    /// The queue is full, the session has ended, or the message is binary and the transport is not the raw WebSocket.
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        self.sender.try_send(message)
    }

    /// Waits until all messages that were sent before have left: an HTTP server has answered their requests, or a
    /// WebSocket's connection has taken them.
    ///
    /// Cancel safe.
    ///
    /// # Errors
    /// The session ended before: [`unsent`](Self::unsent) has the messages.
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.sender.flush().await
    }

    /// Returns another way to send into this session, for other tasks.
    pub fn sender(&self) -> Sender {
        self.sender.clone()
    }

    /// Closes the session: sends what is queued and, over a WebSocket, a close frame, and waits for the server's answer.
    /// Returns how the session has ended, which is with this code unless it had ended before. Messages that have arrived
    /// can still be received; those that arrive later are dropped.
    ///
    /// A server learns the code over a WebSocket only. Over HTTP there is no message for it: a streaming server sees the
    /// response break off, a polling one that nobody polls, for instance for 5 seconds.
    ///
    /// Takes as long as [`close_timeout`](crate::Client::close_timeout) at the most. Cancel safe: the session closes
    /// in any case.
    ///
    /// # Errors
    /// The code is neither 1000 nor within 3000–4999, or the reason is longer than 123 bytes of UTF-8. Those are the rules
    /// of browsers; the session stays open.
    pub async fn close(
        &self,
        code: u16,
        reason: impl Into<Cow<'static, str>>,
    ) -> Result<CloseEvent, InvalidClose> {
        let frame = CloseFrame::new(code, reason);
        if !matches!(code, 1000 | 3000..=4999) {
            return Err(InvalidClose::Code(code));
        }
        if frame.reason().len() > MAX_REASON {
            return Err(InvalidClose::Reason(frame.reason().len()));
        }
        self.close_by(frame);
        Ok(self.closed().await)
    }

    /// Waits for the end of the session, whether or not its messages are received. Cancel safe.
    ///
    /// The end cannot be seen behind messages that are not received: a session whose queue to the application is full is
    /// not read any further.
    pub async fn closed(&self) -> CloseEvent {
        wait(self.ended.clone()).await
    }

    /// Returns how the session has ended, or `None` while it has not.
    #[must_use]
    pub fn close_event(&self) -> Option<CloseEvent> {
        self.ended.borrow().as_ref().map(|ended| ended.event.clone())
    }

    /// Returns the messages that were accepted by [`send`](Self::send) and not delivered, once the session has ended;
    /// nothing before. To send some of them again is the application's decision: this client never does.
    #[must_use]
    pub fn unsent(&self) -> Unsent {
        self.ended.borrow().as_ref().map(|ended| ended.unsent.clone()).unwrap_or_default()
    }

    fn close_by(&self, frame: CloseFrame) {
        self.closing.send_if_modified(|closing| {
            let is_first = closing.is_none();
            closing.get_or_insert(frame);
            is_first
        });
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.task.abort();
    }
}

impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Session")
            .field("transport", &self.transport())
            .field("close_event", &self.close_event())
            .finish_non_exhaustive()
    }
}

/// The messages, as [`recv`](Session::recv) returns them.
impl Stream for Session {
    type Item = Message;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.incoming.poll_next(cx)
    }
}

/// Sends as [`send`](Session::send) does. Flushing is [`flush`](Session::flush), closing is [`close`](Session::close)
/// with 1000.
impl Sink<Message> for Session {
    type Error = SinkError;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        if let SinkState::Sending(sending) = &mut self.sink {
            let sent = ready!(sending.as_mut().poll(cx));
            self.sink = SinkState::Idle;
            sent?;
        }
        Poll::Ready(Ok(()))
    }

    fn start_send(mut self: Pin<&mut Self>, message: Message) -> Result<(), SinkError> {
        match self.sender.try_send(message) {
            Err(SendError::Full(message)) => {
                let sender = self.sender.clone();
                self.sink = SinkState::Sending(Box::pin(async move { sender.send(message).await }));
                Ok(())
            }
            other => {
                // A flush that nobody has waited for was one of the messages before this one.
                self.sink = SinkState::Idle;
                Ok(other?)
            }
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        ready!(self.as_mut().poll_ready(cx))?;
        if !matches!(self.sink, SinkState::Flushing(_)) {
            let sender = self.sender.clone();
            self.sink = SinkState::Flushing(Box::pin(async move { sender.flush().await }));
        }
        let SinkState::Flushing(flushing) = &mut self.sink else { return Poll::Ready(Ok(())) };
        let flushed = ready!(flushing.as_mut().poll(cx));
        self.sink = SinkState::Idle;
        Poll::Ready(Ok(flushed?))
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), SinkError>> {
        ready!(self.as_mut().poll_ready(cx))?;
        self.close_by(sockjs_core::close::NORMAL);
        if !matches!(self.sink, SinkState::Closing(_)) {
            let ended = wait(self.ended.clone());
            self.sink = SinkState::Closing(Box::pin(async move {
                if ended.await.was_clean() { Ok(()) } else { Err(FlushError) }
            }));
        }
        let SinkState::Closing(closing) = &mut self.sink else { return Poll::Ready(Ok(())) };
        let closed = ready!(closing.as_mut().poll(cx));
        self.sink = SinkState::Idle;
        Poll::Ready(Ok(closed?))
    }
}

/// Waits for the end of a session.
async fn wait(mut ended: watch::Receiver<Option<Ended>>) -> CloseEvent {
    match ended.wait_for(Option::is_some).await.as_deref() {
        Ok(Some(ended)) => ended.event.clone(),
        // It is told before its sender is gone.
        _ => CloseEvent::failed(Error::Lost("the session's task was stopped".into())),
    }
}

/// Sends messages into a [`Session`], from any task. Clones send into the same session. A sender does not keep the
/// session open.
#[derive(Debug, Clone)]
pub struct Sender {
    queue: queue::Sender,
    transport: Transport,
}

impl Sender {
    /// Sends a message: see [`Session::send`].
    ///
    /// # Errors
    /// See [`Session::send`].
    pub async fn send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = self.supported(message.into())?;
        self.queue.send(message).await.map_err(SendError::Closed)
    }

    /// Sends a message if there is room: see [`Session::try_send`].
    ///
    /// # Errors
    /// See [`Session::try_send`].
    pub fn try_send(&self, message: impl Into<Message>) -> Result<(), SendError> {
        let message = self.supported(message.into())?;
        Ok(self.queue.try_send(message)?)
    }

    /// Waits until all messages before have left: see [`Session::flush`].
    ///
    /// # Errors
    /// See [`Session::flush`].
    pub async fn flush(&self) -> Result<(), FlushError> {
        self.queue.flush().await.map_err(|queue::Closed| FlushError)
    }

    /// Returns whether the session has ended.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.queue.is_closed()
    }

    fn supported(&self, message: Message) -> Result<Message, SendError> {
        if message.is_binary() && self.transport.is_framed() {
            Err(SendError::BinaryUnsupported(message))
        } else {
            Ok(message)
        }
    }
}

/// A code or a reason that a session cannot be closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidClose {
    /// The code is neither 1000 nor within 3000–4999.
    Code(u16),
    /// The reason has this many bytes, more than 123.
    Reason(usize),
}

impl fmt::Display for InvalidClose {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => write!(f, "{code} is neither 1000 nor within 3000 to 4999"),
            Self::Reason(length) => write!(f, "the reason has {length} bytes, {MAX_REASON} are the most"),
        }
    }
}

impl std::error::Error for InvalidClose {}
