//! A connection to the server, by real sockets, that may break at any time.

use std::{net::SocketAddr, time::Duration};

use axum_stomp::{Bytes, Version};
use futures_util::{SinkExt, StreamExt as _};
use sockjs_client::{Session, Transport};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};
use tokio_tungstenite::{
    MaybeTlsStream, WebSocketStream, connect_async,
    tungstenite::{Message, client::IntoClientRequest as _},
};

/// The way to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    SockJs(Transport),
    /// A WebSocket at a route of its own, which is sent binary messages.
    Socket,
    Tcp,
}

impl Way {
    pub(super) fn all() -> Vec<Self> {
        Transport::ALL.iter().copied().map(Self::SockJs).chain([Self::Socket, Self::Tcp]).collect()
    }

    pub(super) fn name(self) -> &'static str {
        match self {
            Self::SockJs(transport) => transport.name(),
            Self::Socket => "/ws",
            Self::Tcp => "tcp",
        }
    }
}

/// Where the server listens.
#[derive(Debug, Clone, Copy)]
pub(super) struct Addresses {
    pub(super) http: SocketAddr,
    pub(super) tcp: SocketAddr,
}

/// How much of what has come a client keeps that does not read it.
const RECEIVE_QUEUE: usize = 64 << 10;

/// A connection to the server. Dropping it cuts it.
pub(super) enum Wire {
    SockJs(Box<Session>),
    Socket(Box<WebSocketStream<MaybeTlsStream<TcpStream>>>),
    Tcp(TcpStream),
}

impl Wire {
    pub(super) async fn open(addresses: Addresses, way: Way) -> Self {
        match way {
            Way::SockJs(transport) => {
                let url = format!("http://{}/stomp", addresses.http);
                let client = sockjs_client::Client::new(&url).expect("a URL");
                let client =
                    client.receive_queue_bytes(RECEIVE_QUEUE).min_open_timeout(Duration::from_secs(60));
                let opened = client.open(transport).await;
                Self::SockJs(Box::new(opened.unwrap_or_else(|error| panic!("{transport}: {error}"))))
            }
            Way::Socket => {
                let mut request =
                    format!("ws://{}/ws", addresses.http).into_client_request().expect("a request");
                let offered = Version::ALL.map(Version::subprotocol).join(", ");
                request.headers_mut().insert("sec-websocket-protocol", offered.parse().expect("a header"));
                Self::Socket(Box::new(connect_async(request).await.expect("the server accepts").0))
            }
            Way::Tcp => Self::Tcp(TcpStream::connect(addresses.tcp).await.expect("the server accepts")),
        }
    }

    /// Sends text as one message, or as bytes of a stream. `false` if the connection has ended.
    pub(super) async fn send(&mut self, text: &str) -> bool {
        match self {
            Self::SockJs(session) => Session::send(session, text.to_owned()).await.is_ok(),
            Self::Socket(socket) => {
                socket.send(Message::Binary(Bytes::copy_from_slice(text.as_bytes()))).await.is_ok()
            }
            Self::Tcp(stream) => stream.write_all(text.as_bytes()).await.is_ok(),
        }
    }

    /// The next piece, or `None` at the end.
    pub(super) async fn receive(&mut self) -> Option<Bytes> {
        match self {
            Self::SockJs(session) => Some(session.recv().await?.to_bytes()),
            Self::Socket(socket) => loop {
                match socket.next().await?.ok()? {
                    Message::Close(_) => return None,
                    message if message.is_text() || message.is_binary() => return Some(message.into_data()),
                    _ => {}
                }
            },
            Self::Tcp(stream) => {
                let mut buffer = vec![0; 16 << 10];
                match stream.read(&mut buffer).await {
                    Ok(0) | Err(_) => None,
                    Ok(read) => Some(Bytes::copy_from_slice(&buffer[..read])),
                }
            }
        }
    }

    /// Closes the connection as its transport does it.
    pub(super) async fn close(mut self) {
        let closing = async {
            match &mut self {
                Self::SockJs(session) => _ = Session::close(session, 1000, "").await,
                Self::Socket(socket) => _ = SinkExt::close(socket).await,
                Self::Tcp(stream) => _ = stream.shutdown().await,
            }
        };
        _ = timeout(Duration::from_secs(1), closing).await;
    }

    /// Cuts the connection, where that is possible by a reset.
    pub(super) fn reset(self) {
        if let Self::Tcp(stream) = &self {
            reset(stream);
        } else if let Self::Socket(socket) = &self {
            if let MaybeTlsStream::Plain(stream) = socket.get_ref() {
                reset(stream);
            }
        }
    }
}

#[allow(
    deprecated,
    reason = "a linger time of zero does not block, and older versions of tokio know no other way"
)]
fn reset(stream: &TcpStream) {
    _ = stream.set_linger(Some(Duration::ZERO));
}
