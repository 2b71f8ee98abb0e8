//! A client of any way to the server.

use std::{fmt, time::Duration};

use axum_stomp::{Bytes, Command, Frame, Version};
use futures_util::{SinkExt as _, StreamExt as _};
use sockjs_client::{Message, Transport, test::TestSession};
use stomp_codec::{Decoder, Limits};
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, tungstenite};

use super::soon;

/// The way to a server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    SockJs(Transport),
    Stream,
}

impl Way {
    pub(crate) const POLLING: Self = Self::SockJs(Transport::XhrPolling);
    pub(crate) const SOCKET: Self = Self::SockJs(Transport::WebSocket);

    pub(crate) fn all() -> impl Iterator<Item = Self> {
        Transport::ALL.iter().copied().map(Self::SockJs).chain([Self::Stream])
    }

    /// Whether bytes that are no text arrive as they are.
    pub(crate) fn is_binary(self) -> bool {
        matches!(self, Self::SockJs(Transport::RawWebSocket) | Self::Stream)
    }
}

impl fmt::Display for Way {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::SockJs(transport) => transport.fmt(f),
            Self::Stream => f.write_str("stream"),
        }
    }
}

/// How a connection has ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum End {
    Code(u16),
    /// Streams have no codes.
    Stream,
}

impl End {
    /// Whether it is this one, or there are no codes.
    #[track_caller]
    pub(crate) fn is(&self, code: u16) {
        assert!(matches!(self, Self::Stream) || *self == Self::Code(code), "{self:?} is not {code}");
    }
}

trait Io: AsyncRead + AsyncWrite + Send + Unpin {}

impl<T: AsyncRead + AsyncWrite + Send + Unpin> Io for T {}

enum Wire {
    SockJs(Box<TestSession>),
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Stream(Box<dyn Io>),
}

/// A client that sends text as it is and reads frames.
pub(crate) struct Client {
    wire: Wire,
    decoder: Decoder,
    piece: Bytes,
    /// Whether the last message was binary.
    pub(crate) last_was_binary: bool,
    end: Option<End>,
    receipts: u32,
    receive_timeout: Duration,
}

impl Client {
    fn new(wire: Wire) -> Self {
        Self {
            wire,
            decoder: Decoder::of_server(Limits::new().max_body_bytes(64 << 20).max_headers(1000)),
            piece: Bytes::new(),
            last_was_binary: false,
            end: None,
            receipts: 0,
            receive_timeout: Duration::from_secs(3600),
        }
    }

    pub(crate) fn of_sockjs(session: TestSession) -> Self {
        Self::new(Wire::SockJs(Box::new(session)))
    }

    pub(crate) fn of_socket(socket: WebSocketStream<MaybeTlsStream<TcpStream>>) -> Self {
        // Real time goes by.
        Self { receive_timeout: Duration::from_secs(10), ..Self::new(Wire::Socket(Box::new(socket))) }
    }

    pub(crate) fn of_stream(stream: impl AsyncRead + AsyncWrite + Send + Unpin + 'static) -> Self {
        Self::new(Wire::Stream(Box::new(stream)))
    }

    pub(crate) fn of_tcp(stream: TcpStream) -> Self {
        Self { receive_timeout: Duration::from_secs(10), ..Self::of_stream(stream) }
    }

    pub(crate) fn sockjs(&mut self) -> &mut TestSession {
        match &mut self.wire {
            Wire::SockJs(session) => session,
            _ => panic!("no SockJS"),
        }
    }

    /// Sends text as one message, or as bytes of a stream. `^` in it is a NUL.
    pub(crate) async fn send(&mut self, text: &str) {
        let text = text.replace('^', "\0");
        match &mut self.wire {
            Wire::SockJs(session) => session.send(text).await,
            Wire::Socket(socket) => {
                socket.send(tungstenite::Message::text(text)).await.expect("the connection takes it");
            }
            Wire::Stream(stream) => stream.write_all(text.as_bytes()).await.expect("the connection takes it"),
        }
    }

    /// Sends bytes as a binary message where there are such.
    pub(crate) async fn send_bytes(&mut self, bytes: impl AsRef<[u8]>) {
        let bytes = Bytes::copy_from_slice(bytes.as_ref());
        match &mut self.wire {
            Wire::SockJs(session) => session.send(Message::binary(bytes)).await,
            Wire::Socket(socket) => {
                socket.send(tungstenite::Message::Binary(bytes)).await.expect("the connection takes it");
            }
            Wire::Stream(stream) => stream.write_all(&bytes).await.expect("the connection takes it"),
        }
    }

    /// As [`send`](Self::send), where the server may have closed before.
    pub(crate) async fn try_send(&mut self, text: &str) -> bool {
        let text = text.replace('^', "\0");
        match &mut self.wire {
            Wire::SockJs(session) => session.session().try_send(text).is_ok(),
            Wire::Socket(socket) => socket.send(tungstenite::Message::text(text)).await.is_ok(),
            Wire::Stream(stream) => stream.write_all(text.as_bytes()).await.is_ok(),
        }
    }

