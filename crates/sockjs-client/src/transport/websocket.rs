//! The WebSockets, framed and raw.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll},
    time::Duration,
};

use futures_util::{
    SinkExt as _, StreamExt as _,
    stream::{SplitSink, SplitStream},
};
use http::{HeaderName, HeaderValue, Response, StatusCode, header};
use hyper::{body::Incoming, upgrade::Upgraded};
use hyper_util::rt::TokioIo;
use sockjs_core::{
    CloseFrame, Frame, Message, Transport,
    decode::{DecodeError, Limits},
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    task::coop::consume_budget,
    time::{Instant, timeout},
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        self, Bytes, Message as WsMessage, Utf8Bytes,
        error::CapacityError,
        handshake::{client::generate_key, derive_accept_key},
        protocol::{CloseFrame as WsCloseFrame, Role, WebSocketConfig},
    },
};

use super::Settings;
use crate::{
    endpoint_url::SessionUrl,
    error::Error,
    http::{Http, refused},
};

/// The read buffer of a socket: most are idle most of the time.
const READ_BUFFER: usize = 8 << 10;

/// Received binary data shorter than this is copied, so that it does not keep its buffer alive.
const COPY_BELOW: usize = 2 * READ_BUFFER;

/// The most answers to pings that may wait for the server to read them, in bytes: hundreds of the longest.
const MAX_UNREAD_PONGS: usize = 64 << 10;

/// The header of a pong, with its mask.
const PONG_HEADER: usize = 6;

/// An interval of no time is none.
const SHORTEST_PING_INTERVAL: Duration = Duration::from_millis(1);

type Socket = WebSocketStream<Heard>;

/// Does the handshake ([RFC 6455, section 4.1](https://www.rfc-editor.org/rfc/rfc6455#section-4.1)).
pub(super) async fn open(
    transport: Transport,
    url: &SessionUrl,
    http: &Http,
    settings: &Settings,
) -> Result<(Receiver, Sender, Option<String>), Error> {
    let key = generate_key();
    let accept = derive_accept_key(key.as_bytes());
    let key = HeaderValue::try_from(key).map_err(|error| Error::InvalidRequest(error.to_string()))?;
    let mut headers: Vec<(HeaderName, HeaderValue)> = vec![
        (header::CONNECTION, HeaderValue::from_static("Upgrade")),
        (header::UPGRADE, HeaderValue::from_static("websocket")),
        (header::SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13")),
        (header::SEC_WEBSOCKET_KEY, key),
    ];
    // Browsers offer one only for the raw WebSocket: with frames the protocol is that of SockJS.
    let offered = settings.subprotocols.as_ref().filter(|_| transport == Transport::RawWebSocket);
    headers.extend(offered.map(|names| (header::SEC_WEBSOCKET_PROTOCOL, names.clone())));
    let response = http.upgrade(&url.receiving(transport), headers).await?;
    if response.status() != StatusCode::SWITCHING_PROTOCOLS {
        return Err(refused(response).await);
    }
    let subprotocol =
        check(&response, &accept, offered).map_err(|what| Error::InvalidResponse(what.into()))?;
    let io = hyper::upgrade::on(response).await.map_err(|error| Error::Lost(error.into()))?;
    let config = WebSocketConfig::default()
        .read_buffer_size(READ_BUFFER)
        .max_message_size(Some(settings.max_frame_bytes))
        .max_frame_size(Some(settings.max_frame_bytes));
    let heard = Heard::new(io);
    let traffic = heard.traffic.clone();
    let socket = WebSocketStream::from_raw_socket(heard, Role::Client, Some(config)).await;
    let (sink, stream) = socket.split();
    let is_framed = transport != Transport::RawWebSocket;
    let receiver = Receiver {
        stream,
        limits: settings.limits,
        server_timeout: settings.silence.limit(),
        traffic,
        // A raw WebSocket is open with its handshake.
        is_opening: !is_framed,
        is_framed,
    };
    Ok((receiver, Sender { sink, is_framed, server_timeout: settings.silence.limit() }, subprotocol))
}

/// Checks the answer to the handshake, and returns the sub-protocol that the server has chosen.
fn check(
    response: &Response<Incoming>,
    accept: &str,
    offered: Option<&HeaderValue>,
) -> Result<Option<String>, &'static str> {
    let value = |name| response.headers().get(name).and_then(|value: &HeaderValue| value.to_str().ok());
    if !value(header::UPGRADE).is_some_and(|upgrade| upgrade.eq_ignore_ascii_case("websocket")) {
        return Err("the server switched to a protocol that is not WebSocket");
    }
    let mut options =
        response.headers().get_all(header::CONNECTION).iter().filter_map(|value| value.to_str().ok());
    let is_upgrade =
        |options: &str| options.split(',').any(|option| option.trim().eq_ignore_ascii_case("upgrade"));
    if !options.any(is_upgrade) {
        return Err("the server switched protocols without `Connection: Upgrade`");
    }
    if value(header::SEC_WEBSOCKET_ACCEPT) != Some(accept) {
        return Err("the server answered the handshake of another WebSocket");
    }
    if response.headers().contains_key(header::SEC_WEBSOCKET_EXTENSIONS) {
        return Err("the server chose an extension of WebSocket that was not offered");
    }
    let Some(chosen) = value(header::SEC_WEBSOCKET_PROTOCOL) else { return Ok(None) };
    let offered = offered.and_then(|names| names.to_str().ok()).unwrap_or_default();
    if offered.split(',').any(|name| name.trim() == chosen) {
        Ok(Some(chosen.to_owned()))
    } else {
        Err("the server chose a sub-protocol that was not offered")
    }
}

