//! The open WebSocket of a backend.

use std::{
    io,
    pin::Pin,
    task::{Context, Poll},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::TcpStream,
};
use tokio_rustls::client::TlsStream;
#[cfg(test)]
use tokio_tungstenite::tungstenite::protocol::Role;
use tokio_tungstenite::{WebSocketStream, tungstenite::protocol::WebSocketConfig};

/// Of each socket, whether it is idle or not.
const READ_BUFFER: usize = 4 << 10;

/// More than that, and it is written before the turn ends.
const WRITE_BUFFER: usize = 16 << 10;

/// The open WebSocket of a backend.
#[derive(Debug)]
pub(crate) struct BackendSocket<Io = Stream> {
    pub(crate) stream: WebSocketStream<Watched<Io>>,
    /// The sub-protocol that the backend has chosen of those it was asked for.
    pub(crate) subprotocol: Option<Box<str>>,
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
    pub(crate) async fn over(io: Io, max_message_bytes: usize) -> Self {
        let config = Some(config(max_message_bytes));
        let stream = WebSocketStream::from_raw_socket(Watched::new(io), Role::Client, config).await;
        Self { stream, subprotocol: None }
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

/// A connection that knows whether anything has come.
#[derive(Debug)]
pub(crate) struct Watched<Io> {
    io: Io,
    has_read: bool,
}

impl<Io> Watched<Io> {
    pub(crate) fn new(io: Io) -> Self {
        Self { io, has_read: false }
    }

    /// Whether a byte has arrived since the last call.
    pub(crate) fn has_read(&mut self) -> bool {
        std::mem::take(&mut self.has_read)
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
        self.has_read |= buffer.filled().len() > before;
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}
