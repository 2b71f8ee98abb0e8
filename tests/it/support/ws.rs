//! WebSocket clients: a proper one, and one that writes frames byte by byte.

use std::net::SocketAddr;

use axum_sockjs::CloseFrame;
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::net::TcpStream;
use tokio_tungstenite::{WebSocketStream, client_async, tungstenite::Message};

use super::{
    apps::Endpoint,
    client::Way,
    fresh_id,
    http::{Connection, Request},
    within,
};

/// The example key of RFC 6455, section 1.3, and the answer to it.
pub(crate) const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
pub(crate) const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";

pub(crate) type Socket = WebSocketStream<TcpStream>;

// The first byte of a frame: the bit for the last fragment, and the opcode.
pub(crate) const FIN: u8 = 0x80;
pub(crate) const CONTINUATION: u8 = 0;
pub(crate) const TEXT: u8 = 1;
pub(crate) const BINARY: u8 = 2;
pub(crate) const CLOSE: u8 = 8;
pub(crate) const PING: u8 = 9;
pub(crate) const PONG: u8 = 10;

/// A handshake by the library, which checks the answer.
pub(crate) async fn open(addr: SocketAddr, target: &str) -> Socket {
    let io = within("a connection", TcpStream::connect(addr)).await.expect("the server listens");
    io.set_nodelay(true).expect("a connected socket takes options");
    let handshake = client_async(format!("ws://{addr}{target}"), io);
    let (socket, _) = within(format_args!("a handshake at {target}"), handshake)
        .await
        .unwrap_or_else(|error| panic!("the handshake at {target} failed: {error}"));
    socket
}

/// The next text, as it came.
pub(crate) async fn text(socket: &mut Socket) -> String {
    match next(socket).await {
        Some(Message::Text(text)) => text.as_str().to_owned(),
        other => panic!("{other:?} where a text was expected"),
    }
}

/// Expects that no message comes any more, only the end; gives the close frame, if there is one.
pub(crate) async fn expect_end(socket: &mut Socket) -> Option<(u16, String)> {
    let mut close = None;
    while let Some(message) = next(socket).await {
        match message {
            Message::Close(frame) => close = frame.map(|f| (f.code.into(), f.reason.as_str().to_owned())),
            other => panic!("{other:?} where the end was expected"),
        }
    }
    close
}

/// The next message; `None` at the end of the connection, however it came about.
pub(crate) async fn next(socket: &mut Socket) -> Option<Message> {
    within("a WebSocket message", socket.next()).await?.ok()
}

/// Sends a message.
pub(crate) async fn send(socket: &mut Socket, message: impl Into<Message>) {
    within("a message sent", socket.send(message.into())).await.expect("the socket is open");
}

/// A request for a WebSocket, as browsers send it.
pub(crate) fn handshake(target: impl Into<String>) -> Request {
    Request::get(target)
        .header("Upgrade", "websocket")
        .header("Connection", "Upgrade")
        .header("Sec-WebSocket-Version", "13")
        .header("Sec-WebSocket-Key", KEY)
}

/// A connection after its handshake, for frames as bytes.
pub(crate) async fn upgraded(addr: SocketAddr, target: &str) -> Connection {
    let mut connection = Connection::open(addr).await;
    connection.send(&handshake(target)).await;
    assert_eq!(connection.head().await.status, 101, "{target}");
    connection
}

/// The bytes of one frame from a client: masked, as the RFC demands.
pub(crate) fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mut frame = vec![first];
    match payload.len() {
        short @ 0..126 => frame.push(0x80 | short as u8),
        medium @ 126..0x1_0000 => {
            frame.push(0x80 | 126);
            frame.extend_from_slice(&(medium as u16).to_be_bytes());
        }
        long => {
            frame.push(0x80 | 127);
            frame.extend_from_slice(&(long as u64).to_be_bytes());
        }
    }
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    frame.extend_from_slice(&mask);
    frame.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    frame
}

/// The payload of a close frame.
pub(crate) fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    [&code.to_be_bytes(), reason.as_bytes()].concat()
}

/// Reads one frame from the server: its first byte and its payload.
pub(crate) async fn read_frame(connection: &mut Connection) -> (u8, Vec<u8>) {
    let head = connection.exactly(2).await;
    let length = match head[1] {
        126 => connection.exactly(2).await.iter().fold(0, |n, &byte| n << 8 | usize::from(byte)),
        127 => connection.exactly(8).await.iter().fold(0, |n, &byte| n << 8 | usize::from(byte)),
        short => usize::from(short),
    };
    assert!(head[1] < 0x80, "a server does not mask its frames");
    (head[0], connection.exactly(length).await)
}

/// Reads frames until the close frame, and gives its code and text.
pub(crate) async fn read_close(connection: &mut Connection) -> Option<CloseFrame> {
    loop {
        let (first, payload) = read_frame(connection).await;
        if first == FIN | CLOSE {
            let (code, reason) = payload.split_first_chunk()?;
            let reason = String::from_utf8(reason.to_vec()).expect("the reason is UTF-8");
            return Some(CloseFrame::new(u16::from_be_bytes(*code), reason));
        }
    }
}

/// All that a WebSocket brings until its end.
pub(crate) async fn until_closed(mut socket: Socket) -> String {
    let mut seen = String::new();
    while let Some(Ok(message)) = within("a message or the end", socket.next()).await {
        seen += &message.to_string();
    }
    seen
}

/// A URL of its own for a new session.
pub(crate) fn target(way: &Way) -> String {
    if way.framed { Endpoint::path(&fresh_id(), "websocket") } else { "/app/websocket".to_owned() }
}
