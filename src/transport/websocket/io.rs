//! The connection below a WebSocket. It reads in large pieces although each socket keeps only a small buffer, and it
//! records whether bytes arrive and leave.

use std::{
    cell::RefCell,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};

/// The most bytes that one system call reads.
const SCRATCH: usize = 64 << 10;

/// The budget of one poll of a connection's task, in bytes and in work that takes as much time.
///
/// The library keeps reading while input contains no message, and the runtime checks for new events only every 61
/// polls. The budget bounds the wait of other connections.
const TURN: usize = 128 << 10;

/// The cost of a write system call; reading a ping causes one too.
const WRITE: usize = 8 << 10;

thread_local! {
    /// The target of a read larger than its reader's buffer: one for all sockets of a thread.
    static READ: RefCell<Box<[u8]>> = RefCell::new(vec![0; SCRATCH].into());
}

/// A connection that reads all available data at once.
///
/// The WebSocket library reads as much as its buffer holds, and an idle socket keeps only that buffer. So it is
/// small, and further data is kept here until it is requested.
#[derive(Debug)]
pub(super) struct Buffered<Io> {
    io: Io,
    /// Data that was read but not yet requested begins at `at`.
    rest: Vec<u8>,
    at: usize,
    /// The number of bytes returned to the reader.
    given: u64,
    /// The remaining budget of this poll.
    budget: usize,
    has_read: bool,
    has_written: bool,
}

impl<Io> Buffered<Io> {
    pub(super) fn new(io: Io) -> Self {
        Self { io, rest: Vec::new(), at: 0, given: 0, budget: TURN, has_read: false, has_written: false }
    }

    /// Resets the budget. Once it is used up, reads return `Pending` and wake the task for another poll.
    pub(super) fn begin_turn(&mut self) {
        self.budget = TURN;
    }

    /// Reduces the budget by the cost of the work beyond the bytes themselves.
    pub(super) fn spend(&mut self, cost: usize) {
        self.budget = self.budget.saturating_sub(cost);
    }

    /// The number of bytes that the reader has got.
    pub(super) fn given(&self) -> u64 {
        self.given
    }

    /// Whether a byte has arrived since the last call.
    pub(super) fn has_read(&mut self) -> bool {
        std::mem::take(&mut self.has_read)
    }

    /// Whether a byte has been written since the last call.
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
        let Self { io, rest, at, given, budget, has_read, .. } = &mut *self;
        if *budget == 0 {
            cx.waker().wake_by_ref();
            return Poll::Pending;
        }
        let before = buffer.filled().len();
        let wanted = buffer.remaining().min(*budget);
        if *at < rest.len() {
            let ready = &rest[*at..];
            let ready = &ready[..ready.len().min(wanted)];
            buffer.put_slice(ready);
            *at += ready.len();
            if *at == rest.len() {
                (*rest, *at) = (Vec::new(), 0);
            }
        } else {
            ready!(READ.with(|scratch| {
                // The buffer is in use only if reading this connection reads another one.
                let Ok(mut scratch) = scratch.try_borrow_mut() else {
                    return Pin::new(io).poll_read(cx, buffer);
                };
                let mut read = ReadBuf::new(&mut scratch);
                ready!(Pin::new(io).poll_read(cx, &mut read))?;
                let (now, later) = read.filled().split_at(read.filled().len().min(wanted));
                buffer.put_slice(now);
                *rest = later.to_vec();
                Poll::Ready(Ok(()))
            }))?;
            *has_read |= buffer.filled().len() > before;
        }
        let read = buffer.filled().len() - before;
        *given += read as u64;
        self.spend(read);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Buffered<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.io).poll_write(cx, data);
        self.has_written |= matches!(written, Poll::Ready(Ok(1..)));
        self.spend(WRITE);
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
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, Ordering},
        },
        task::{Wake, Waker},
    };

    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, duplex};

    use super::*;

    struct Woken(AtomicBool);

    impl Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.store(true, Ordering::Relaxed);
        }
    }

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
        while got.len() < sent.len() {
            near.begin_turn();
            near.read_buf(&mut got).await.unwrap();
        }
        assert_eq!(got, sent);
        assert_eq!((near.rest.capacity(), near.given()), (0, 200_000), "the memory is given back");
    }

    #[tokio::test]
    async fn a_turn_ends_and_the_task_is_woken_for_the_next() {
        let (mut far, near) = duplex(1 << 20);
        let mut near = Buffered::new(near);
        far.write_all(&[1; 4 * TURN]).await.unwrap();
        let woken = Arc::new(Woken(AtomicBool::new(false)));
        let waker = Waker::from(woken.clone());
        let read = |near: &mut Buffered<_>| {
            let mut bytes = vec![0; 1 << 20];
            let mut buffer = ReadBuf::new(&mut bytes);
            let poll = Pin::new(near).poll_read(&mut Context::from_waker(&waker), &mut buffer);
            (poll.is_ready(), buffer.filled().len(), woken.0.swap(false, Ordering::Relaxed))
        };
        for _ in 0..TURN / SCRATCH {
            assert_eq!(read(&mut near), (true, SCRATCH, false));
        }
        assert_eq!(read(&mut near), (false, 0, true), "all is read that a turn may bring");
        near.begin_turn();
        near.spend(TURN - 10);
        assert_eq!(read(&mut near), (true, 10, false), "work counts as well");
        near.begin_turn();
        near.write_all(&[1]).await.unwrap();
        near.spend(TURN - WRITE - 10);
        assert_eq!(read(&mut near), (true, 10, false), "and so do writes");
    }
}
