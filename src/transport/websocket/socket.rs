//! One WebSocket and its session, in one task.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll},
};

use bytes::BytesMut;
use futures_core::Stream;
use futures_sink::Sink;
use sockjs_core::{CloseFrame, Frame, Message, Transport, decode};
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message as WsMessage, error::ProtocolError};
use tokio_util::codec::Framed;

use super::{
    hixie76,
    io::Buffered,
    messages::{
        BINARY, NOT_UTF8, TOO_BIG, VIOLATION, closed_by_client, framed_text, on_the_wire, raw,
        receive_binary, receive_text,
    },
};
use crate::session::{attachment::Attachment, close_reason::CloseReason, driver::Driver, waiters::Ticket};

/// The most messages read before the handler runs: empty messages never fill a queue.
const READS_PER_TURN: usize = 64;

/// The most memory that the buffers of a quiet connection may keep after a burst.
const MAX_KEPT: usize = 16 << 10;

/// A connection is quiet after this many polls without a large message. A heartbeat makes it quiet at once, since it
/// is sent only after a time without messages.
const QUIET: u8 = 64;

/// The most bytes discarded after the end. Discarding prevents a reset that would lose the close frame.
const MAX_DISCARD: u64 = 32 << 20;

#[derive(Debug, Clone, Copy)]
pub(super) struct Limits {
    pub(super) decode: decode::Limits,
    pub(super) max_message: usize,
    /// The limit of one outgoing frame.
    pub(super) frame_bytes: usize,
}

/// A stream and sink of WebSocket messages over a connection.
pub(super) trait MessageStream:
    Stream<Item = Result<WsMessage, Error>> + Sink<WsMessage, Error = Error> + Unpin + Sized
{
    type Io: AsyncRead + AsyncWrite + Unpin;

    /// The connection itself.
    fn io(&mut self) -> &mut Buffered<Self::Io>;

    /// The number of the message or frame that has arrived only in part; each has a different number.
    fn unfinished(&self) -> Option<u64>;

    /// The code of the client's close frame as received: the library replaces some codes.
    fn close_code(&self) -> Option<u16>;

    /// Whether a large message has passed since the last call, as far as that is known.
    fn was_large(&mut self) -> bool;

    /// Whether the stream has more memory than it needs and holds no data: every message received in part is complete
    /// and has been returned.
    fn should_shrink(&self) -> bool;

    /// The same connection with small buffers; the caller must poll it again.
    fn shrink(self) -> Option<Self>;
}

impl<Io: AsyncRead + AsyncWrite + Unpin> MessageStream for Framed<Buffered<Io>, hixie76::Codec> {
    type Io = Io;

    fn io(&mut self) -> &mut Buffered<Io> {
        self.get_mut()
    }

    fn unfinished(&self) -> Option<u64> {
        (!self.read_buffer().is_empty()).then(|| self.codec().frames())
    }

    fn close_code(&self) -> Option<u16> {
        None
    }

    fn was_large(&mut self) -> bool {
        false
    }

    fn should_shrink(&self) -> bool {
        let capacity = self.read_buffer().capacity() + self.write_buffer().capacity();
        capacity > MAX_KEPT && self.read_buffer().is_empty() && self.write_buffer().is_empty()
    }

    fn shrink(mut self) -> Option<Self> {
        *self.read_buffer_mut() = BytesMut::new();
        *self.write_buffer_mut() = BytesMut::new();
        Some(self)
    }
}

/// Moves messages between a connection and its session. It runs the handler between reading and writing, so that no
/// message crosses tasks.
pub(super) struct Socket<S> {
    transport: Transport,
    limits: Limits,
    driver: Driver,
    link: Option<Link<S>>,
}