#[derive(Debug)]
pub(crate) struct Receiver {
    stream: SplitStream<Socket>,
    traffic: Traffic,
    limits: Limits,
    server_timeout: Option<Duration>,
    is_opening: bool,
    is_framed: bool,
}

impl Receiver {
    /// Waits for a message, as long as the server is not silent: a part of a long one is a sign of life, too.
    async fn message(&mut self) -> Result<Option<Result<WsMessage, tungstenite::Error>>, Error> {
        let Some(time) = self.server_timeout else { return Ok(self.stream.next().await) };
        let mut wait = time;
        loop {
            // Cancel safe: what has come of a message stays in the stream.
            if let Ok(message) = timeout(wait, self.stream.next()).await {
                return Ok(message);
            }
            wait = time.saturating_sub(self.traffic.with(|seen| seen.heard.elapsed()));
            if wait.is_zero() {
                return Err(Error::Silent(time));
            }
        }
    }

    pub(crate) async fn next(&mut self) -> Result<Frame, Error> {
        if std::mem::take(&mut self.is_opening) {
            return Ok(Frame::Open);
        }
        loop {
            // A server that sends frames which say nothing, without a pause, must not hold up this thread.
            consume_budget().await;
            let message = match self.message().await? {
                Some(Ok(message)) => message,
                Some(Err(error)) => return Err(lost(error)),
                None => return Err(lost(tungstenite::Error::ConnectionClosed)),
            };
            match message {
                WsMessage::Text(text) if self.is_framed => match Frame::parse(&text, self.limits) {
                    Ok(frame) => return Ok(frame),
                    Err(DecodeError::TooManyMessages) => return Err(Error::FrameTooLong),
                    Err(DecodeError::LoneSurrogate) => return Err(Error::LoneSurrogate),
                    // What is not understood is dropped.
                    Err(_) => {}
                },
                WsMessage::Text(text) => return Ok(Frame::Messages(vec![Message::from_raw_text(&text)])),
                WsMessage::Binary(data) if !self.is_framed => {
                    let data = if data.len() < COPY_BELOW { Bytes::copy_from_slice(&data) } else { data };
                    return Ok(Frame::Messages(vec![Message::binary(data)]));
                }
                WsMessage::Close(Some(frame)) => {
                    let reason = frame.reason.as_str().to_owned();
                    return Err(Error::Closed(CloseFrame::new(frame.code.into(), reason)));
                }
                // The code that a browser shows for a close frame without one (RFC 6455, section 7.1.5).
                WsMessage::Close(None) => return Err(Error::Closed(CloseFrame::from_static(1005, ""))),
                // The library answers, and keeps what the connection does not take.
                WsMessage::Ping(data) => {
                    let unread = self.traffic.with(|seen| {
                        seen.unread_pongs += data.len() + PONG_HEADER;
                        seen.unread_pongs
                    });
                    if unread > MAX_UNREAD_PONGS {
                        return Err(Error::Lost("the server does not read the answers to its pings".into()));
                    }
                }
                // Signs of life.
                WsMessage::Binary(_) | WsMessage::Pong(_) | WsMessage::Frame(_) => {}
            }
        }
    }
}

