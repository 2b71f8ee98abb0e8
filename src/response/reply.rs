//! The only maker of answers that are neither a page nor a transport's, refusals above all.

use axum::{body::Body, response::Response};
use http::{
    HeaderValue, StatusCode,
    header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, X_CONTENT_TYPE_OPTIONS},
};

pub(crate) const TEXT: HeaderValue = HeaderValue::from_static("text/plain; charset=UTF-8");

/// `status` without a body.
pub(crate) fn empty(status: StatusCode) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}

/// `status` with a body of the given type, which browsers are not to guess.
pub(crate) fn body(status: StatusCode, content_type: HeaderValue, body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, content_type);
    headers.insert(X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

/// `status` with a plain text.
pub(crate) fn text(status: StatusCode, text: &'static str) -> Response {
    if text.is_empty() {
        let mut response = empty(status);
        response.headers_mut().insert(CONTENT_TYPE, TEXT);
        return response;
    }
    body(status, TEXT, text)
}

/// Why a request was refused: counted, and named in logs and metrics.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Rejection {
    /// No such path, or the transport is off.
    NotFound,
    /// No such session.
    NoSession,
    /// A page of an origin that may not use the endpoint.
    Origin,
    /// A session that belongs to somebody else.
    Identity,
    /// Another method than the path's.
    Method,
    /// Not a proper WebSocket handshake.
    Handshake,
    /// The endpoint has as many sessions as it may.
    SessionsFull,
    /// The peer has as many sessions as it may.
    PeerFull,
    /// The endpoint shuts down.
    Shutdown,
    /// The handler's extractors took too long.
    OpenTimeout,
    /// One of the handler's extractors rejected the request.
    Extractor,
    /// Another receiver holds the session.
    Busy,
    /// A body, a message in it or their number is over its limit.
    TooLarge,
    /// A body that cannot be read, or a parameter with something else in it than it may hold.
    Malformed,
    /// A body that took too long to come.
    SlowBody,
    /// The session has no room for more messages.
    QueueFull,
    /// The session has as many sending requests under way as it may.
    SendsFull,
}

impl Rejection {
    pub(crate) const ALL: [Self; 17] = [
        Self::NotFound,
        Self::NoSession,
        Self::Origin,
        Self::Identity,
        Self::Method,
        Self::Handshake,
        Self::SessionsFull,
        Self::PeerFull,
        Self::Shutdown,
        Self::OpenTimeout,
        Self::Extractor,
        Self::Busy,
        Self::TooLarge,
        Self::Malformed,
        Self::SlowBody,
        Self::QueueFull,
        Self::SendsFull,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::NotFound => "not-found",
            Self::NoSession => "no-session",
            Self::Origin => "origin",
            Self::Identity => "identity",
            Self::Method => "method",
            Self::Handshake => "handshake",
            Self::SessionsFull => "sessions-full",
            Self::PeerFull => "peer-full",
            Self::Shutdown => "shutdown",
            Self::OpenTimeout => "open-timeout",
            Self::Extractor => "extractor",
            Self::Busy => "busy",
            Self::TooLarge => "too-large",
            Self::Malformed => "malformed",
            Self::SlowBody => "slow-body",
            Self::QueueFull => "queue-full",
            Self::SendsFull => "sends-full",
        }
    }

    /// Whether an answer says that there is no room for a session.
    pub(crate) fn is_overload(response: &Response) -> bool {
        let why = response.extensions().get();
        matches!(why, Some(Self::SessionsFull | Self::PeerFull | Self::Shutdown | Self::OpenTimeout))
    }

    /// Notes on an answer why it is a refusal; the endpoint counts it and takes the note off.
    pub(crate) fn mark(self, mut response: Response) -> Response {
        response.extensions_mut().insert(self);
        response
    }
}

/// A refusal with a plain text.
pub(crate) fn refuse(why: Rejection, status: StatusCode, message: &'static str) -> Response {
    why.mark(text(status, message))
}

/// 403: a page of an origin that may not use the endpoint.
pub(crate) fn origin_refused() -> Response {
    let mut response = refuse(Rejection::Origin, StatusCode::FORBIDDEN, "Origin not allowed.\n");
    super::cache::never(response.headers_mut());
    response
}

/// 404: no such path or transport.
pub(crate) fn not_found() -> Response {
    refuse(Rejection::NotFound, StatusCode::NOT_FOUND, "Not found\n")
}

/// 404: no such session.
pub(crate) fn no_session() -> Response {
    refuse(Rejection::NoSession, StatusCode::NOT_FOUND, "Not found\n")
}

/// 404: somebody else's session, which looks like none.
pub(crate) fn foreign_session() -> Response {
    refuse(Rejection::Identity, StatusCode::NOT_FOUND, "Not found\n")
}

/// 405 as the suite wants it (`verify405`): `Allow`, no content type, no body.
pub(crate) fn method_not_allowed(allow: &'static str) -> Response {
    let mut response = empty(StatusCode::METHOD_NOT_ALLOWED);
    response.headers_mut().insert(ALLOW, HeaderValue::from_static(allow));
    Rejection::Method.mark(response)
}

/// 413: the body, a message in it or their number is over its limit.
pub(crate) fn too_large(what: &'static str) -> Response {
    refuse(Rejection::TooLarge, StatusCode::PAYLOAD_TOO_LARGE, what)
}

/// 500: what the suite wants for a payload or a callback that cannot be read.
pub(crate) fn malformed(what: &'static str) -> Response {
    refuse(Rejection::Malformed, StatusCode::INTERNAL_SERVER_ERROR, what)
}

/// 503, or 429 where the peer has too much of something: try again later.
pub(crate) fn overloaded(why: Rejection) -> Response {
    let status = match why {
        Rejection::PeerFull | Rejection::SendsFull => StatusCode::TOO_MANY_REQUESTS,
        _ => StatusCode::SERVICE_UNAVAILABLE,
    };
    let message = match why {
        Rejection::PeerFull => "Too many sessions of one peer.\n",
        Rejection::Shutdown => "The server is going down.\n",
        Rejection::OpenTimeout => "The session took too long to open.\n",
        Rejection::QueueFull => "The session's queue is full.\n",
        Rejection::SendsFull => "Too many requests send to one session.\n",
        _ => "Too many sessions.\n",
    };
    let mut response = refuse(why, status, message);
    response.headers_mut().insert(RETRY_AFTER, HeaderValue::from_static("5"));
    response
}
