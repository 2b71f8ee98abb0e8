//! The open WebSocket of a backend.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::protocol::{Role, WebSocketConfig},
};

use super::frames::Frames;

/// Of each socket, whether it is idle or not.
const READ_BUFFER: usize = 4 << 10;

/// A frame, a write, or what comes with the answer to the handshake: with this size it grows the library's buffers beyond
/// what an idle socket should keep.
const LARGE: usize = 8 << 10;

/// More than that, and it is written before the turn ends.
const WRITE_BUFFER: usize = 16 << 10;

/// The open WebSocket of a backend.
#[derive(Debug)]
pub(crate) struct BackendSocket<Io = Stream> {
    pub(crate) stream: WebSocketStream<Watched<Io>>,
}

/// The connection below a backend's WebSocket.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(TcpStream),
    Tls(Box<TlsStream<TcpStream>>),
}

#[cfg(test)]
impl<Io: AsyncRead + AsyncWrite + Unpin> BackendSocket<Io> {
    /// As after a handshake.
    pub(crate) fn over(io: Io, max_message_bytes: usize) -> Self {
        Self { stream: open(Watched::open(io), config(max_message_bytes)) }
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> BackendSocket<Io> {
    /// `read` has come with the answer to the handshake, behind it.
    pub(super) fn after_handshake(io: Io, read: &[u8], config: WebSocketConfig) -> Self {
        let mut io = Watched::open(io);
        io.advance(read);
        // The library takes it as its buffer.
        io.longest = read.len();
        Self { stream: open_with(io, read.to_vec(), config) }
    }
}

/// A new stream of the library, over a connection whose next byte is the first of a frame.
pub(crate) fn open<Io: AsyncRead + AsyncWrite + Unpin>(
    io: Watched<Io>,
    config: WebSocketConfig,
) -> WebSocketStream<Watched<Io>> {
    open_with(io, Vec::new(), config)
}

fn open_with<Io: AsyncRead + AsyncWrite + Unpin>(
    io: Watched<Io>,
    read: Vec<u8>,
    config: WebSocketConfig,
) -> WebSocketStream<Watched<Io>> {
    let mut opens = pin!(WebSocketStream::from_partially_read(io, read, Role::Client, Some(config)));
    // The function is async to get its first waker, and waits for nothing.
    loop {
        if let Poll::Ready(stream) = opens.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return stream;
        }
    }
}

/// The limits of the library.
///
/// What waits to be written has no limit here: a message of a client that does not fit would be lost. The pump writes
/// no further message while one waits.
pub(super) fn config(max_message_bytes: usize) -> WebSocketConfig {
    WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .write_buffer_size(WRITE_BUFFER)
        .max_message_size(Some(max_message_bytes))
        .max_frame_size(Some(max_message_bytes))
}

/// A connection that tells, without a read, that there is nothing to read.
pub(crate) trait Readable {
    /// Pending only if a read would be; the task is then woken as by a read.
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()>;
}

impl Readable for Stream {
    fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        match self {
            Self::Plain(io) => io.poll_read_ready(cx).map(drop),
            // What is deciphered can be read, whatever its connection has.
            Self::Tls(_) => Poll::Ready(()),
        }
    }
}

impl AsyncRead for Stream {
    fn poll_read(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_read(cx, buffer),
            Self::Tls(io) => Pin::new(io).poll_read(cx, buffer),
        }
    }
}

impl AsyncWrite for Stream {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_write(cx, data),
            Self::Tls(io) => Pin::new(io).poll_write(cx, data),
        }
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_flush(cx),
            Self::Tls(io) => Pin::new(io).poll_flush(cx),
        }
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.get_mut() {
            Self::Plain(io) => Pin::new(io).poll_shutdown(cx),
            Self::Tls(io) => Pin::new(io).poll_shutdown(cx),
        }
    }
}

/// A connection that knows whether anything has come, and what the library holds of it.
///
/// The library's buffers grow with the longest frame, and it has no call to shrink them. So a new stream takes the place
/// of a grown one that is known to hold nothing.
#[derive(Debug)]
pub(crate) struct Watched<Io> {
    io: Io,
    has_read: bool,
    frames: Frames,
    /// The longest write, or what has come with the answer to the handshake.
    longest: usize,
}

impl<Io> Watched<Io> {
    /// After the handshake.
    fn open(io: Io) -> Self {
        Self { io, has_read: false, frames: Frames::default(), longest: 0 }
    }

    fn advance(&mut self, bytes: &[u8]) {
        self.has_read |= !bytes.is_empty();
        self.frames.advance(bytes);
    }

    /// Without what it knows.
    pub(crate) fn renewed(self) -> Self {
        Self::open(self.io)
    }

    /// Whether a byte has arrived since the last call.
    pub(crate) fn has_read(&mut self) -> bool {
        std::mem::take(&mut self.has_read)
    }

    /// Whether the library's buffers have grown, and it holds no part of a message.
    pub(crate) fn should_shrink(&self) -> bool {
        let has_grown = self.frames.largest() >= LARGE as u64 || self.longest >= LARGE;
        has_grown && self.frames.is_between_messages()
    }
}

impl<Io: Readable> Watched<Io> {
    pub(crate) fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<()> {
        self.io.poll_readable(cx)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.advance(&buffer.filled()[before..]);
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.longest = self.longest.max(data.len());
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
