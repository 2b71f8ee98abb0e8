//! The WebSocket library's stream, able to release the memory of a burst.

use std::{
    future::Future,
    io,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message as WsMessage,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{frames::Tracker, io::Buffered, socket::MessageStream};

/// The read buffer of each socket. It is small because most sockets are idle most of the time.
const READ_BUFFER: usize = 1 << 10;

/// A frame or a write of this size grows the library's buffers beyond the memory that an idle socket should keep.
const LARGE: usize = 4 << 10;

/// The cost of a frame in addition to its bytes, in the time that a byte takes.
const FRAME: usize = 1 << 10;

/// One WebSocket connection.
///
/// The library's buffers grow with the largest frame, and it has no call to shrink them. So a new stream replaces a
/// grown one that is known to hold no data.
pub(super) struct WebSocket<Io> {
    stream: WebSocketStream<Watched<Io>>,
    max_message: usize,
    /// Whether the library holds no complete frame and has no more input.
    drained: bool,
    /// Whether a large frame or write has passed since the stream was created.
    grown: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> WebSocket<Io> {
    pub(super) async fn new(io: Buffered<Io>, max_message: usize) -> Self {
        Self::over(Watched { io, frames: Tracker::default(), longest_write: 0 }, max_message).await
    }

    async fn over(io: Watched<Io>, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let stream = WebSocketStream::from_raw_socket(io, Role::Server, Some(config)).await;
        Self { stream, max_message, drained: false, grown: false }
    }
}

/// The connection as the library sees it.
struct Watched<Io> {
    io: Buffered<Io>,
    /// The frames in the bytes given to the library.
    frames: Tracker,
    /// The largest write of the library since the last call of `was_large`.
    longest_write: usize,
}

impl<Io: AsyncRead + Unpin> AsyncRead for Watched<Io> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.io).poll_read(cx, buffer))?;
        let frames = self.frames.advance(&buffer.filled()[before..]);
        self.io.spend(frames * FRAME);
        Poll::Ready(Ok(()))
    }
}

