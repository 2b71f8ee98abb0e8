//! The WebSocket library's stream, with a way to give back the memory of a burst.

use std::{
    future::Future,
    pin::{Pin, pin},
    task::{Context, Poll, Waker, ready},
};

use futures_core::Stream;
use futures_sink::Sink;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error, Message as WsMessage,
        protocol::{Role, WebSocketConfig},
    },
};

use super::{io::Buffered, socket::MessageStream};

/// Most sockets are idle most of the time: this is what each of them keeps for reading.
const READ_BUFFER: usize = 1 << 10;

/// A message of this size grows the library's buffers beyond what an idle socket should keep.
const LARGE: usize = 4 << 10;

/// One WebSocket connection.
///
/// The library's buffers grow with the largest message and never shrink, and there is no call to make them. So
/// a new stream takes the place of one that has grown, once the old one is known to hold nothing.
pub(super) struct WebSocket<Io> {
    stream: WebSocketStream<Buffered<Io>>,
    max_message: usize,
    /// The least that the messages so far have taken on the wire: each may have come in several frames, or
    /// behind a longer header than it needed.
    received: u64,
    /// Whether a message was large since the stream was made.
    grown: bool,
}

impl<Io: AsyncRead + AsyncWrite + Unpin> WebSocket<Io> {
    pub(super) async fn new(io: Buffered<Io>, max_message: usize) -> Self {
        let config = WebSocketConfig::default()
            .read_buffer_size(READ_BUFFER)
            .max_message_size(Some(max_message))
            .max_frame_size(Some(max_message));
        let stream = WebSocketStream::from_raw_socket(io.renewed(), Role::Server, Some(config)).await;
        Self { stream, max_message, received: 0, grown: false }
    }

    fn note(&mut self, length: usize) {
        self.grown |= length >= LARGE;
    }
}

/// The least that a client's message takes on the wire
/// ([RFC 6455, section 5.2](https://www.rfc-editor.org/rfc/rfc6455#section-5.2)).
fn least_on_the_wire(length: usize) -> u64 {
    let header = match length {
        0..126 => 2,
        126..=0xffff => 4,
        _ => 10,
    };
    header + 4 + length as u64
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Stream for WebSocket<Io> {
    type Item = Result<WsMessage, Error>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let message = ready!(Pin::new(&mut self.stream).poll_next(cx));
        if let Some(Ok(message)) = &message {
            self.received += least_on_the_wire(message.len());
            self.note(message.len());
        }
        Poll::Ready(message)
    }
}

impl<Io: AsyncRead + AsyncWrite + Unpin> Sink<WsMessage> for WebSocket<Io> {
    type Error = Error;

    fn poll_ready(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Result<(), Error>> {
        Pin::new(&mut self.stream).poll_ready(cx)
    }

    fn start_send(mut self: Pin<&mut Self>, message: WsMessage) -> Result<(), Error> {
        self.note(message.len());
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
        self.stream.get_mut()
    }

    fn is_wasteful(&self) -> bool {
        // What was read is all in the messages, if they need as much at the least.
        self.grown && self.stream.get_ref().given() == self.received
    }

    fn renew(self) -> Option<Self> {
        let renewed = pin!(Self::new(self.stream.into_inner(), self.max_message));
        // It is async to know its first waker, and done at once.
        match renewed.poll(&mut Context::from_waker(Waker::noop())) {
            Poll::Ready(renewed) => Some(renewed),
            Poll::Pending => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::{SinkExt as _, StreamExt as _};
    use proptest::prelude::*;
    use tokio::io::{AsyncWriteExt as _, duplex};
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

    fn text(length: usize) -> Vec<u8> {
        masked(OpCode::Data(Data::Text), "x".repeat(length).as_bytes(), true)
    }

    #[tokio::test]
    async fn a_grown_stream_is_renewed_between_messages() {
        let (mut client, server) = duplex(1 << 20);
        let mut server = WebSocket::new(Buffered::new(server), 1 << 20).await;
        for length in [10, 200, 70_000, 10] {
            client.write_all(&text(length)).await.unwrap();
            assert_eq!(server.next().await.unwrap().unwrap().len(), length);
        }
        assert!(server.is_wasteful());
        server = server.renew().unwrap();
        assert!(!server.is_wasteful(), "it has not grown since");

        server.send(WsMessage::text("y".repeat(LARGE))).await.unwrap();
        assert!(server.is_wasteful());
        server = server.renew().unwrap();
        client.write_all(&text(5)).await.unwrap();
        assert_eq!(server.next().await.unwrap().unwrap().len(), 5);
    }

    #[tokio::test]
    async fn a_small_stream_is_kept() {
        let (mut client, server) = duplex(1 << 20);
        let mut server = WebSocket::new(Buffered::new(server), 1 << 20).await;
        client.write_all(&text(LARGE - 1)).await.unwrap();
        server.next().await.unwrap().unwrap();
        assert!(!server.is_wasteful());
    }

    proptest! {
        /// Wherever a client pauses, nothing of what it sends is lost by giving back.
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
                    while let Some(message) = futures_util::FutureExt::now_or_never(server.next()) {
                        got.push(message.unwrap().unwrap().len());
                    }
                    if server.is_wasteful() {
                        server = server.renew().unwrap();
                    }
                }
                got
            });
            prop_assert_eq!(got, expected);
        }
    }
}
