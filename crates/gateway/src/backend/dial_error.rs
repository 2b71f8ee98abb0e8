//! Why a backend's WebSocket did not open, and what the opening request is answered.

use std::{error::Error, fmt, io};

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header::WWW_AUTHENTICATE, uri::InvalidUri};

/// Why a backend's WebSocket did not open.
///
/// | the backend | the opening request is answered | another backend may be tried |
/// |---|---|---|
/// | answers 401 or 403 | the same, with its `WWW-Authenticate` | no |
/// | answers another 4xx | 502 | no |
/// | answers anything else but a WebSocket | 502 | yes |
/// | cannot be reached, or its certificate is not accepted | 502 | yes |
/// | takes longer than `connect_timeout` | 504 | yes |
///
/// Its text is for the log: neither it nor the answer has anything of the backend's answer but the status.
#[derive(Debug)]
pub(crate) enum DialError {
    /// Its name has no address, or none of its addresses accepts a connection.
    Connect(io::Error),
    Tls(io::Error),
    /// It has answered, but not with a WebSocket.
    Status {
        status: StatusCode,
        authenticate: Vec<HeaderValue>,
    },
    /// It has confirmed no sub-protocol, or another one than those it was asked for.
    Subprotocol,
    /// What it has answered is not the answer to a handshake.
    Handshake(HandshakeError),
    TimedOut,
}

/// What is wrong with the answer to a handshake.
#[derive(Debug)]
pub(crate) enum HandshakeError {
    /// It is no HTTP, or longer than a head may be, or it has broken off.
    Http(hyper::Error),
    /// The path of the check.
    Path(InvalidUri),
    Version,
    Connection,
    Upgrade,
    Accept,
    Extensions,
}

impl DialError {
    /// Whether this is the backend's decision on this client, which another backend would only repeat.
    pub(crate) fn is_refusal(&self) -> bool {
        matches!(self, Self::Status { status, .. } if status.is_client_error())
    }
}

impl fmt::Display for DialError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Connect(error) => write!(f, "the backend cannot be reached: {error}"),
            Self::Tls(error) => write!(f, "TLS with the backend failed: {error}"),
            Self::Status { status, .. } => write!(f, "the backend answered {status}"),
            Self::Subprotocol => {
                f.write_str("the backend did not confirm a sub-protocol that it was asked for")
            }
            Self::Handshake(error) => write!(f, "the backend's answer is not that of a WebSocket: {error}"),
            Self::TimedOut => f.write_str("the backend took too long"),
        }
    }
}

impl Error for DialError {}

impl From<HandshakeError> for DialError {
    fn from(error: HandshakeError) -> Self {
        Self::Handshake(error)
    }
}

impl From<hyper::Error> for HandshakeError {
    fn from(error: hyper::Error) -> Self {
        Self::Http(error)
    }
}

impl fmt::Display for HandshakeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Http(error) => {
                error.fmt(f)?;
                error.source().map_or(Ok(()), |source| write!(f, ": {source}"))
            }
            Self::Path(error) => write!(f, "none was asked for: {error}"),
            Self::Version => f.write_str("it switches protocols in HTTP/1.0"),
            Self::Connection => f.write_str("its `Connection` has no `Upgrade`"),
            Self::Upgrade => f.write_str("its `Upgrade` is not `websocket`"),
            Self::Accept => f.write_str("its `Sec-WebSocket-Accept` does not fit the request's key"),
            Self::Extensions => f.write_str("it has chosen an extension, and none was offered"),
        }
    }
}

impl Error for HandshakeError {}

impl IntoResponse for DialError {
    fn into_response(self) -> Response {
        match self {
            Self::Status {
                status: status @ (StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN),
                authenticate,
            } => {
                let mut response = (status, "Refused by the backend\n").into_response();
                for value in authenticate {
                    response.headers_mut().append(WWW_AUTHENTICATE, value);
                }
                response
            }
            Self::TimedOut => (StatusCode::GATEWAY_TIMEOUT, "The backend took too long\n").into_response(),
            _ => (StatusCode::BAD_GATEWAY, "The backend is not available\n").into_response(),
        }
    }
}
