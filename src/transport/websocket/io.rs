//! The connection under a WebSocket, read in large pieces although each socket keeps only a small buffer; and
//! whether it lives, which is known only where its bytes pass.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// How much one system call may read.
const SCRATCH: usize = 64 << 10;

thread_local! {
    /// Where a read goes that may be larger than its reader's buffer: one for all sockets of a thread.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// A connection that is read as far as it goes at once.
///
/// The WebSocket library reads as much as its buffer holds, and that buffer is all that an idle socket costs.
/// So it is small, and what a read brings beyond it is kept here until it has been asked for.
#[derive(Debug)]
pub(super) struct Buffered<Io> {
    io: Io,
    /// What was read and not yet asked for begins at `at`.
    rest: Vec<u8>,
    at: usize,
    /// How much has been asked for and given.
    given: u64,
    has_read: bool,
    has_written: bool,
}

impl<Io> Buffered<Io> {
    pub(super) fn new(io: Io) -> Self {
        Self { io, rest: Vec::new(), at: 0, given: 0, has_read: false, has_written: false }
    }

    /// The same connection for a new reader.
    pub(super) fn renewed(self) -> Self {
        Self { given: 0, ..self }
    }

    /// How many bytes the reader has got.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Whether a byte has come in since the last call.
    pub(super) fn has_read(&mut self) -> bool {
        std::mem::take(&mut self.has_read)
    }

    /// Whether a byte has gone out since the last call.
    pub(super) fn has_written(&mut self) -> bool {
        std::mem::take(&mut self.has_written)
    }
}

impl<Io: AsyncRead + Unpin> AsyncRead for Buffered<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let Self { io, rest, at, given, has_read, .. } = &mut *self;
        let before = buffer.filled().len();
        if *at < rest.len() {
            let ready = &rest[*at..];
            let ready = &ready[..ready.len().min(buffer.remaining())];
            buffer.put_slice(ready);
            *at += ready.len();
            if *at == rest.len() {
                (*rest, *at) = (Vec::new(), 0);
            }
        } else {
            ready!(READ.with(|scratch| {
                // It is taken only if reading this connection reads another one.
                let Ok(mut scratch) = scratch.try_borrow_mut() else {
                    return Pin::new(io).poll_read(cx, buffer);
                };
                let mut read = ReadBuf::new(&mut scratch);
                ready!(Pin::new(io).poll_read(cx, &mut read))?;
                let (now, later) = read.filled().split_at(read.filled().len().min(buffer.remaining()));
                buffer.put_slice(now);
                *rest = later.to_vec();
                Poll::Ready(Ok(()))
            }))?;
            *has_read |= buffer.filled().len() > before;
        }
        *given += (buffer.filled().len() - before) as u64;
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Buffered<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        self.has_written |= matches!(written, Poll::Ready(Ok(1..)));
        written
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    #[tokio::test]
    async fn reads_far_and_gives_what_is_asked_for() {
        let (mut far, near) = duplex(1 << 20);
        let mut near = Buffered::new(near);
        let sent: Vec<u8> = (0..200_000_u32).map(|n| n as u8).collect();
        far.write_all(&sent).await.unwrap();
        drop(far);

        let mut got = vec![0; 10];
        near.read_exact(&mut got).await.unwrap();
        assert_eq!(near.rest.len(), SCRATCH - 10);
        near.read_to_end(&mut got).await.unwrap();
        assert_eq!(got, sent);
        assert_eq!((near.rest.capacity(), near.given()), (0, 200_000), "the memory is given back");
    }
}
