//! A stream of bytes, such as a TCP connection, below a session.
//!
//! Imports: nothing.

use std::{
    fmt, io,
    net::SocketAddr,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use axum_sockjs::Message as Piece;
use bytes::{Bytes, BytesMut};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _, ReadHalf, WriteHalf},
    sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch},
    task::JoinHandle,
    time::{Instant, timeout},
};

/// How much is handed to the writing task before it has to wait, in bytes.
const WRITE_BYTES: usize = 64 << 10;

/// How much is read at once.
const READ_BYTES: usize = 8 << 10;

/// How long a client that still sends is read, so that it sees what was written last: the kernel would throw that away
/// if a connection were closed with bytes that nobody has read.
const LINGER: Duration = Duration::from_secs(2);

/// The sending half.
#[derive(Debug, Clone)]
pub(crate) struct StreamSender {
    room: Arc<Semaphore>,
    pieces: mpsc::UnboundedSender<Option<(Piece, OwnedSemaphorePermit)>>,
    written: Arc<Mutex<Instant>>,
}

/// What bytes come from and go to.
pub(crate) trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

/// The receiving half, and the task that writes.
pub(crate) struct Stream {
    reader: ReadHalf<Box<dyn Io>>,
    buffer: BytesMut,
    peer_addr: Option<SocketAddr>,
    sender: StreamSender,
    writing: JoinHandle<()>,
    shutdown: watch::Receiver<bool>,
}

/// What has been received.
pub(crate) enum Received {
    Bytes(Bytes),
    /// The client has closed its half, or the connection is broken.
    End,
    /// The server is shutting down.
    Shutdown,
}

/// Why a piece was not taken.
pub(crate) enum Refused {
    Full(Piece),
    Closed,
}

impl StreamSender {
    fn permits(piece: &Piece) -> u32 {
        // What is longer than the whole bound passes alone.
        u32::try_from(piece.len().clamp(1, WRITE_BYTES)).unwrap_or(u32::MAX)
    }

    pub(crate) fn try_send(&self, piece: Piece) -> Result<(), Refused> {
        match self.room.clone().try_acquire_many_owned(Self::permits(&piece)) {
            Ok(room) => self.pieces.send(Some((piece, room))).map_err(|_| Refused::Closed),
            Err(tokio::sync::TryAcquireError::Closed) => Err(Refused::Closed),
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(Refused::Full(piece)),
        }
    }

    /// Returns whether the piece was taken.
    pub(crate) async fn send(&self, piece: Piece) -> bool {
        let Ok(room) = self.room.clone().acquire_many_owned(Self::permits(&piece)).await else {
            return false;
        };
        self.pieces.send(Some((piece, room))).is_ok()
    }

    /// When some bytes were written last.
    pub(crate) fn written_at(&self) -> Instant {
        *self.written.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until nothing is written any more: after the end, or since the connection is broken.
    pub(crate) async fn closed(&self) {
        self.pieces.closed().await;
    }

    /// Nothing is taken from now on. What was taken is written, and then the end.
    pub(crate) fn close(&self) {
        self.room.close();
        // Without a receiver it is closed.
        let _ = self.pieces.send(None);
    }
}

impl Stream {
    /// `shutdown` says when the server shuts down. To be called within a runtime of Tokio.
    pub(crate) fn new(
        io: impl Io + 'static,
        peer_addr: Option<SocketAddr>,
        shutdown: watch::Receiver<bool>,
    ) -> Self {
        let (reader, writer) = tokio::io::split(Box::new(io) as Box<dyn Io>);
        let (pieces, queue) = mpsc::unbounded_channel();
        let written = Arc::new(Mutex::new(Instant::now()));
        let sender = StreamSender { room: Arc::new(Semaphore::new(WRITE_BYTES)), pieces, written };
        let writing = tokio::spawn(write(writer, queue, sender.room.clone(), sender.written.clone()));
        Self { reader, buffer: BytesMut::new(), peer_addr, sender, writing, shutdown }
    }

    pub(crate) fn sender(&self) -> StreamSender {
        self.sender.clone()
    }

    pub(crate) fn peer_addr(&self) -> Option<SocketAddr> {
        self.peer_addr
    }

    /// Receives some bytes.
    ///
    /// # Cancel safety
    /// Nothing is lost.
    pub(crate) async fn receive(&mut self) -> Received {
        self.buffer.reserve(READ_BYTES);
        tokio::select! {
            biased;
            // Without a server there is nobody to shut down.
            Ok(_) = self.shutdown.wait_for(|is_shutting_down| *is_shutting_down) => Received::Shutdown,
            read = self.reader.read_buf(&mut self.buffer) => match read {
                Ok(0) | Err(_) => Received::End,
                Ok(_) => Received::Bytes(self.buffer.split().freeze()),
            },
            // Streams of some kinds are broken in one direction, and do not end in the other.
            () = self.sender.closed() => Received::End,
        }
    }

