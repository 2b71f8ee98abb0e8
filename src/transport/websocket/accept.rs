//! A WebSocket that has been accepted: its session runs in a task of its own, beside its socket.

use std::time::Duration;

use axum::response::Response;
use hyper_util::rt::TokioIo;

use super::{
    handshake::{Upgrade, Version},
    hixie76,
    io::Buffered,
    rfc6455::WebSocket,
    socket::{self, Socket},
};
use crate::{
    options::builder::Options,
    protocol::transport::Transport,
    session::{attachment::Attachment, driver::Driver},
};

impl Upgrade {
    /// Accepts: the answer is 101, and the session runs in a task of its own, beside its socket.
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
            heartbeats: options.heartbeat != Duration::ZERO,
        };
        let open_timeout = options.open_timeout;
        tokio::spawn(async move {
            let Ok(Ok(upgraded)) = tokio::time::timeout(open_timeout, on_upgrade).await else {
                // The connection broke off under the answer, or does not take it; dropping the session tells
                // no one else.
                return;
            };
            let io = Buffered::new(TokioIo::new(upgraded));
            match version {
                Version::Rfc6455 => {
                    let stream = WebSocket::new(io, limits.max_message).await;
                    Socket::new(stream, transport, limits, attachment, driver).await;
                }
                Version::Hixie76(keys) => {
                    let handshake =
                        tokio::time::timeout(open_timeout, hixie76::answer(io, &keys, limits.max_message));
                    if let Ok(Ok(stream)) = handshake.await {
                        Socket::new(stream, transport, limits, attachment, driver).await;
                    }
                }
            }
        });
        response
    }
}
