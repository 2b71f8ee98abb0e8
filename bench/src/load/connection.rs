//! One connection: what is read and not yet understood, what is to be written.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    pin::Pin,
    task::{Context, Poll, ready},
};

use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    net::{TcpSocket, TcpStream},
};

/// A buffer starts with so many bytes, and grows while reads fill it.
const START: usize = 4 << 10;

/// Bytes that were read and are not yet understood.
#[derive(Debug)]
pub(crate) struct Buffer {
    bytes: Box<[u8]>,
    start: usize,
    end: usize,
}

impl Buffer {
    fn new() -> Self {
        Self { bytes: vec![0; START].into(), start: 0, end: 0 }
    }

    pub(crate) fn filled(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(crate) fn take(&mut self, len: usize) -> &[u8] {
        let start = self.start;
        self.start += len;
        assert!(self.start <= self.end);
        &self.bytes[start..start + len]
    }

    /// The room behind what is filled: at least half of the whole.
    fn room(&mut self) -> &mut [u8] {
        if self.start == self.end {
            (self.start, self.end) = (0, 0);
        } else if self.end > self.bytes.len() / 2 {
            self.bytes.copy_within(self.start..self.end, 0);
            self.end -= self.start;
            self.start = 0;
            if self.end > self.bytes.len() / 2 {
                self.grow();
            }
        }
        &mut self.bytes[self.end..]
    }

    fn grow(&mut self) {
        let mut bytes = vec![0; self.bytes.len() * 2].into_boxed_slice();
        bytes[..self.end].copy_from_slice(&self.bytes[..self.end]);
        self.bytes = bytes;
    }
}

#[derive(Debug)]
pub(crate) struct Connection {
    stream: TcpStream,
    pub(crate) read: Buffer,
    pub(crate) write: Vec<u8>,
    written: usize,
}

impl Connection {
    /// Connects from one of many loopback addresses: one alone has some 28,000 ports. A session always has the
    /// same one.
    pub(crate) async fn open(to: SocketAddr, session: usize) -> io::Result<Self> {
        let socket = TcpSocket::new_v4()?;
        socket.set_nodelay(true)?;
        if to.ip() == IpAddr::V4(Ipv4Addr::LOCALHOST) {
            socket.bind(SocketAddr::from(([127, 0, 1, 1 + (session % 200) as u8], 0)))?;
        }
        let stream = socket.connect(to).await?;
        Ok(Self { stream, read: Buffer::new(), write: Vec::new(), written: 0 })
    }

    /// The same, with an error that says what fails.
    pub(crate) async fn connect(to: SocketAddr, session: usize) -> Result<Self, String> {
        Self::open(to, session).await.map_err(|error| format!("connecting: {error}"))
    }

    /// Writes as much as the socket takes; ready when all is out.
    pub(crate) fn poll_flush(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while self.written < self.write.len() {
            let written = ready!(Pin::new(&mut self.stream).poll_write(cx, &self.write[self.written..]))?;
            self.written += written;
        }
        self.write.clear();
        self.written = 0;
        Poll::Ready(Ok(()))
    }

    /// Reads what there is: false at the end of the stream.
    pub(crate) fn poll_read(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<bool>> {
        let mut room = ReadBuf::new(self.read.room());
        ready!(Pin::new(&mut self.stream).poll_read(cx, &mut room))?;
        let read = room.filled().len();
        let full = room.remaining() == 0;
        self.read.end += read;
        if full && self.read.bytes.len() < 256 << 10 {
            self.read.grow();
        }
        Poll::Ready(Ok(read > 0))
    }
}
