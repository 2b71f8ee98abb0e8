//! An accepted WebSocket: its session runs in its own task, together with the socket.

use std::{
    future::Future,
    pin::Pin,
    task::{Context, Poll, ready},
};

use axum::response::Response;
use hyper::upgrade::Upgraded;
use hyper_util::rt::TokioIo;
use sockjs_core::Transport;
use tokio_util::codec::Framed;

use super::{
    handshake::{Upgrade, Version},
    hixie76,
    io::Buffered,
    rfc6455::WebSocket,
    socket::{self, Socket},
};
use crate::{
    options::builder::Options,
    session::{attachment::Attachment, driver::Driver},
};

impl Upgrade {
    /// Accepts the handshake: the response is 101, and the session runs in its own task, together with the socket.
    pub(crate) fn accept(
        self,
        transport: Transport,
        options: &Options,
        attachment: Attachment,
        driver: Driver,
    ) -> Response {
        let Self { on_upgrade, response, version } = self;
        let limits = socket::Limits {
            decode: options.decode_limits(),
            max_message: if transport.is_framed() {
                options.max_body_bytes
            } else {
                options.max_message_bytes
            },
            frame_bytes: options.response_limit,
        };
        let open_timeout = options.open_timeout;
        let opening = async move {
            // If the connection breaks or does not complete the upgrade, dropping the session is enough: its handler
            // has not run.
            let upgraded = tokio::time::timeout(open_timeout, on_upgrade).await.ok()?.ok()?;
            let io = Buffered::new(TokioIo::new(upgraded));
            Some(match version {
                Version::Rfc6455 => {
                    let stream = WebSocket::new(io, limits.max_message).await;
                    Running::Rfc6455(Socket::new(stream, transport, limits, attachment, driver))
                }
                Version::Hixie76(keys) => {
                    let handshake = hixie76::answer(io, &keys, limits.max_message);
                    let stream = tokio::time::timeout(open_timeout, handshake).await.ok()?.ok()?;
                    Running::Hixie76(Socket::new(stream, transport, limits, attachment, driver))
                }
            })
        };
        tokio::spawn(Connection { opening: Some(Box::pin(opening)), running: None });
        response
    }
}

type Io = TokioIo<Upgraded>;

/// The task of a connection. As one `async` block it would be twice as large for its whole life, since it would keep
/// room for the opening state.
struct Connection<F> {
    opening: Option<Pin<Box<F>>>,
    running: Option<Running>,
}

#[allow(clippy::large_enum_variant, reason = "nearly all are of the larger kind")]
enum Running {
    Rfc6455(Socket<WebSocket<Io>>),
    Hixie76(Socket<Framed<Buffered<Io>, hixie76::Codec>>),
}

impl<F: Future<Output = Option<Running>>> Future for Connection<F> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(opening) = &mut self.opening {
            self.running = ready!(opening.as_mut().poll(cx));
            self.opening = None;
        }
        match &mut self.running {
            Some(Running::Rfc6455(socket)) => Pin::new(socket).poll(cx),
            Some(Running::Hixie76(socket)) => Pin::new(socket).poll(cx),
            None => Poll::Ready(()),
        }
    }
}
