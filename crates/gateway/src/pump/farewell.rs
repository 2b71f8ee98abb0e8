//! How a backend's connection comes to its end: with a close frame, and without a reset that could overtake it.

use std::{
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum_sockjs::CloseFrame;
use futures_core::Stream as _;
use futures_sink::Sink as _;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{WebSocketStream, tungstenite::Message as WsMessage};

use super::{closing, turn::Turn};

/// Of what a broken backend still sends, read at a time.
const DISCARD: usize = 4 << 10;

/// How a backend's connection comes to its end.
#[derive(Debug)]
pub(super) enum Farewell {
    /// A close frame waits to be sent, unless the backend has closed first; then its own is awaited, and the end of its
    /// connection.
    Handshake(Option<WsMessage>),
    /// The frame leaves, and the direction is shut: the backend has broken the protocol, and the library reads nothing of
    /// it any more.
    Frame(Option<WsMessage>),
    /// All is read and discarded. Dropped before the backend closes it, the connection would be reset, and the backend
    /// could lose the close frame.
    Discard,
    /// There is no connection to close.
    None,
}

impl Farewell {
    pub(super) fn handshake(frame: &CloseFrame) -> Self {
        Self::Handshake(Some(WsMessage::Close(Some(closing::on_wire(frame)))))
    }

    pub(super) fn frame(frame: &CloseFrame) -> Self {
        Self::Frame(Some(WsMessage::Close(Some(closing::on_wire(frame)))))
    }

    /// Completes when the connection can be dropped. It takes as long as the backend likes.
    pub(super) fn poll<Io>(&mut self, stream: &mut WebSocketStream<Io>, cx: &mut Context<'_>) -> Poll<()>
    where
        Io: AsyncRead + AsyncWrite + Unpin,
    {
        match self {
            Self::None => Poll::Ready(()),
            Self::Handshake(frame) => {
                if let Poll::Ready(Err(())) = poll_send(frame, stream, cx) {
                    return Poll::Ready(());
                }
                let mut turn = Turn::new();
                loop {
                    // The library answers the backend's close frame, and ends with the connection.
                    match ready!(Pin::new(&mut *stream).poll_next(cx)) {
                        Some(Ok(message)) if turn.is_over(message.len(), cx) => return Poll::Pending,
                        Some(Ok(_)) => {}
                        Some(Err(_)) | None => return Poll::Ready(()),
                    }
                }
            }
            Self::Frame(frame) => {
                if ready!(poll_send(frame, stream, cx)).is_err() {
                    return Poll::Ready(());
                }
                if ready!(Pin::new(stream.get_mut()).poll_shutdown(cx)).is_err() {
                    return Poll::Ready(());
                }
                *self = Self::Discard;
                poll_discard(stream.get_mut(), cx)
            }
            Self::Discard => poll_discard(stream.get_mut(), cx),
        }
    }
}

/// Sends the frame, if there still is one, and flushes.
fn poll_send<Io: AsyncRead + AsyncWrite + Unpin>(
    frame: &mut Option<WsMessage>,
    stream: &mut WebSocketStream<Io>,
    cx: &mut Context<'_>,
) -> Poll<Result<(), ()>> {
    if frame.is_some() {
        ready!(Pin::new(&mut *stream).poll_ready(cx)).map_err(drop)?;
        if let Some(frame) = frame.take() {
            Pin::new(&mut *stream).start_send(frame).map_err(drop)?;
        }
    }
    Pin::new(stream).poll_flush(cx).map_err(drop)
}

fn poll_discard(io: &mut (impl AsyncRead + Unpin), cx: &mut Context<'_>) -> Poll<()> {
    let mut bytes = [0; DISCARD];
    let mut turn = Turn::new();
    loop {
        let mut buffer = ReadBuf::new(&mut bytes);
        let read = ready!(Pin::new(&mut *io).poll_read(cx, &mut buffer));
        if read.is_err() || buffer.filled().is_empty() {
            return Poll::Ready(());
        }
        if turn.is_over(DISCARD, cx) {
            return Poll::Pending;
        }
    }
}
