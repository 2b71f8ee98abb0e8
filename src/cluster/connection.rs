//! A kept connection to another node, driven by whoever uses it: no task of its own, and nothing to hand over.

use std::{
    future::poll_fn,
    io,
    net::SocketAddr,
    pin::{Pin, pin},
    task::{Context, Poll, ready},
    time::Duration,
};

use axum::body::Body;
use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{net::TcpStream, time::Instant};

use crate::util::timeout::timeout;

/// What is read ahead of a client that does not read, in bytes.
const READ_BUFFER: usize = 16 << 10;

/// A kept connection to another node. It is kept in a box, since it is large and moves often.
pub(super) struct Connection {
    requests: SendRequest<Body>,
    io: http1::Connection<TokioIo<TcpStream>, Body>,
    /// Whether `io` has completed, and must not be polled again.
    is_over: bool,
    pub(super) idle_since: Instant,
}

/// Why a request has no answer.
pub(super) enum Failed {
    /// Nothing of the request has left.
    Unsent(Box<Request<Body>>),
    /// The request may have arrived.
    Broken,
}

impl Connection {
    pub(super) async fn open(address: SocketAddr, limit: Duration) -> io::Result<Self> {
        let stream = timeout(limit, Box::pin(TcpStream::connect(address))).await??;
        // Small requests would wait for the acknowledgement of the former one.
        stream.set_nodelay(true)?;
        let mut builder = http1::Builder::new();
        builder.max_buf_size(READ_BUFFER);
        let (requests, io) = builder.handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        Ok(Self { requests, io, is_over: false, idle_since: Instant::now() })
    }

    fn drive(&mut self, cx: &mut Context<'_>) {
        if !self.is_over {
            self.is_over = Pin::new(&mut self.io).poll(cx).is_ready();
        }
    }

    /// Whether it can take a request at once.
    pub(super) fn is_ready(&mut self, cx: &mut Context<'_>) -> bool {
        self.drive(cx);
        !self.is_over && matches!(self.requests.poll_ready(cx), Poll::Ready(Ok(())))
    }

    /// Sends a request, and waits for the head of the answer.
    pub(super) async fn send(&mut self, request: Request<Body>) -> Result<Response<Incoming>, Failed> {
        let mut answer = pin!(self.requests.try_send_request(request));
        let (io, is_over) = (&mut self.io, &mut self.is_over);
        let answer = poll_fn(|cx| {
            if !*is_over {
                *is_over = Pin::new(&mut *io).poll(cx).is_ready();
            }
            answer.as_mut().poll(cx)
        });
        answer.await.map_err(|mut error| {
            error.take_message().map_or(Failed::Broken, |request| Failed::Unsent(Box::new(request)))
        })
    }

    /// The next piece of an answer's body.
    pub(super) fn poll_body(
        &mut self,
        body: &mut Incoming,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        // It says that it wants a piece, which is read then.
        if let Poll::Ready(piece) = Pin::new(&mut *body).poll_frame(cx) {
            return Poll::Ready(piece);
        }
        self.drive(cx);
        let piece = ready!(Pin::new(body).poll_frame(cx));
        Poll::Ready(piece)
    }
}
