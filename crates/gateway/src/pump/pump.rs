//! Carries messages between a session and its backend, until either ends.

use std::{
    future::{Future, poll_fn},
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use axum_sockjs::{CloseFrame, CloseReason, Session};
use futures_core::Stream;
use futures_sink::Sink;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::{Instant, Sleep, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Bytes, Error as WsError, Message as WsMessage},
};

use super::{
    closing, convert,
    ended::{By, Ended, Traffic},
    farewell::Farewell,
    liveness::{Due, Liveness},
    settings::Settings,
    turn::Turn,
};
use crate::{
    backend::socket::{self, BackendSocket, Readable, Watched},
    config::backend::Binary,
};

/// As many pings are read while their answers cannot be written: they would grow the library's buffer without end.
const MAX_PONGS: usize = 16;

/// Carries messages between a session and its backend, until either ends and the other has been told. Then the
/// backend's connection is closed, within [`close_timeout`](Settings::close_timeout).
///
/// `count` gets what each turn has carried, to the backend and to the client.
///
/// It holds no message: each is taken from the one side when the other has room. So a slow client makes the backend
/// wait, pings included, for as long as the session waits for the client (`write_timeout`), and a slow backend makes the
/// client wait. What is in the library's buffers is bounded by what a turn carries and one message of each direction.
///
/// # Cancel safety
/// Dropped before its end, it closes the session with 1000 and drops the backend's connection without a close frame.
pub(crate) fn pump<Io>(
    session: Session,
    backend: BackendSocket<Io>,
    settings: Settings,
    mut count: impl FnMut(Traffic, Traffic) + Send,
) -> impl Future<Output = Ended> + Send
where
    Io: AsyncRead + AsyncWrite + Readable + Unpin + Send,
{
    let sender = session.sender();
    let now = Instant::now();
    let liveness = Liveness::new(settings.ping_interval, settings.pong_timeout, now);
    let timer = sleep_until(liveness.next().unwrap_or(now));
    let mut pump = Pump::new(session, backend.stream, settings, liveness);
    // A block and not a function, which would have room for its arguments twice.
    async move {
        let mut timer = pin!(timer);
        let mut end = pin!(sender.closed());
        let mut counted = (Traffic::default(), Traffic::default());
        let End { by, frame, mut farewell } = loop {
            let outcome = poll_fn(|cx| {
                let outcome = pump.poll_open(cx, end.as_mut(), timer.as_mut());
                let carried = (pump.to_backend, pump.to_client);
                if carried != counted {
                    count(carried.0.since(counted.0), carried.1.since(counted.1));
                    counted = carried;
                }
                outcome
            });
            match outcome.await {
                Outcome::Ended(end) => break *end,
                Outcome::Grown => pump = pump.shrunk(),
            }
        };
        timer.as_mut().reset(Instant::now() + settings.close_timeout);
        poll_fn(|cx| {
            if farewell.poll(&mut pump.stream, cx).is_pending() {
                ready!(timer.as_mut().poll(cx));
            }
            // What TLS says at the end, if there is room for it.
            _ = Pin::new(pump.stream.get_mut()).poll_shutdown(cx);
            Poll::Ready(())
        })
        .await;
        Ended { by, frame, to_backend: pump.to_backend, to_client: pump.to_client }
    }
}

struct Pump<Io> {
    session: Session,
    stream: WebSocketStream<Watched<Io>>,
    settings: Settings,
    is_framed: bool,
    liveness: Liveness,
    /// Something may wait in the library's buffer.
    unflushed: bool,
    /// Answers to pings among that.
    pongs: usize,
    /// The backend is not read, since the client has no room.
    is_paused: bool,
    /// All that the backend has sent is read.
    is_drained: bool,
    write: Write,
    to_backend: Traffic,
    to_client: Traffic,
}

/// What becomes of messages to the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Works,
    /// The client has left while the backend took nothing: it has this long to take what the client had sent.
    Last(Instant),
    /// Nothing can be written any more. What the backend has sent before is read all the same, for so long.
    Broken(Instant),
}

/// What a poll comes to.
enum Outcome {
    Ended(Box<End>),
    /// The library's buffers are larger than an idle socket should keep.
    Grown,
}

/// The end, and how the backend's connection ends.
struct End {
    by: By,
    /// What the other side is told.
    frame: CloseFrame,
    farewell: Farewell,
}

