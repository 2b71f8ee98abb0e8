//! A connection that carries frames.

use std::{
    pin::{Pin, pin},
    task::{Context, Poll, ready},
};

use bytes::{Buf as _, Bytes, BytesMut};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite};

use super::frame::split;

/// How much is read at once, in bytes.
const READ: usize = 16 << 10;

/// A buffer that has grown beyond this is given back when it is empty.
const KEPT: usize = 256 << 10;

/// As many frames are read at once; then others have their turn.
pub(super) const MAX_TURN: usize = 256;

/// A connection that carries frames.
pub(super) struct Framed<I> {
    io: I,
    /// What has come and is no complete frame.
    input: BytesMut,
    /// The longest frame that may come.
    max: usize,
    /// What has not left.
    pub(super) out: BytesMut,
}

/// The connection is over.
#[derive(Debug)]
pub(super) struct Over;

impl<I: AsyncRead + AsyncWrite + Unpin> Framed<I> {
    pub(super) fn new(io: I, input: BytesMut, max: usize) -> Self {
        Self { io, input, max, out: BytesMut::new() }
    }

    pub(super) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Result<Bytes, Over>> {
        loop {
            if let Some(frame) = split(&mut self.input, self.max).map_err(|_| Over)? {
                return Poll::Ready(Ok(frame));
            }
            self.input.reserve(READ);
            let read = ready!(pin!(self.io.read_buf(&mut self.input)).poll(cx));
            if !read.is_ok_and(|length| length > 0) {
                return Poll::Ready(Err(Over));
            }
        }
    }

    /// Completes when all of `out` has left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        while !self.out.is_empty() {
            match ready!(Pin::new(&mut self.io).poll_write(cx, &self.out)) {
                Ok(length) if length > 0 => self.out.advance(length),
                _ => return Poll::Ready(Err(Over)),
            }
        }
        if self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }
}

/// Lets those that are ready now go first, so that what they write leaves together: `true` each second time.
#[derive(Debug, Default)]
pub(super) struct Turn(bool);

impl Turn {
    pub(super) fn has_come(&mut self, cx: &Context<'_>) -> bool {
        self.0 = !self.0;
        if self.0 {
            cx.waker().wake_by_ref();
        }
        !self.0
    }
}