    /// Writes what is left, and then waits for the client to close its half, for a bounded time.
    pub(crate) async fn finish(mut self) {
        self.sender.close();
        let (reader, buffer) = (&mut self.reader, &mut self.buffer);
        let reading = async {
            loop {
                buffer.clear();
                buffer.reserve(READ_BYTES);
                if matches!(reader.read_buf(buffer).await, Ok(0) | Err(_)) {
                    break;
                }
            }
        };
        // What has not been written by then is lost.
        let _ = timeout(LINGER, async { tokio::join!(reading, &mut self.writing) }).await;
    }
}

impl fmt::Debug for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stream").field("peer_addr", &self.peer_addr).finish_non_exhaustive()
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.writing.abort();
    }
}

/// Writes pieces until the end, several at once.
async fn write(
    mut writer: WriteHalf<Box<dyn Io>>,
    mut queue: mpsc::UnboundedReceiver<Option<(Piece, OwnedSemaphorePermit)>>,
    room: Arc<Semaphore>,
    written_at: Arc<Mutex<Instant>>,
) {
    let mut batch = Vec::new();
    let mut is_open = true;
    while is_open && queue.recv_many(&mut batch, 64).await > 0 {
        let mut bytes = BytesMut::new();
        // The room is free when the bytes are written.
        let mut permits = Vec::with_capacity(batch.len());
        for entry in batch.drain(..) {
            let Some((piece, permit)) = entry else {
                is_open = false;
                break;
            };
            bytes.extend_from_slice(&piece.to_bytes_lossy());
            permits.push(permit);
        }
        let written = async {
            while !bytes.is_empty() {
                if writer.write_buf(&mut bytes).await? == 0 {
                    return Err(io::ErrorKind::WriteZero.into());
                }
                *written_at.lock().unwrap_or_else(PoisonError::into_inner) = Instant::now();
            }
            writer.flush().await
        };
        is_open &= written.await.is_ok();
    }
    room.close();
    // Whether the client sees the end or not, this was the last.
    let _ = writer.shutdown().await;
}

#[cfg(test)]
mod tests {
    use tokio::io::{DuplexStream, duplex};

    use super::*;

    fn stream(buffer: usize) -> (Stream, DuplexStream, watch::Sender<bool>) {
        let (client, server) = duplex(buffer);
        let (shutdown, is_shutting_down) = watch::channel(false);
        (Stream::new(server, None, is_shutting_down), client, shutdown)
    }

    async fn read_all(client: &mut DuplexStream) -> String {
        let mut text = String::new();
        client.read_to_string(&mut text).await.unwrap();
        text
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_taken_is_written_before_the_end_although_the_client_still_sends() {
        let (stream, mut client, _shutdown) = stream(8);
        for piece in ["one ", "two ", "three"] {
            assert!(stream.sender().send(piece.into()).await);
        }
        let sending = async {
            // More than the pipe holds.
            client.write_all(&[b'x'; 1000]).await.unwrap();
            let text = read_all(&mut client).await;
            drop(client);
            text
        };
        let (text, ()) = tokio::join!(sending, stream.finish());
        assert_eq!(text, "one two three");
    }

    #[tokio::test(start_paused = true)]
    async fn a_client_that_reads_nothing_is_left_after_two_seconds() {
        let (stream, client, _shutdown) = stream(8);
        let sender = stream.sender();
        assert!(sender.send("a long text".into()).await);
        let start = Instant::now();
        stream.finish().await;
        assert_eq!(start.elapsed(), LINGER);
        assert!(!sender.send("more".into()).await);
        drop(client);
    }

    #[tokio::test]
    async fn what_waits_to_be_written_is_bounded() {
        let (stream, mut client, _shutdown) = stream(8);
        let sender = stream.sender();
        assert!(sender.try_send(Piece::from("x".repeat(WRITE_BYTES + 1))).is_ok());
        let Err(Refused::Full(piece)) = sender.try_send("y".into()) else { panic!("there was room") };
        let reading = async {
            let mut text = vec![0; WRITE_BYTES + 2];
            client.read_exact(&mut text).await.unwrap();
            text
        };
        let (text, is_sent) = tokio::join!(reading, sender.send(piece));
        assert!(is_sent && text.ends_with(b"xy"));
    }

    #[tokio::test]
    async fn a_shutdown_and_the_end_are_received() {
        let (mut stream, mut client, shutdown) = stream(8);
        client.write_all(b"abc").await.unwrap();
        assert!(matches!(stream.receive().await, Received::Bytes(bytes) if bytes == "abc"));
        drop(client);
        assert!(matches!(stream.receive().await, Received::End));
        shutdown.send(true).unwrap();
        assert!(matches!(stream.receive().await, Received::Shutdown));
    }
}