impl From<End> for Outcome {
    fn from(end: End) -> Self {
        Self::Ended(Box::new(end))
    }
}

impl<Io: AsyncRead + AsyncWrite + Readable + Unpin> Pump<Io> {
    fn new(
        session: Session,
        stream: WebSocketStream<Watched<Io>>,
        settings: Settings,
        liveness: Liveness,
    ) -> Self {
        Self {
            is_framed: session.transport().is_framed(),
            session,
            stream,
            settings,
            liveness,
            unflushed: false,
            pongs: 0,
            is_paused: false,
            is_drained: false,
            write: Write::Works,
            to_backend: Traffic::default(),
            to_client: Traffic::default(),
        }
    }

    /// One turn of both directions, and one flush.
    fn poll_open(
        &mut self,
        cx: &mut Context<'_>,
        end: Pin<&mut impl Future<Output = CloseReason>>,
        timer: Pin<&mut Sleep>,
    ) -> Poll<Outcome> {
        if let Poll::Ready(end) = self.poll_to_backend(cx, end) {
            return Poll::Ready(end.into());
        }
        if let Poll::Ready(end) = self.poll_to_client(cx) {
            return Poll::Ready(end.into());
        }
        self.flush(cx);
        if self.stream.get_mut().has_read() {
            self.liveness.heard(Instant::now());
        }
        if let Poll::Ready(end) = self.poll_timer(cx, timer) {
            return Poll::Ready(end.into());
        }
        let is_empty = self.is_drained && !self.unflushed && self.write == Write::Works;
        if is_empty && self.stream.get_ref().should_shrink() {
            Poll::Ready(Outcome::Grown)
        } else {
            Poll::Pending
        }
    }

    /// With a new stream of the library, in place of one that holds nothing.
    fn shrunk(self) -> Self {
        let config = *self.stream.get_config();
        Self { stream: socket::open(self.stream.into_inner().renewed(), config), ..self }
    }

