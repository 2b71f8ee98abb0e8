//! One HTTP/1.1 request over a connection of its own, and the head of the answer.

use std::{
    future::poll_fn,
    io,
    pin::{Pin, pin},
    task::{Context, Poll},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::Empty;
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

use super::dial_error::HandshakeError;

/// The longest head of an answer, in bytes. The library takes 100 lines at most.
const MAX_HEAD: usize = 16 << 10;

/// All that may come before the head that counts has, in bytes: heads of 1xx come before it.
const MAX_HEADS: usize = 4 * MAX_HEAD;

/// A connection whose request is answered. What drives it is the caller, so it ends with this.
pub(super) struct Exchange<Io: AsyncRead + AsyncWrite + Unpin + 'static> {
    /// No body is read.
    pub(super) response: Response<Incoming>,
    io: http1::Connection<TokioIo<Limited<Io>>, Empty<Bytes>>,
    /// Whether `io` has completed, and must not be polled again.
    is_over: bool,
    /// Without it, the connection would end.
    _requests: SendRequest<Empty<Bytes>>,
}

impl<Io: AsyncRead + AsyncWrite + Unpin + 'static> Exchange<Io> {
    /// # Errors
    /// The connection is lost, or what comes is no HTTP/1.x, or too long.
    pub(super) async fn open(io: Io, request: Request<Empty<Bytes>>) -> Result<Self, HandshakeError> {
        let io = TokioIo::new(Limited { io, left: MAX_HEADS });
        // Some servers know the names of headers only as browsers write them.
        let mut http = http1::Builder::new();
        http.title_case_headers(true).max_buf_size(MAX_HEAD);
        let (mut requests, mut io) = http.handshake(io).await?;
        let mut is_over = false;
        let response = {
            let mut answer = pin!(requests.send_request(request));
            poll_fn(|cx| {
                if !is_over {
                    // An error is the answer's, too.
                    is_over = io.poll_without_shutdown(cx).is_ready();
                }
                answer.as_mut().poll(cx)
            })
            .await?
        };
        Ok(Self { response, io, is_over, _requests: requests })
    }

    /// The connection after an answer of 101, and what has come behind it.
    pub(super) async fn upgraded(mut self) -> Result<(Io, Bytes), HandshakeError> {
        if !self.is_over {
            poll_fn(|cx| self.io.poll_without_shutdown(cx)).await?;
        }
        let parts = self.io.into_parts();
        Ok((parts.io.into_inner().io, parts.read_buf))
    }
}

/// A connection of which only so much is read.
struct Limited<Io> {
    io: Io,
    left: usize,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Limited<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if self.left == 0 {
            return Poll::Ready(Err(io::Error::other("too much came before the answer")));
        }
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        self.left = self.left.saturating_sub(buffer.filled().len() - before);
        read
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Limited<Io> {
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
