//! `/websocket`, framed and raw.

mod frames;
mod handshake;
mod hixie76;
mod io;
mod rfc6455;
mod socket;

use std::time::Duration;

use axum::response::Response;
use http::request::Parts;
use hyper::upgrade::OnUpgrade;
use hyper_util::rt::TokioIo;

pub(crate) use self::handshake::is_opening;
#[cfg(any(fuzzing, test))]
pub(crate) use self::hixie76::decode_in_pieces as decode_hixie76;
use self::{io::Buffered, rfc6455::WebSocket, socket::Socket};
use crate::{
    Options, Transport,
    session::{Attachment, Driver},
};

/// A request that asks properly for a WebSocket.
pub(crate) struct Upgrade {
    on_upgrade: OnUpgrade,
    response: Response,
    version: Version,
}

enum Version {
    Rfc6455,
    Hixie76(hixie76::Keys),
}

impl Upgrade {
    /// Judges the handshake; `Err` is the answer to a request that is none.
    pub(crate) fn from_request(parts: &mut Parts, options: &Options) -> Result<Self, Response> {
        handshake::judge(parts, options)
    }

    /// Whether it knows binary messages and pings.
    pub(crate) fn is_rfc6455(&self) -> bool {
        matches!(self.version, Version::Rfc6455)
    }

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