    fn poll_to_backend(
        &mut self,
        cx: &mut Context<'_>,
        end: Pin<&mut impl Future<Output = CloseReason>>,
    ) -> Poll<End> {
        let mut turn = Turn::new();
        loop {
            if let Write::Broken(_) = self.write {
                return Poll::Pending;
            }
            match Pin::new(&mut self.stream).poll_ready(cx) {
                Poll::Ready(Ok(())) => {}
                Poll::Ready(Err(_)) => {
                    self.break_write();
                    return Poll::Pending;
                }
                Poll::Pending => {
                    // Only here the end of the session would not be seen by asking for its next message.
                    if self.write == Write::Works && end.poll(cx).is_ready() {
                        self.write = Write::Last(Instant::now() + self.settings.close_timeout);
                    }
                    return Poll::Pending;
                }
            }
            let Some(message) = ready!(Pin::new(&mut self.session).poll_next(cx)) else {
                return Poll::Ready(self.client_left());
            };
            let length = message.len();
            self.unflushed = true;
            if Pin::new(&mut self.stream).start_send(convert::to_backend(&message)).is_err() {
                self.break_write();
                return Poll::Pending;
            }
            self.to_backend.add(length);
            if turn.is_over(length, cx) {
                return Poll::Pending;
            }
        }
    }

    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        let mut turn = Turn::new();
        loop {
            if self.pongs >= MAX_PONGS {
                self.flush(cx);
                if self.pongs > 0 {
                    return Poll::Pending;
                }
            }
            self.is_paused = Pin::new(&mut self.session).poll_ready(cx).is_pending();
            if self.is_paused {
                return Poll::Pending;
            }
            // The library would clear its buffer to find nothing.
            if self.is_drained && self.stream.get_ref().poll_readable(cx).is_pending() {
                return Poll::Pending;
            }
            let next = Pin::new(&mut self.stream).poll_next(cx);
            self.is_drained = next.is_pending();
            let message = match ready!(next) {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Poll::Ready(self.backend_failed(&error)),
                None => return Poll::Ready(self.backend_failed(&WsError::ConnectionClosed)),
            };
            let length = message.len();
            match message {
                WsMessage::Text(text) => {
                    let message = convert::text_to_client(&text, self.is_framed);
                    self.send(message, length);
                }
                WsMessage::Binary(data) if !self.is_framed => {
                    self.send(convert::binary_to_client(data), length);
                }
                WsMessage::Binary(data) => match self.settings.binary {
                    Binary::Base64 => self.send(convert::base64_to_client(&data), length),
                    Binary::Refuse => {
                        return Poll::Ready(self.close_both(closing::NO_BINARY, Farewell::handshake));
                    }
                },
                WsMessage::Ping(_) => {
                    if !matches!(self.write, Write::Broken(_)) {
                        self.unflushed = true;
                        self.pongs += 1;
                    }
                }
                // The library returns no frames.
                WsMessage::Pong(_) | WsMessage::Frame(_) => {}
                WsMessage::Close(frame) => {
                    let frame = closing::of_backend(frame.as_ref());
                    self.close_session(&frame);
                    return Poll::Ready(End { by: By::Backend, frame, farewell: Farewell::Handshake(None) });
                }
            }
            if turn.is_over(length, cx) {
                return Poll::Pending;
            }
        }
    }

    /// There is room. Once the session has ended, nobody wants it.
    fn send(&mut self, message: axum_sockjs::Message, length: usize) {
        if Pin::new(&mut self.session).start_send(message).is_ok() {
            self.to_client.add(length);
        }
    }

    fn flush(&mut self, cx: &mut Context<'_>) {
        if !self.unflushed || matches!(self.write, Write::Broken(_)) {
            return;
        }
        match Pin::new(&mut self.stream).poll_flush(cx) {
            Poll::Ready(Ok(())) => (self.unflushed, self.pongs) = (false, 0),
            Poll::Ready(Err(_)) => self.break_write(),
            Poll::Pending => {}
        }
    }

    fn break_write(&mut self) {
        (self.unflushed, self.pongs) = (false, 0);
        self.write = Write::Broken(Instant::now() + self.settings.close_timeout);
    }

    /// The timer is set no earlier than it has to be, so that a message does not set it.
    fn poll_timer(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<End> {
        loop {
            let deadline = match self.write {
                Write::Works => None,
                Write::Last(deadline) | Write::Broken(deadline) => Some(deadline),
            };
            let Some(next) = deadline.into_iter().chain(self.liveness.next()).min() else {
                return Poll::Pending;
            };
            if timer.deadline() > next || timer.is_elapsed() {
                timer.as_mut().reset(next);
            }
            ready!(timer.as_mut().poll(cx));
            let now = Instant::now();
            if deadline.is_some_and(|deadline| deadline <= now) {
                return Poll::Ready(match self.write {
                    Write::Broken(_) => self.backend_failed(&WsError::ConnectionClosed),
                    _ => End { farewell: Farewell::None, ..self.client_left() },
                });
            }
            if self.is_paused {
                // Its sign of life may wait behind what the client has no room for.
                self.liveness.heard(now);
            }
            match self.liveness.due(now) {
                Due::Nothing => {}
                Due::Ask => self.ask(cx),
                Due::Lost => return Poll::Ready(self.close_both(closing::SILENT, Farewell::frame)),
            }
        }
    }

    /// A backend that takes nothing gets no ping: it is silent all the same.
    fn ask(&mut self, cx: &mut Context<'_>) {
        if matches!(self.write, Write::Broken(_)) {
            return;
        }
        if let Poll::Ready(Ok(())) = Pin::new(&mut self.stream).poll_ready(cx) {
            if Pin::new(&mut self.stream).start_send(WsMessage::Ping(Bytes::new())).is_err() {
                return self.break_write();
            }
            self.unflushed = true;
            self.flush(cx);
        }
    }

    /// All that it had sent is with the library.
    fn client_left(&self) -> End {
        let (by, frame) = closing::of_client(self.session.close_reason());
        End { by, farewell: Farewell::handshake(&frame), frame }
    }

    fn backend_failed(&self, error: &WsError) -> End {
        let (told, frame) = closing::of_error(error);
        self.close_session(&frame);
        match told {
            Some(told) => End { by: By::Gateway, frame, farewell: Farewell::frame(&told) },
            None => End { by: By::Backend, frame, farewell: Farewell::None },
        }
    }

    fn close_both(&self, frame: CloseFrame, farewell: impl FnOnce(&CloseFrame) -> Farewell) -> End {
        self.close_session(&frame);
        End { by: By::Gateway, farewell: farewell(&frame), frame }
    }

    fn close_session(&self, frame: &CloseFrame) {
        self.session.close(frame.code(), frame.reason().to_owned());
    }
}
