//! Rejections: a type that becomes a response.

use axum::response::{IntoResponse, Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, RETRY_AFTER, SEC_WEBSOCKET_VERSION},
};

use super::{cache, cause::RejectionCause, reply};

/// The reason for rejecting a request, with the data of its response.
#[derive(Debug)]
pub(crate) enum Rejection {
    /// No such path, or the transport is disabled.
    NotFound,
    /// No such session.
    NoSession,
    /// No such session, and the request must not open one as it has come: another node sends it again. No client gets
    /// this.
    #[cfg(feature = "cluster")]
    NotOpen,
    /// The request's origin is not allowed.
    Origin,
    /// A session of another owner; the response is that for a session that does not exist.
    Identity,
    /// The method is not one of the path's, which are these.
    Method { allow: &'static str },
    /// An invalid WebSocket handshake.
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "only sockets shake hands"))]
    Handshake(&'static str),
    /// A WebSocket handshake of another version, or on a connection that cannot be upgraded.
    #[cfg_attr(not(feature = "websocket"), expect(dead_code, reason = "only sockets shake hands"))]
    UpgradeRequired(&'static str),
    /// The endpoint has reached its session limit.
    SessionsFull,
    /// The peer has reached its session limit.
    PeerFull,
    /// The identity has reached its session limit.
    IdentityFull,
    /// The endpoint is shutting down.
    Shutdown,
    /// The application's extractors took too long.
    OpenTimeout,
    /// An extractor of the application rejected the request with this response.
    Extractor(Box<Response>),
    /// A body, a message in it or the number of messages exceeds its limit.
    TooLarge(&'static str),
    /// A malformed body or parameter.
    Malformed(&'static str),
    /// A body that broke off or was not well-formed HTTP.
    BrokenBody,
    /// A body that brought no complete message for a minute.
    SlowBody,
    /// The session has no room for more messages.
    QueueFull,
    /// The session has reached its limit of sending requests in flight.
    SendsFull,
    /// The node that has the session is lost.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "only a cluster has other nodes"))]
    OwnerLost,
    /// As many requests wait for the node that has the session as may.
    #[cfg_attr(not(feature = "cluster"), expect(dead_code, reason = "only a cluster has other nodes"))]
    ForwardsFull,
    /// Any cause, sent in a frame of the transport.
    Framed(RejectionCause, Box<Response>),
}

impl Rejection {
    pub(crate) fn cause(&self) -> RejectionCause {
        match self {
            Self::NotFound => RejectionCause::NotFound,
            Self::NoSession => RejectionCause::NoSession,
            #[cfg(feature = "cluster")]
            Self::NotOpen => RejectionCause::NoSession,
            Self::Origin => RejectionCause::Origin,
            Self::Identity => RejectionCause::Identity,
            Self::Method { .. } => RejectionCause::Method,
            Self::Handshake(_) | Self::UpgradeRequired(_) => RejectionCause::Handshake,
            Self::SessionsFull => RejectionCause::SessionsFull,
            Self::PeerFull => RejectionCause::PeerFull,
            Self::IdentityFull => RejectionCause::IdentityFull,
            Self::Shutdown => RejectionCause::Shutdown,
            Self::OpenTimeout => RejectionCause::OpenTimeout,
            Self::Extractor(_) => RejectionCause::Extractor,
            Self::TooLarge(_) => RejectionCause::TooLarge,
            Self::Malformed(_) | Self::BrokenBody => RejectionCause::Malformed,
            Self::SlowBody => RejectionCause::SlowBody,
            Self::QueueFull => RejectionCause::QueueFull,
            Self::SendsFull => RejectionCause::SendsFull,
            Self::OwnerLost => RejectionCause::OwnerLost,
            Self::ForwardsFull => RejectionCause::ForwardsFull,
            Self::Framed(cause, _) => *cause,
        }
    }

    /// Whether the endpoint cannot open or serve a session now.
    pub(crate) fn is_overload(&self) -> bool {
        matches!(
            self,
            Self::SessionsFull
                | Self::PeerFull
                | Self::IdentityFull
                | Self::Shutdown
                | Self::OpenTimeout
                | Self::ForwardsFull
        )
    }
}

impl IntoResponse for Rejection {
    fn into_response(self) -> Response {
        match self {
            Self::NotFound | Self::NoSession | Self::Identity => {
                reply::text(StatusCode::NOT_FOUND, "Not found\n")
            }
            #[cfg(feature = "cluster")]
            Self::NotOpen => reply::text(StatusCode::NOT_FOUND, "Not found\n"),
            Self::Origin => {
                let mut response = reply::text(StatusCode::FORBIDDEN, "Origin not allowed.\n");
                cache::never(response.headers_mut());
                response
            }
            // Without content type and body (suite: `verify405`).
            Self::Method { allow } => {
                let mut response = reply::empty(StatusCode::METHOD_NOT_ALLOWED);
                response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
                response
            }
            Self::Handshake(text) => reply::text(StatusCode::BAD_REQUEST, text),
            // Names the supported version (RFC 6455, section 4.4:
            // https://www.rfc-editor.org/rfc/rfc6455#section-4.4).
            Self::UpgradeRequired(text) => {
                let mut response = reply::text(StatusCode::UPGRADE_REQUIRED, text);
                response.headers_mut().insert(SEC_WEBSOCKET_VERSION, HeaderValue::from_static("13"));
                response
            }
            Self::SessionsFull => try_again_later(StatusCode::SERVICE_UNAVAILABLE, "Too many sessions.\n"),
            Self::PeerFull => {
                try_again_later(StatusCode::TOO_MANY_REQUESTS, "Too many sessions of one peer.\n")
            }
            Self::IdentityFull => {
                try_again_later(StatusCode::TOO_MANY_REQUESTS, "Too many sessions of one user.\n")
            }
            Self::Shutdown => try_again_later(StatusCode::SERVICE_UNAVAILABLE, "The server is going down.\n"),
            Self::OpenTimeout => {
                try_again_later(StatusCode::SERVICE_UNAVAILABLE, "The session took too long to open.\n")
            }
            Self::QueueFull => {
                try_again_later(StatusCode::SERVICE_UNAVAILABLE, "The session's queue is full.\n")
            }
            Self::SendsFull => {
                try_again_later(StatusCode::TOO_MANY_REQUESTS, "Too many requests send to one session.\n")
            }
            Self::OwnerLost => reply::text(StatusCode::BAD_GATEWAY, "The session's node is lost.\n"),
            Self::ForwardsFull => {
                try_again_later(StatusCode::SERVICE_UNAVAILABLE, "Too many requests for one node.\n")
            }
            Self::TooLarge(text) => reply::text(StatusCode::PAYLOAD_TOO_LARGE, text),
            // The status that the suite expects for a malformed payload or callback.
            Self::Malformed(text) => reply::text(StatusCode::INTERNAL_SERVER_ERROR, text),
            Self::BrokenBody => reply::text(StatusCode::BAD_REQUEST, "Broken body.\n"),
            Self::SlowBody => reply::text(StatusCode::REQUEST_TIMEOUT, "Body too slow.\n"),
            Self::Extractor(response) | Self::Framed(_, response) => *response,
        }
    }
}

fn try_again_later(status: StatusCode, text: &'static str) -> Response {
    let mut response = reply::text(status, text);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
