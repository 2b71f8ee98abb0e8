//! What carries a session's frames and messages.

mod http;
mod websocket;

use std::{future::Future, time::Duration};

use ::http::HeaderValue;
use sockjs_core::{CloseFrame, Frame, Message, Transport, decode::Limits};

use crate::{endpoint_url::SessionUrl, error::Error, http::Http};

/// What a transport has to know of the client's settings.
#[derive(Debug, Clone)]
pub(crate) struct Settings {
    pub(crate) limits: Limits,
    pub(crate) max_frame_bytes: usize,
    pub(crate) silence: Silence,
    pub(crate) subprotocols: Option<HeaderValue>,
}

/// How long the server may be silent.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Silence {
    /// Not longer than this, where it shows that it is never silent: on a WebSocket, which answers pings, in a poll, and on a
    /// stream that has brought a heartbeat. (Some servers have none on streams.)
    Default(Duration),
    /// Not longer than this.
    Limit(Duration),
    Allowed,
}

impl Silence {
    /// The time for a server that has to speak.
    fn limit(self) -> Option<Duration> {
        match self {
            Self::Default(time) | Self::Limit(time) => Some(time),
            Self::Allowed => None,
        }
    }

    /// The time for a stream, which has brought heartbeats or not.
    fn on_stream(self, has_heartbeats: bool) -> Option<Duration> {
        match self {
            Self::Default(_) if !has_heartbeats => None,
            _ => self.limit(),
        }
    }
}

/// The two halves of an opening transport, whose first frame is to be [`Frame::Open`].
#[derive(Debug)]
pub(crate) struct Halves {
    pub(crate) receiver: Receiver,
    pub(crate) sender: Sender,
    pub(crate) subprotocol: Option<String>,
}

/// Begins to open a transport: a WebSocket's handshake is done, a receiving request is sent with the first frame.
pub(crate) async fn open(
    transport: Transport,
    url: &SessionUrl,
    http: &Http,
    settings: &Settings,
) -> Result<Halves, Error> {
    let Some(sending) = url.sending(transport) else {
        let (receiver, sender, subprotocol) = websocket::open(transport, url, http, settings).await?;
        let (receiver, sender) = (Receiver::WebSocket(receiver), Sender::WebSocket(sender));
        return Ok(Halves { receiver, sender, subprotocol });
    };
    let receiver = http::Receiver::new(transport, url.receiving(transport), http.clone(), settings);
    let sender = http::Sender::new(transport, sending, http.clone());
    Ok(Halves {
        receiver: Receiver::Http(Box::new(receiver)),
        sender: Sender::Http(sender),
        subprotocol: None,
    })
}

#[derive(Debug)]
pub(crate) enum Receiver {
    Http(Box<http::Receiver>),
    WebSocket(websocket::Receiver),
}

impl Receiver {
    /// Waits for the next frame that is understood. Any other is dropped, as the browser's client does.
    pub(crate) async fn next(&mut self) -> Result<Frame, Error> {
        match self {
            Self::Http(http) => http.next().await,
            Self::WebSocket(socket) => socket.next().await,
        }
    }
}

#[derive(Debug)]
pub(crate) enum Sender {
    Http(http::Sender),
    WebSocket(websocket::Sender),
}

impl Sender {
    /// Hands messages to the server: an HTTP server has answered, or all is in the socket's buffer. They are removed
    /// once that is certain, even if this does not return then.
    pub(crate) async fn send(&mut self, messages: &mut Vec<Message>) -> Result<(), Error> {
        match self {
            Self::Http(http) => http.send(messages).await,
            Self::WebSocket(socket) => socket.send(messages).await,
        }
    }

    /// Whether the end of the session has a frame of its own, which the server answers.
    pub(crate) fn has_close_frame(&self) -> bool {
        matches!(self, Self::WebSocket(_))
    }

    pub(crate) async fn close(&mut self, frame: &CloseFrame) -> Result<(), Error> {
        match self {
            Self::Http(_) => Ok(()),
            Self::WebSocket(socket) => socket.close(frame).await,
        }
    }

    /// Ends the session, as far as the connection takes what is to be said.
    pub(crate) async fn end(&mut self) {
        if let Self::WebSocket(socket) = self {
            socket.end().await;
        }
    }

    /// How often to ask whether the server is there, so that it is never silent.
    pub(crate) fn ping_interval(&self) -> Option<Duration> {
        match self {
            Self::Http(_) => None,
            Self::WebSocket(socket) => socket.ping_interval(),
        }
    }

    pub(crate) async fn ping(&mut self) -> Result<(), Error> {
        match self {
            Self::Http(_) => Ok(()),
            Self::WebSocket(socket) => socket.ping().await,
        }
    }
}

/// Waits as long as the server may be silent.
async fn unless_silent<T>(time: Option<Duration>, future: impl Future<Output = T>) -> Result<T, Error> {
    match time {
        None => Ok(future.await),
        Some(time) => tokio::time::timeout(time, future).await.map_err(|_| Error::Silent(time)),
    }
}
