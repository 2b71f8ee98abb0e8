//! A pump between a session in process and a backend at the other end of a pipe.

mod allocations;
mod bytes;
mod closing;
mod messages;
mod model;
mod slow;
mod sockets;

use std::{
    task::{Context, Poll},
    time::Duration,
};

use axum_sockjs::{Options, Pair, Peer, Transport};
use futures_util::{SinkExt as _, StreamExt as _};
use tokio::{
    io::{DuplexStream, duplex},
    task::JoinHandle,
};
use tokio_tungstenite::{
    WebSocketStream,
    tungstenite::{
        Error as WsError, Message as WsMessage,
        protocol::{CloseFrame as WsCloseFrame, Role},
    },
};

use super::{ended::Ended, pump::pump, settings::Settings};
use crate::{
    backend::socket::{BackendSocket, Readable},
    config::backend::Binary,
};

const SECOND: Duration = Duration::from_secs(1);
const MAX_MESSAGE: usize = 100_000;

const SETTINGS: Settings = Settings {
    binary: Binary::Refuse,
    ping_interval: Some(Duration::from_secs(25)),
    pong_timeout: Duration::from_secs(10),
    close_timeout: Duration::from_secs(5),
};

type Server = WebSocketStream<DuplexStream>;

/// A pipe is read to know.
impl Readable for DuplexStream {
    fn poll_readable(&self, _: &mut Context<'_>) -> Poll<()> {
        Poll::Ready(())
    }
}

/// The two ends of what a pump carries.
struct Scene {
    client: Peer,
    backend: Server,
    pump: JoinHandle<Ended>,
}

/// How to make one.
struct Plan {
    transport: Transport,
    options: Options,
    settings: Settings,
    /// As much as the pipe holds in each direction.
    pipe: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            transport: Transport::RawWebSocket,
            options: Options::new(),
            settings: SETTINGS,
            pipe: 1 << 16,
        }
    }
}

impl Plan {
    /// The backend's end is bytes.
    async fn raw(self) -> (Peer, DuplexStream, JoinHandle<Ended>) {
        let (near, far) = duplex(self.pipe);
        let (session, client) = Pair::new().transport(self.transport).options(&self.options).open();
        let backend = BackendSocket::over(near, MAX_MESSAGE);
        let pump = tokio::spawn(pump(session, backend, self.settings, |_, _| {}));
        (client, far, pump)
    }

    async fn start(self) -> Scene {
        let (client, far, pump) = self.raw().await;
        let backend = WebSocketStream::from_raw_socket(far, Role::Server, None).await;
        Scene { client, backend, pump }
    }
}

impl Scene {
    /// The next message that is none of the connection's own.
    async fn receive(&mut self) -> WsMessage {
        loop {
            let message = self.backend.next().await.unwrap().unwrap();
            if !message.is_ping() && !message.is_pong() {
                return message;
            }
        }
    }

    async fn send(&mut self, message: impl Into<WsMessage>) {
        self.backend.send(message.into()).await.unwrap();
    }

    /// What the backend is told at the end.
    async fn farewell(&mut self) -> Option<(u16, String)> {
        loop {
            match self.backend.next().await? {
                Ok(WsMessage::Close(frame)) => return frame.as_ref().map(told),
                Ok(_) => {}
                Err(WsError::Protocol(_) | WsError::Io(_)) => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    /// What the client is told at the end.
    async fn client_told(&mut self) -> (u16, String) {
        while self.client.recv().await.is_some() {}
        let frame = self.client.close_frame().unwrap();
        (frame.code(), frame.reason().to_owned())
    }
}

fn told(frame: &WsCloseFrame) -> (u16, String) {
    (frame.code.into(), frame.reason.as_str().to_owned())
}

fn frame(code: u16, reason: &'static str) -> WsMessage {
    WsMessage::Close(Some(WsCloseFrame { code: code.into(), reason: reason.into() }))
}