fn lost(error: tungstenite::Error) -> Error {
    match error {
        tungstenite::Error::Capacity(CapacityError::MessageTooLong { .. }) => Error::FrameTooLong,
        error => Error::Lost(error.into()),
    }
}

#[derive(Debug)]
pub(crate) struct Sender {
    sink: SplitSink<Socket, WsMessage>,
    is_framed: bool,
    server_timeout: Option<Duration>,
}

impl Sender {
    pub(crate) async fn send(&mut self, messages: &mut Vec<Message>) -> Result<(), Error> {
        for message in &*messages {
            // An array of one, as the browser's client sends it: not every server takes more.
            let message = if self.is_framed {
                text(super::http::payload(std::slice::from_ref(message)))
            } else if message.is_binary() {
                WsMessage::Binary(message.to_bytes())
            } else {
                text(message.to_bytes_lossy())
            };
            self.sink.feed(message).await.map_err(lost)?;
        }
        self.sink.flush().await.map_err(lost)?;
        messages.clear();
        Ok(())
    }

    pub(crate) async fn close(&mut self, frame: &CloseFrame) -> Result<(), Error> {
        let frame = WsCloseFrame { code: frame.code().into(), reason: frame.reason().into() };
        self.sink.send(WsMessage::Close(Some(frame))).await.map_err(lost)
    }

    /// Sends the close frame that is due: the answer to the server's, or one without a code, as a browser does it.
    pub(crate) async fn end(&mut self) {
        // A connection that is lost does not take it.
        _ = self.sink.close().await;
    }

    /// Often enough that one ping may be lost.
    pub(crate) fn ping_interval(&self) -> Option<Duration> {
        self.server_timeout.map(|time| (time / 3).max(SHORTEST_PING_INTERVAL))
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        self.sink.send(WsMessage::Ping(Default::default())).await.map_err(lost)
    }
}

/// What has gone over a connection.
#[derive(Debug, Clone)]
struct Traffic(Arc<Mutex<Seen>>);

#[derive(Debug)]
struct Seen {
    /// When something has come last.
    heard: Instant,
    /// The answers to pings, in bytes, that have come since the connection had last taken all that was to be sent.
    unread_pongs: usize,
}

impl Traffic {
    fn with<T>(&self, access: impl FnOnce(&mut Seen) -> T) -> T {
        access(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// A connection that notes its traffic.
#[derive(Debug)]
struct Heard {
    io: TokioIo<Upgraded>,
    traffic: Traffic,
}

impl Heard {
    fn new(io: Upgraded) -> Self {
        let seen = Seen { heard: Instant::now(), unread_pongs: 0 };
        Self { io: TokioIo::new(io), traffic: Traffic(Arc::new(Mutex::new(seen))) }
    }
}

impl AsyncRead for Heard {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let read = Pin::new(&mut self.io).poll_read(cx, buffer);
        if buffer.filled().len() > before {
            self.traffic.with(|seen| seen.heard = Instant::now());
        }
        read
    }
}

impl AsyncWrite for Heard {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, data: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(cx, data)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        data: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(cx, data)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        // The library flushes once all is written.
        self.traffic.with(|seen| seen.unread_pongs = 0);
        Pin::new(&mut self.io).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(cx)
    }
}

fn text(bytes: Bytes) -> WsMessage {
    // Always UTF-8: quoted text, or what a raw WebSocket may be sent.
    WsMessage::Text(Utf8Bytes::try_from(bytes).unwrap_or_default())
}
