//! Connections in memory, which a test can hold up or cut.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError, Weak},
    task::{Context, Poll},
};

use futures_util::task::AtomicWaker;
use hyper_util::{
    client::legacy::connect::{Connected, Connection},
    rt::TokioIo,
};
use tokio::io::{AsyncRead, AsyncWrite, DuplexStream, ReadBuf};

/// How many bytes a connection holds in each direction: as many as a small socket buffer.
const CAPACITY: usize = 64 << 10;

/// What a test does to the connections of one session.
#[derive(Debug, Clone, Default)]
pub(super) struct Control(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    mode: Mode,
    /// Who reads from each connection.
    readers: Vec<Weak<AtomicWaker>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum Mode {
    #[default]
    Open,
    /// Nothing is read, so that the server's writes fill the connection.
    Paused,
    Cut,
}

impl Control {
    /// Makes a connection: the client's end, and the server's.
    pub(super) fn pipe(&self) -> (TokioIo<Pipe>, DuplexStream) {
        let (client, server) = tokio::io::duplex(CAPACITY);
        let reader = Arc::new(AtomicWaker::new());
        self.with(|state| {
            state.readers.retain(|reader| reader.strong_count() > 0);
            state.readers.push(Arc::downgrade(&reader));
        });
        (TokioIo::new(Pipe { io: client, reader, control: self.clone() }), server)
    }

    pub(super) fn set(&self, mode: Mode) {
        let readers = self.with(|state| {
            state.mode = mode;
            state.readers.clone()
        });
        readers.iter().filter_map(Weak::upgrade).for_each(|reader| reader.wake());
    }

    fn mode(&self) -> Mode {
        self.with(|state| state.mode)
    }

    fn with<T>(&self, access: impl FnOnce(&mut State) -> T) -> T {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// The client's end of a connection.
#[derive(Debug)]
pub(super) struct Pipe {
    io: DuplexStream,
    reader: Arc<AtomicWaker>,
    control: Control,
}

impl AsyncRead for Pipe {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        // Before the look at the mode, so that no change is missed.
        self.reader.register(cx.waker());
        match self.control.mode() {
            Mode::Open => Pin::new(&mut self.io).poll_read(cx, buffer),
            Mode::Paused => Poll::Pending,
            Mode::Cut => Poll::Ready(Err(io::ErrorKind::ConnectionReset.into())),
        }
    }
}

impl AsyncWrite for Pipe {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        match self.control.mode() {
            Mode::Open | Mode::Paused => Pin::new(&mut self.io).poll_write(cx, data),
            Mode::Cut => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
        }
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl Connection for Pipe {
    fn connected(&self) -> Connected {
        Connected::new()
    }
}
