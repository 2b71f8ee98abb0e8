//! The reason why a session ended.

use std::fmt;

use sockjs_core::{
    CloseFrame,
    close::{INTERRUPTED, TOO_FAST, TOO_SLOW},
};

use super::close_kind::CloseKind;
/// The reason why a session ended. The application sees the end once per session, with its first cause.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum CloseReason {
    /// The client closed its WebSocket, with this code and text if it gave any.
    ///
    /// The HTTP transports have no close by the client: its end is [`ConnectionLost`](Self::ConnectionLost), or
    /// [`TimedOut`](Self::TimedOut) if it left between two requests.
    Client(Option<CloseFrame>),
    /// The connection of the receiving request or socket broke. The messages sent last may be lost.
    ConnectionLost,
    /// No receiving request came within the disconnect delay
    /// ([`Options::disconnect_delay`](crate::Options::disconnect_delay)).
    TimedOut,
    /// The client has stopped reading: no queued data could be written within
    /// [`Options::write_timeout`](crate::Options::write_timeout). The queued messages are lost.
    WriteTimeout,
    /// The WebSocket's peer has neither answered a ping within [`Options::pong_timeout`](crate::Options::pong_timeout)
    /// nor sent anything else.
    PongTimeout,
    /// A message found the queue to the client full, and the policy is [`Overflow::Close`](crate::Overflow::Close). The
    /// queued messages are lost.
    SendQueueFull,
    /// The client sent more than [`Options::message_rate`](crate::Options::message_rate) or
    /// [`Options::byte_rate`](crate::Options::byte_rate) allows, and the endpoint's policy is
    /// [`RateOverflow::Close`](crate::RateOverflow::Close). The messages that waited for the client are lost.
    RateExceeded,
    /// The application closed the session: it called [`close`](crate::Session::close),
    /// [`SockJsHandle::close_all`](crate::SockJsHandle::close_all) or
    /// [`close_where`](crate::SockJsHandle::close_where), dropped the [`Session`](crate::Session), or its handler
    /// returned an error or panicked.
    Server(CloseFrame),
    /// The client violated the protocol or a limit, or took more than a minute for a message on a WebSocket. It got a
    /// close frame with this code and text.
    ProtocolError(CloseFrame),
    /// The endpoint shut down ([`SockJsHandle::shutdown`](crate::SockJsHandle::shutdown)).
    Shutdown(CloseFrame),
}

impl CloseReason {
    /// Returns the close frame that one side has chosen, if any.
    #[must_use]
    pub fn close_frame(&self) -> Option<&CloseFrame> {
        match self {
            Self::Client(frame) => frame.as_ref(),
            Self::Server(frame) | Self::ProtocolError(frame) | Self::Shutdown(frame) => Some(frame),
            _ => None,
        }
    }

    /// Returns the kind of the end: the reason without its code and text.
    #[must_use]
    pub fn kind(&self) -> CloseKind {
        match self {
            Self::Client(_) => CloseKind::Client,
            Self::ConnectionLost => CloseKind::ConnectionLost,
            Self::TimedOut => CloseKind::TimedOut,
            Self::WriteTimeout => CloseKind::WriteTimeout,
            Self::PongTimeout => CloseKind::PongTimeout,
            Self::SendQueueFull => CloseKind::SendQueueFull,
            Self::Server(_) => CloseKind::Server,
            Self::ProtocolError(_) => CloseKind::ProtocolError,
            Self::Shutdown(_) => CloseKind::Shutdown,
            Self::RateExceeded => CloseKind::RateExceeded,
        }
    }
}

impl fmt::Display for CloseReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Client(None) => f.write_str("closed by the client"),
            Self::Client(Some(frame)) => write!(f, "closed by the client: {frame}"),
            Self::ConnectionLost => f.write_str("connection lost"),
            Self::TimedOut => f.write_str("timed out"),
            Self::WriteTimeout => f.write_str("the client stopped reading"),
            Self::PongTimeout => f.write_str("no answer to a ping"),
            Self::SendQueueFull => f.write_str("the queue to the client was full"),
            Self::RateExceeded => f.write_str("the client sent too fast"),
            Self::Server(frame) => write!(f, "closed by the server: {frame}"),
            Self::ProtocolError(frame) => write!(f, "protocol error: {frame}"),
            Self::Shutdown(frame) => write!(f, "endpoint shut down: {frame}"),
        }
    }
}

impl CloseReason {
    /// The close frame that the client gets for this reason.
    pub(super) fn frame(&self) -> CloseFrame {
        match self {
            Self::Server(frame) | Self::Shutdown(frame) | Self::ProtocolError(frame) => frame.clone(),
            Self::WriteTimeout | Self::SendQueueFull => TOO_SLOW,
            Self::RateExceeded => TOO_FAST,
            Self::ConnectionLost | Self::TimedOut | Self::PongTimeout | Self::Client(_) => INTERRUPTED,
        }
    }
}
