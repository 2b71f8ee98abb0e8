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
    io::{AsyncRead, AsyncWrite, ReadBuf},
    time::{Instant, Sleep, sleep_until},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{Bytes, Error as WsError, Message as WsMessage},
};

use super::{
    closing, convert,
    ended::{By, Ended, Traffic},
    liveness::{Due, Liveness},
    settings::Settings,
};
use crate::{
    backend::socket::{BackendSocket, Watched},
    config::backend::Binary,
};

/// What one turn carries in one direction at most, before other tasks have theirs.
const TURN_MESSAGES: usize = 64;
const TURN_BYTES: usize = 128 << 10;

/// As many pings are read while their answers cannot be written: they would grow the library's buffer without end.
const MAX_PONGS: usize = 16;

/// Of what a broken backend still sends, read at a time.
const DISCARD: usize = 4 << 10;

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
pub(crate) async fn pump<Io>(
    session: Session,
    backend: BackendSocket<Io>,
    settings: Settings,
    mut count: impl FnMut(Traffic, Traffic),
) -> Ended
where
    Io: AsyncRead + AsyncWrite + Unpin + Send,
{
    let sender = session.sender();
    let now = Instant::now();
    let liveness = Liveness::new(settings.ping_interval, settings.pong_timeout, now);
    let mut timer = pin!(sleep_until(liveness.next().unwrap_or(now)));
    let mut end = pin!(sender.closed());
    let mut pump = Pump::new(session, backend.stream, settings, liveness);
    let mut counted = (Traffic::default(), Traffic::default());
    let (cause, told) = poll_fn(|cx| {
        let ended = pump.poll_open(cx, end.as_mut(), timer.as_mut());
        let carried = (pump.to_backend, pump.to_client);
        if carried != counted {
            count(carried.0.since(counted.0), carried.1.since(counted.1));
            counted = carried;
        }
        ended
    })
    .await;
    timer.as_mut().reset(Instant::now() + settings.close_timeout);
    let mut farewell = pump.begin_farewell(cause, &told.to_backend);
    poll_fn(|cx| pump.poll_farewell(&mut farewell, cx, timer.as_mut())).await;
    Ended { by: told.by, frame: told.frame, to_backend: pump.to_backend, to_client: pump.to_client }
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

/// Why messages are carried no more.
#[derive(Debug)]
enum Cause {
    /// All that the client had sent is with the library.
    ClientLeft,
    BackendClosed,
    /// The backend is told, and may answer.
    Refused,
    /// The backend has broken the protocol: it may be told, and nothing of it is read.
    Broken,
    /// There is no connection to close.
    Lost,
}

/// Who has ended it, and what the sides are told.
#[derive(Debug)]
struct Told {
    by: By,
    frame: CloseFrame,
    to_backend: Option<CloseFrame>,
}

/// How the backend's connection comes to its end.
#[derive(Debug)]
enum Farewell {
    /// A close frame waits to be sent; the backend's own is awaited.
    Handshake(Option<WsMessage>),
    /// Nothing is read: the frame leaves, and the direction is shut.
    Frame(Option<WsMessage>),
    /// All is read and discarded. To drop the connection before the backend does would reset it, and the backend could
    /// lose the close frame.
    Discard,
}

/// What is left of a turn, in one direction.
struct Turn {
    messages: usize,
    bytes: usize,
}

impl Turn {
    const fn new() -> Self {
        Self { messages: TURN_MESSAGES, bytes: TURN_BYTES }
    }

    /// Whether the turn is over, in which case the task is woken for the next.
    fn is_over(&mut self, bytes: usize, cx: &Context<'_>) -> bool {
        self.messages -= 1;
        self.bytes = self.bytes.saturating_sub(bytes);
        let is_over = self.messages == 0 || self.bytes == 0;
        if is_over {
            cx.waker().wake_by_ref();
        }
        is_over
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Pump<Io> {
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
    ) -> Poll<(Cause, Told)> {
        if let Poll::Ready(ended) = self.poll_to_backend(cx, end) {
            return Poll::Ready(ended);
        }
        if let Poll::Ready(ended) = self.poll_to_client(cx) {
            return Poll::Ready(ended);
        }
        self.flush(cx);
        if self.stream.get_mut().has_read() {
            self.liveness.heard(Instant::now());
        }
        self.poll_timer(cx, timer)
    }

    fn poll_to_backend(
        &mut self,
        cx: &mut Context<'_>,
        end: Pin<&mut impl Future<Output = CloseReason>>,
    ) -> Poll<(Cause, Told)> {
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

    fn poll_to_client(&mut self, cx: &mut Context<'_>) -> Poll<(Cause, Told)> {
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
            let message = match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
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
                        return Poll::Ready(self.close_both(&closing::NO_BINARY, Cause::Refused));
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
                    self.session.close(frame.code(), frame.reason().to_owned());
                    return Poll::Ready((
                        Cause::BackendClosed,
                        Told { by: By::Backend, frame, to_backend: None },
                    ));
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
    fn poll_timer(&mut self, cx: &mut Context<'_>, mut timer: Pin<&mut Sleep>) -> Poll<(Cause, Told)> {
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
                    _ => (Cause::Lost, self.client_left().1),
                });
            }
            if self.is_paused {
                // Its sign of life may wait behind what the client has no room for.
                self.liveness.heard(now);
            }
            match self.liveness.due(now) {
                Due::Nothing => {}
                Due::Ask => self.ask(cx),
                Due::Lost => return Poll::Ready(self.close_both(&closing::SILENT, Cause::Broken)),
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

    fn client_left(&self) -> (Cause, Told) {
        let (by, frame) = closing::of_client(self.session.close_reason());
        (Cause::ClientLeft, Told { by, to_backend: Some(frame.clone()), frame })
    }

    fn backend_failed(&self, error: &WsError) -> (Cause, Told) {
        let (to_backend, frame) = closing::of_error(error);
        self.session.close(frame.code(), frame.reason().to_owned());
        let (by, cause) = match to_backend {
            Some(_) => (By::Gateway, Cause::Broken),
            None => (By::Backend, Cause::Lost),
        };
        (cause, Told { by, frame, to_backend })
    }

    fn close_both(&self, frame: &CloseFrame, cause: Cause) -> (Cause, Told) {
        self.session.close(frame.code(), frame.reason().to_owned());
        (cause, Told { by: By::Gateway, frame: frame.clone(), to_backend: Some(frame.clone()) })
    }

    fn begin_farewell(&self, cause: Cause, frame: &Option<CloseFrame>) -> Option<Farewell> {
        let message = frame.as_ref().map(|frame| WsMessage::Close(Some(closing::on_wire(frame))));
        match cause {
            Cause::ClientLeft | Cause::Refused => Some(Farewell::Handshake(message)),
            Cause::BackendClosed => Some(Farewell::Handshake(None)),
            Cause::Broken => Some(Farewell::Frame(message)),
            Cause::Lost => None,
        }
    }

    /// Closes the backend's connection, no later than the timer says.
    fn poll_farewell(
        &mut self,
        farewell: &mut Option<Farewell>,
        cx: &mut Context<'_>,
        timer: Pin<&mut Sleep>,
    ) -> Poll<()> {
        let is_over = match farewell {
            None => true,
            Some(farewell) => self.poll_goodbye(farewell, cx).is_ready() || timer.poll(cx).is_ready(),
        };
        if !is_over {
            return Poll::Pending;
        }
        // What TLS says at the end, if there is room for it.
        _ = Pin::new(self.stream.get_mut()).poll_shutdown(cx);
        Poll::Ready(())
    }

    fn poll_goodbye(&mut self, farewell: &mut Farewell, cx: &mut Context<'_>) -> Poll<()> {
        match farewell {
            Farewell::Handshake(frame) => {
                let sent = self.poll_send_last(frame, cx);
                if let Poll::Ready(Err(())) = sent {
                    return Poll::Ready(());
                }
                let mut turn = Turn::new();
                loop {
                    // The library flushes its own close frame, and ends with the connection.
                    match ready!(Pin::new(&mut self.stream).poll_next(cx)) {
                        Some(Ok(message)) if turn.is_over(message.len(), cx) => return Poll::Pending,
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                }
            }
            Farewell::Frame(frame) => {
                if ready!(self.poll_send_last(frame, cx)).is_err() {
                    return Poll::Ready(());
                }
                if ready!(Pin::new(self.stream.get_mut()).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(());
                }
                *farewell = Farewell::Discard;
                self.poll_discard(cx)
            }
            Farewell::Discard => self.poll_discard(cx),
        }
    }

    /// Sends the last frame, and flushes it.
    fn poll_send_last(
        &mut self,
        frame: &mut Option<WsMessage>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<(), ()>> {
        if frame.is_some() {
            ready!(Pin::new(&mut self.stream).poll_ready(cx)).map_err(drop)?;
            if let Some(frame) = frame.take() {
                Pin::new(&mut self.stream).start_send(frame).map_err(drop)?;
            }
        }
        Pin::new(&mut self.stream).poll_flush(cx).map_err(drop)
    }

    fn poll_discard(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let mut bytes = [0; DISCARD];
        let mut turn = Turn::new();
        loop {
            let mut buffer = ReadBuf::new(&mut bytes);
            let read = ready!(Pin::new(self.stream.get_mut()).poll_read(cx, &mut buffer));
            if read.is_err() || buffer.filled().is_empty() {
                return Poll::Ready(());
            }
            if turn.is_over(DISCARD, cx) {
                return Poll::Pending;
            }
        }
    }
}