impl<Io: AsyncWrite + Unpin> AsyncWrite for Watched<Io> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        self.longest_write = self.longest_write.max(data.len());
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<Io> {
    type Item = Result<WsMessage, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let next = Pin::new(&mut self.stream).poll_next(cx);
        self.drained = next.is_pending();
        next
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Sink<WsMessage> for WebSocket<Io> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Error> {
        Pin::new(&mut self.stream).start_send(message)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_close(cx)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> MessageStream for WebSocket<Io> {
    type Io = Io;

    fn io(&mut self) -> &mut Buffered<Io> {
        &mut self.stream.get_mut().io
    }

    fn unfinished(&self) -> Option<u64> {
        self.stream.get_ref().frames.unfinished()
    }

    fn close_code(&self) -> Option<u16> {
        self.stream.get_ref().frames.close_code()
    }

    fn was_large(&mut self) -> bool {
        let Watched { frames, longest_write, .. } = self.stream.get_mut();
        let large = frames.take_largest() >= LARGE as u64 || std::mem::take(longest_write) >= LARGE;
        self.grown |= large;
        large
    }

    fn should_shrink(&self) -> bool {
        self.grown && self.drained && self.unfinished().is_none()
    }

    fn shrink(self) -> Option<Self> {
        let renewed = pin!(Self::over(self.stream.into_inner(), self.max_message));
        // The function is async to get its first waker, and completes at once.
        match renewed.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(renewed) => Some(renewed),
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;

    use futures_util::{FutureExt as _, SinkExt as _};
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt as _, DuplexStream, duplex};
    use tokio_tungstenite::tungstenite::protocol::frame::{
        FrameHeader,
        coding::{Control, Data, OpCode},
    };

    use super::*;

    /// A frame as a client sends it.
    fn masked(opcode: OpCode, payload: &[u8], is_final: bool) -> Vec<u8> {
        let mask = [1, 2, 3, 4];
        let header = FrameHeader { is_final, opcode, mask: Some(mask), ..FrameHeader::default() };
        let mut frame = Vec::new();
        header.format(payload.len() as u64, &mut frame).unwrap();
        frame.extend(payload.iter().zip(mask.into_iter().cycle()).map(|(byte, mask)| byte ^ mask));
        frame
    }

    type Server = WebSocket<DuplexStream>;

    /// The next message, after any number of polls.
    async fn next(server: &mut Server) -> WsMessage {
        let next = poll_fn(|cx| {
            server.io().begin_turn();
            Pin::new(&mut *server).poll_next(cx)
        });
        next.await.unwrap().unwrap()
    }

    /// Reads all available data.
    fn drain(server: &mut Server) {
        assert!(next(server).now_or_never().is_none());
    }

    /// Whether the stream should be replaced, once all data is read.
    fn should_shrink(server: &mut Server) -> bool {
        drain(server);
        server.was_large();
        server.should_shrink()
    }

    fn text(length: usize) -> Vec<u8> {
        masked(OpCode::Data(Data::Text), "x".repeat(length).as_bytes(), true)
    }

    #[tokio::test]
    async fn a_grown_stream_is_renewed_between_messages() {
        let (mut client, server) = duplex(1 << 20);
        let mut server = WebSocket::new(Buffered::new(server), 1 << 20).await;
        for length in [10, 200, 70_000, 10] {
            client.write_all(&text(length)).await.unwrap();
            assert_eq!(next(&mut server).await.len(), length);
            assert!(!server.should_shrink(), "there may be more");
        }
        assert!(should_shrink(&mut server));
        server = server.shrink().unwrap();
        assert!(!should_shrink(&mut server), "it has not grown since");

        server.send(WsMessage::text("y".repeat(LARGE))).await.unwrap();
        assert!(should_shrink(&mut server));
        server = server.shrink().unwrap();
        // Many small messages can be as large together.
        for _ in 0..LARGE {
            server.feed(WsMessage::text("y")).await.unwrap();
        }
        server.flush().await.unwrap();
        assert!(should_shrink(&mut server));
        server = server.shrink().unwrap();
        client.write_all(&text(5)).await.unwrap();
        assert_eq!(next(&mut server).await.len(), 5);
    }

    #[tokio::test]
    async fn a_small_stream_is_kept() {
        let (mut client, server) = duplex(1 << 20);
        let mut server = WebSocket::new(Buffered::new(server), 1 << 20).await;
        client.write_all(&text(LARGE - 1)).await.unwrap();
        next(&mut server).await;
        assert!(!should_shrink(&mut server));
    }

    #[tokio::test]
    async fn a_stream_is_renewed_whatever_frames_came_before() {
        let fragments = |sizes: &[usize]| {
            let mut wire = masked(OpCode::Data(Data::Text), b"", false);
            for &size in sizes {
                wire.extend(masked(OpCode::Data(Data::Continue), &vec![b'x'; size], false));
            }
            wire.extend(masked(OpCode::Data(Data::Continue), b"", true));
            wire
        };
        let longer_than_needed = |length: usize| {
            let short = masked(OpCode::Data(Data::Text), &vec![b'x'; length], true);
            [&[0x81, 0xff][..], &(length as u64).to_be_bytes(), &short[2..]].concat()
        };
        let control = |control, payload: &[u8]| masked(OpCode::Control(control), payload, true);
        for (name, before) in [
            ("in two frames", fragments(&[2, 2])),
            ("in many frames", fragments(&[1; 10_000])),
            ("a large one in frames", fragments(&[50_000, 0, 50_000])),
            ("a header longer than it has to be", longer_than_needed(100)),
            ("control frames", [control(Control::Ping, b"1"), control(Control::Pong, &[b'x'; 125])].concat()),
            ("a control frame inside", {
                let mut wire = masked(OpCode::Data(Data::Text), b"x", false);
                wire.extend(control(Control::Ping, b"1"));
                wire.extend(masked(OpCode::Data(Data::Continue), b"x", true));
                wire
            }),
        ] {
            let (mut client, server) = duplex(1 << 20);
            let mut server = WebSocket::new(Buffered::new(server), 1 << 20).await;
            client.write_all(&before).await.unwrap();
            client.write_all(&text(70_000)).await.unwrap();
            while next(&mut server).await.len() != 70_000 {}
            client.write_all(&control(Control::Pong, b"")).await.unwrap();
            assert!(next(&mut server).await.is_pong(), "{name}");
            assert!(should_shrink(&mut server), "{name}");

            // Not in the middle of the next message.
            for part in [&before[..1], &before[1..before.len() - 1]] {
                client.write_all(part).await.unwrap();
                while next(&mut server).now_or_never().is_some() {}
                server.was_large();
                let between = server.unfinished().is_none();
                assert_eq!(server.should_shrink(), between, "{name}");
            }
        }
    }

    proptest! {
        /// Replacing the stream loses no data, wherever a client pauses.
        #[test]
        fn nothing_is_lost(
            messages in proptest::collection::vec((0..3_u8, 0..10_000_usize), 1..6),
            pauses in proptest::collection::vec(1..20_000_usize, 1..20),
        ) {
            let mut wire = Vec::new();
            let mut expected = Vec::new();
            for (kind, length) in messages {
                match kind {
                    0 => wire.extend(text(length)),
                    1 => {
                        wire.extend(masked(OpCode::Data(Data::Text), &vec![b'x'; length / 2], false));
                        wire.extend(masked(OpCode::Data(Data::Continue), &vec![b'x'; length - length / 2], true));
                    }
                    _ => {
                        let length = length.min(125);
                        wire.extend(masked(OpCode::Control(Control::Ping), &vec![b'x'; length], true));
                    }
                }
                expected.push(if kind == 2 { length.min(125) } else { length });
            }
            let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
            let got = runtime.block_on(async move {
                let (mut client, server) = duplex(1 << 20);
                let mut server = WebSocket::new(Buffered::new(server), 1 << 20).await;
                let mut got = Vec::new();
                let mut rest = &wire[..];
                for pause in pauses.into_iter().chain([usize::MAX]) {
                    let (now, later) = rest.split_at(pause.min(rest.len()));
                    client.write_all(now).await.unwrap();
                    rest = later;
                    while let Some(message) = next(&mut server).now_or_never() {
                        got.push(message.len());
                    }
                    if should_shrink(&mut server) {
                        server = server.shrink().unwrap();
                    }
                }
                got
            });
            prop_assert_eq!(got, expected);
        }
    }
}