    /// The next piece, or `None` at the end.
    async fn receive(&mut self) -> Option<Bytes> {
        if self.end.is_some() {
            return None;
        }
        let end = match &mut self.wire {
            Wire::SockJs(session) => match session.session().recv().await {
                Some(message) => {
                    self.last_was_binary = message.is_binary();
                    return Some(message.to_bytes());
                }
                None => End::Code(session.session().closed().await.code()),
            },
            Wire::Socket(socket) => loop {
                match socket.next().await {
                    Some(Ok(tungstenite::Message::Close(frame))) => {
                        break End::Code(frame.map_or(1005, |frame| frame.code.into()));
                    }
                    Some(Ok(message)) if message.is_text() || message.is_binary() => {
                        self.last_was_binary = message.is_binary();
                        return Some(message.into_data());
                    }
                    Some(Ok(_)) => {}
                    Some(Err(_)) | None => break End::Code(1006),
                }
            },
            Wire::Stream(stream) => {
                let mut buffer = vec![0; 64 << 10];
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => End::Stream,
                    Ok(read) => return Some(Bytes::copy_from_slice(&buffer[..read])),
                }
            }
        };
        self.end = Some(end);
        None
    }

    /// The next frame, or `None` at the end.
    pub(crate) async fn next(&mut self) -> Option<Frame> {
        let patience = self.receive_timeout;
        let next = timeout(patience, async {
            loop {
                if let Some(frame) = self.decoder.decode(&mut self.piece).expect("the server sends frames") {
                    return Some(frame);
                }
                self.piece = self.receive().await?;
            }
        });
        next.await.unwrap_or_else(|_| panic!("no frame within {patience:?}"))
    }

    pub(crate) async fn frame(&mut self) -> Frame {
        match self.next().await {
            Some(frame) => frame,
            None => panic!("no frame: {:?}", self.end),
        }
    }

    /// The next piece as text, which is to be outside of frames: a heart-beat.
    pub(crate) async fn beat(&mut self) {
        assert!(self.piece.is_empty(), "{:?}", self.piece);
        let piece = soon("a beat", self.receive()).await.expect("the connection is open");
        assert_eq!(piece, "\n");
    }

    /// The end, before which nothing comes.
    pub(crate) async fn closed(&mut self) -> End {
        match self.next().await {
            Some(frame) => panic!("{frame:?} came, and the end was to come"),
            None => self.end.clone().expect("it has ended"),
        }
    }

    /// Cuts the connection.
    pub(crate) fn abort(self) {
        match self.wire {
            Wire::SockJs(session) => session.abort(),
            Wire::Socket(socket) => drop(socket),
            Wire::Stream(stream) => drop(stream),
        }
    }

    /// Closes the connection without a word of STOMP.
    pub(crate) async fn close(self) {
        match self.wire {
            Wire::SockJs(session) => _ = session.close(1000, "").await,
            Wire::Socket(mut socket) => socket.close().await.expect("it can be closed"),
            Wire::Stream(mut stream) => stream.shutdown().await.expect("it can be closed"),
        }
    }

    /// Closes the sending half of a stream.
    pub(crate) async fn shut_down(&mut self) {
        match &mut self.wire {
            Wire::Stream(stream) => stream.shutdown().await.expect("it can be closed"),
            _ => panic!("no stream"),
        }
    }

    /// Sends `CONNECT` with header lines, and returns the `CONNECTED` that comes.
    pub(crate) async fn connect(&mut self, headers: &str) -> Frame {
        self.send(&format!("CONNECT\n{headers}\n^")).await;
        let connected = self.frame().await;
        assert_eq!(connected.command, Command::Connected, "{connected:?}");
        self.set_version(&connected);
        connected
    }

    pub(crate) fn set_version(&mut self, connected: &Frame) {
        self.decoder.set_version(
            Version::newest(connected.headers.get("version").expect("CONNECTED has a version"))
                .expect("CONNECTED has a version"),
        );
    }

    /// Sends a frame with these lines, a receipt among them, and waits for the receipt.
    pub(crate) async fn ask(&mut self, lines: &str, body: &str) {
        self.receipts += 1;
        let receipt = self.receipts;
        self.send(&format!("{lines}\nreceipt:{receipt}\n\n{body}^")).await;
        self.receipt(&receipt.to_string()).await;
    }

    pub(crate) async fn subscribe(&mut self, id: &str, destination: &str) {
        self.ask(&format!("SUBSCRIBE\nid:{id}\ndestination:{destination}"), "").await;
    }

    #[track_caller]
    pub(crate) fn receipt(&mut self, id: &str) -> impl Future<Output = ()> {
        let (id, caller) = (id.to_owned(), std::panic::Location::caller());
        async move {
            let frame = self.frame().await;
            let got = (frame.command, frame.headers.get("receipt-id"));
            assert_eq!(got, (Command::Receipt, Some(&*id)), "{caller} {frame:?}");
        }
    }

    /// The next frame, which is a `MESSAGE`.
    pub(crate) async fn message(&mut self) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Message, "{frame:?} {:?}", frame.body);
        frame
    }

    /// The body of the next frame, which is a `MESSAGE`.
    pub(crate) async fn body(&mut self) -> String {
        String::from_utf8(self.message().await.body.to_vec()).expect("text")
    }

    /// The next frame, which is an `ERROR`, and behind which the connection ends.
    pub(crate) async fn error(&mut self) -> Frame {
        let frame = self.frame().await;
        assert_eq!(frame.command, Command::Error, "{frame:?}");
        let length = frame.headers.get("content-length").map(str::to_owned);
        assert_eq!(length, Some(frame.body.len().to_string()), "{frame:?}");
        assert_eq!(frame.headers.get("content-type"), Some("text/plain"), "{frame:?}");
        self.closed().await.is(1002);
        frame
    }

    /// The `message` of an [`error`](Self::error) and its body.
    pub(crate) async fn refusal(&mut self) -> String {
        let frame = self.error().await;
        format!(
            "{}: {}",
            frame.headers.get("message").expect("ERROR has a message"),
            String::from_utf8_lossy(&frame.body)
        )
    }

    /// The bodies of all messages until the end.
    pub(crate) async fn bodies(&mut self) -> Vec<String> {
        let mut bodies = Vec::new();
        while let Some(frame) = self.next().await {
            bodies.push(String::from_utf8_lossy(&frame.body).into_owned());
        }
        bodies
    }
}