/// The connection, while it exists.
struct Link<S> {
    stream: S,
    attachment: Attachment,
    /// A batch that waits for room in the session. Nothing more is read until it is accepted.
    waiting: Vec<Message>,
    ticket: Ticket,
    stage: Stage,
    /// The number of polls without a large message, up to [`QUIET`].
    quiet: u8,
    /// The unfinished message last reported to the session.
    unfinished: Option<u64>,
    /// Whether reading has failed in the middle of a message.
    failed: bool,
    /// Whether the close frame has been sent.
    close_written: bool,
    /// Whether this side has closed its half of the connection.
    shut: bool,
    /// Whether outgoing data waits for the peer to read.
    blocked: bool,
    /// Whether a ping has been sent and no byte has arrived since.
    asked: bool,
}

enum Stage {
    /// `o` has not been sent yet; the handler waits for it.
    Opening,
    Open,
    /// A close frame has been written. Further input is discarded until the peer closes too, or the session ends.
    Closing {
        /// The number of bytes read before.
        read: u64,
    },
}

/// The connection has ended.
struct Done;

impl<S: MessageStream> Socket<S> {
    pub(super) fn new(
        stream: S,
        transport: Transport,
        limits: Limits,
        attachment: Attachment,
        driver: Driver,
    ) -> Self {
        let link = Link {
            stream,
            attachment,
            waiting: Vec::new(),
            ticket: Ticket::default(),
            stage: Stage::Opening,
            quiet: 0,
            unfinished: None,
            failed: false,
            close_written: false,
            shut: false,
            blocked: false,
            asked: false,
        };
        Self { transport, limits, driver: driver.in_turns(), link: Some(link) }
    }

    /// One turn of the task.
    fn turn(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let Self { transport, limits, .. } = *self;
        self.with_link(|link| {
            link.stream.io().begin_turn();
            // The steps below see each other's effects without waking this task again.
            link.attachment.disarm(cx.waker());
            // The peer's progress counts before the driver checks the deadlines.
            if matches!(link.stage, Stage::Opening) || link.blocked {
                link.poll_write(transport, limits, cx)?;
            }
            // While the peer does not read, its input is not read either: the answers to its pings would accumulate.
            if !link.blocked || link.is_closing() {
                link.poll_read(transport, limits, cx)?;
            }
            if link.asked && link.stream.io().has_read() {
                link.asked = false;
                link.attachment.heard();
            }
            link.note_unfinished();
            Ok(())
        });
        let may_start = !matches!(&self.link, Some(Link { stage: Stage::Opening, .. }));
        let finished = self.driver.poll(may_start, cx);
        if self.driver.is_gone() {
            self.link = None;
        }
        // Messages that the handler has just sent leave in this poll.
        self.with_link(|link| {
            let was_closing = link.is_closing();
            link.poll_write(transport, limits, cx)?;
            link.note_unfinished();
            if was_closing { Ok(()) } else { link.poll_discard(cx) }
        });
        if let Some(link) = self.link.take_if(|link| link.should_shrink()) {
            self.link = link.shrink();
            cx.waker().wake_by_ref();
        }
        if self.link.is_none() && finished.is_pending() {
            // The connection may have ended just now: the driver must see it.
            return self.driver.poll(true, cx);
        }
        finished
    }

    /// Runs `step` on the connection, if there is one. At the connection's end the session ends too.
    fn with_link(&mut self, step: impl FnOnce(&mut Link<S>) -> Result<(), Done>) {
        if let Some(Err(Done)) = self.link.as_mut().map(step) {
            self.link = None;
        }
    }
}

impl<S: MessageStream> Future for Socket<S> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        self.driver.begin_turn(cx);
        let finished = self.turn(cx);
        self.driver.end_turn();
        finished
    }
}

impl<S: MessageStream> Link<S> {
    /// Whether the stream keeps the memory of a past burst.
    fn should_shrink(&mut self) -> bool {
        self.quiet = if self.stream.was_large() { 0 } else { QUIET.min(self.quiet + 1) };
        let can_shrink = !self.blocked && !self.is_closing() && self.stream.should_shrink();
        // Without heartbeats there may be no later poll.
        can_shrink && (self.quiet == QUIET || !self.attachment.has_heartbeats())
    }

    /// The same link over a stream with small buffers.
    fn shrink(self) -> Option<Self> {
        let stream = self.stream.shrink()?;
        Some(Self { stream, quiet: 0, ..self })
    }

