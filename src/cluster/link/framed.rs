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

/// As many frames are read at once, and as many bytes; then others have their turn.
const MAX_FRAMES: usize = 256;
const MAX_BYTES: usize = 1 << 20;

/// A connection that carries frames.
pub(crate) struct Framed<I> {
    io: I,
    /// What has come and is no complete frame.
    input: BytesMut,
    /// The longest frame that may come.
    max: usize,
    /// What has not left.
    pub(super) out: BytesMut,
    /// Whether the system has had no room for what was to leave.
    is_blocked: bool,
    /// Whether something has shown that the other end lives, and nobody has asked since.
    is_alive: bool,
}

/// The connection is over.
#[derive(Debug)]
pub(super) struct Over;

impl<I: AsyncRead + AsyncWrite + Unpin> Framed<I> {
    pub(super) fn new(io: I, input: BytesMut, max: usize) -> Self {
        Self { io, input, max, out: BytesMut::new(), is_blocked: false, is_alive: false }
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
            self.is_alive = true;
        }
    }

    /// Completes when all of `out` has left.
    pub(super) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), Over>> {
        while !self.out.is_empty() {
            let Poll::Ready(written) = Pin::new(&mut self.io).poll_write(cx, &self.out) else {
                self.is_blocked = true;
                return Poll::Pending;
            };
            match written {
                Ok(length) if length > 0 => self.out.advance(length),
                _ => return Poll::Ready(Err(Over)),
            }
            // There is room again since the other end has taken something.
            self.is_alive |= std::mem::take(&mut self.is_blocked);
        }
        if self.out.capacity() > KEPT {
            self.out = BytesMut::new();
        }
        Poll::Ready(Ok(()))
    }

    /// Whether the other end has shown since the last call that it lives: by bytes that have come, or by room for more.
    pub(super) fn has_shown_life(&mut self) -> bool {
        std::mem::take(&mut self.is_alive)
    }
}

/// What has been read in one turn.
#[derive(Debug, Default)]
pub(super) struct Share {
    frames: usize,
    bytes: usize,
}

impl Share {
    pub(super) fn add(&mut self, frame: &Bytes) {
        self.frames += 1;
        self.bytes += frame.len();
    }

    /// Whether it is enough for one turn.
    pub(super) fn is_used_up(&self) -> bool {
        self.frames >= MAX_FRAMES || self.bytes >= MAX_BYTES
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