    /// Reports to the session the message that has arrived only in part.
    fn note_unfinished(&mut self) {
        let reads = !self.blocked && self.waiting.is_empty();
        let unfinished = self.stream.unfinished().filter(|_| reads);
        if unfinished != self.unfinished {
            self.unfinished = unfinished;
            self.attachment.set_unfinished(unfinished);
        }
    }

    /// Writes every frame of the session, then flushes.
    fn poll_write(&mut self, transport: Transport, limits: Limits, cx: &mut Context<'_>) -> Result<(), Done> {
        while !self.is_closing() {
            match Pin::new(&mut self.stream).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => return Err(Done),
                Poll::Pending => {
                    self.note_blocked(true);
                    return Ok(());
                }
            }
            match self.attachment.poll_frame(limits.frame_bytes, cx) {
                Poll::Ready(Some(frame)) => {
                    if matches!(frame, Frame::Heartbeat) {
                        self.quiet = QUIET;
                    }
                    self.start_send(frame, transport)?;
                }
                Poll::Ready(None) => return Err(Done),
                Poll::Pending => break,
            }
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => {
                self.note_blocked(false);
                if matches!(self.stage, Stage::Opening) {
                    self.stage = Stage::Open;
                }
            }
            Poll::Pending => self.note_blocked(true),
            Poll::Ready(Err(_)) => return Err(Done),
        }
        Ok(())
    }

    /// Reports to the session whether its peer reads.
    fn note_blocked(&mut self, blocked: bool) {
        if blocked != self.blocked {
            self.blocked = blocked;
            self.stream.io().has_written();
            self.attachment.set_blocked(blocked);
        } else if blocked && self.stream.io().has_written() {
            self.attachment.progress();
        }
    }

    fn start_send(&mut self, frame: Frame, transport: Transport) -> Result<(), Done> {
        match (frame, transport.is_framed()) {
            (Frame::Close(close), framed) => {
                // A peer that broke the protocol gets no SockJS frame (suite: `test_broken_json`).
                if framed && !matches!(self.attachment.close_reason(), Some(CloseReason::ProtocolError(_))) {
                    self.put(framed_text(&Frame::Close(close.clone())))?;
                }
                self.put(WsMessage::Close(Some(on_the_wire(&close))))?;
                self.close();
                Ok(())
            }
            (Frame::Heartbeat, framed) => {
                if framed {
                    self.put(framed_text(&Frame::Heartbeat))?;
                }
                self.asked = true;
                self.stream.io().has_read();
                self.put(WsMessage::Ping(Bytes::new()))
            }
            (frame, true) => self.put(framed_text(&frame)),
            (Frame::Open, false) => Ok(()),
            (Frame::Messages(messages), false) => {
                messages.iter().try_for_each(|message| self.put(raw(message)))
            }
        }
    }

    fn put(&mut self, message: WsMessage) -> Result<(), Done> {
        Pin::new(&mut self.stream).start_send(message).map_err(|_| Done)
    }

    fn close(&mut self) {
        self.stage = Stage::Closing { read: self.stream.io().given() };
    }

    fn is_closing(&self) -> bool {
        matches!(self.stage, Stage::Closing { .. })
    }

    /// Reads until there is no more data, or the session has no room.
    fn poll_read(&mut self, transport: Transport, limits: Limits, cx: &mut Context<'_>) -> Result<(), Done> {
        if self.is_closing() {
            return self.poll_discard(cx);
        }
        if self.failed {
            // No more data can be read, but the close frame is still to be sent.
            return Ok(());
        }
        for _ in 0..READS_PER_TURN {
            if !self.waiting.is_empty() {
                match self.attachment.poll_accept(&mut self.waiting, &mut self.ticket, cx) {
                    // Frees the memory of a large batch.
                    Poll::Ready(_) => self.waiting = Vec::new(),
                    Poll::Pending => return Ok(()),
                }
            }
            let message = match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(Some(Ok(message))) => message,
                Poll::Ready(Some(Err(error))) => return self.fail(&error),
                Poll::Ready(None) => return Err(Done),
                Poll::Pending => return Ok(()),
            };
            match message {
                WsMessage::Text(text) => match receive_text(&text, transport.is_framed(), limits.decode) {
                    Ok(batch) => self.waiting = batch,
                    Err(violation) => return self.violate(violation),
                },
                WsMessage::Binary(_) if transport.is_framed() => return self.violate(BINARY),
                WsMessage::Binary(data) => self.waiting = vec![receive_binary(data)],
                WsMessage::Close(frame) => {
                    let reason = closed_by_client(frame, self.stream.close_code());
                    self.attachment.end(reason);
                    // hixie-76 needs a close answer. RFC 6455's is already written, so this call fails there.
                    let _ = self.put(WsMessage::Close(None));
                    self.close();
                    return self.poll_discard(cx);
                }
                WsMessage::Ping(_) | WsMessage::Pong(_) | WsMessage::Frame(_) => {}
            }
        }
        cx.waker().wake_by_ref();
        Ok(())
    }

    /// Ends the session after an error of the connection, which returns no more messages.
    fn fail(&mut self, error: &Error) -> Result<(), Done> {
        self.failed = true;
        match error {
            Error::Capacity(_) => self.violate(TOO_BIG),
            Error::Utf8(_) => self.violate(NOT_UTF8),
            Error::Protocol(ProtocolError::ResetWithoutClosingHandshake) => Err(Done),
            Error::Protocol(_) => self.violate(VIOLATION),
            _ => Err(Done),
        }
    }

    /// Ends the session; the close frame is sent with the next write.
    fn violate(&mut self, violation: CloseFrame) -> Result<(), Done> {
        self.attachment.end(CloseReason::ProtocolError(violation));
        Ok(())
    }

    /// In the closing stage: waits for the peer to close, and discards the data before.
    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Result<(), Done> {
        if !self.is_closing() {
            return Ok(());
        }
        // Closing before the close frame is sent would lose it.
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) if !self.close_written => {
                self.close_written = true;
                self.attachment.close_written();
            }
            Poll::Ready(Ok(())) => {}
            Poll::Ready(Err(_)) => return Err(Done),
            Poll::Pending => return Ok(()),
        }
        // After an error there are no messages, and a stream might wait for one forever.
        for _ in 0..READS_PER_TURN {
            if self.failed {
                break;
            }
            match Pin::new(&mut self.stream).poll_next(cx) {
                Poll::Ready(Some(Ok(_))) => {}
                Poll::Ready(Some(Err(Error::ConnectionClosed)) | None) => return Err(Done),
                Poll::Ready(Some(Err(_))) => self.failed = true,
                Poll::Pending => return self.check_discarded(),
            }
        }
        if !self.failed {
            cx.waker().wake_by_ref();
            return self.check_discarded();
        }
        // An answer after an error cannot be found, so it is not awaited (RFC 6455, section 7.1.7:
        // https://www.rfc-editor.org/rfc/rfc6455#section-7.1.7).
        if !self.shut {
            match Pin::new(self.stream.io()).poll_shutdown(cx) {
                Poll::Ready(Ok(())) => self.shut = true,
                Poll::Ready(Err(_)) => return Err(Done),
                Poll::Pending => return Ok(()),
            }
        }
        // The remaining input must be read: otherwise a reset of the connection could lose the close frame.
        loop {
            let mut scratch = [0; 4 << 10];
            let mut buffer = ReadBuf::new(&mut scratch);
            match Pin::new(self.stream.io()).poll_read(cx, &mut buffer) {
                Poll::Ready(Ok(())) if !buffer.filled().is_empty() => {}
                Poll::Ready(_) => return Err(Done),
                Poll::Pending => return self.check_discarded(),
            }
        }
    }

    /// Checks the limit of discarded bytes.
    fn check_discarded(&mut self) -> Result<(), Done> {
        match self.stage {
            Stage::Closing { read } if self.stream.io().given() - read <= MAX_DISCARD => Ok(()),
            _ => Err(Done),
        }
    }
}
