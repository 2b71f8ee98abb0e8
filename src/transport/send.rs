//! The requests that bring messages: `xhr_send` and `jsonp_send`.

use std::pin::pin;

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use crate::{
    Options,
    protocol::decode::{DecodeError, decode},
    response::reply::{self, Rejection},
    session::{Closed, SendPermit},
    timeout::timeout,
};

/// What sets one sending request apart.
#[derive(Debug)]
pub(crate) struct Sending {
    /// Finds the JSON array in a request.
    pub(crate) find: fn(&HeaderMap, Bytes) -> Payload,
    /// The answer when the messages were taken.
    pub(super) status: StatusCode,
    pub(super) answer: &'static str,
}

pub(crate) enum Payload {
    Json(Bytes),
    Missing,
}

/// Takes the messages of one request into a session, whole or not at all.
///
/// | answer | when |
/// |---|---|
/// | 204, or 200 "ok" for JSONP | taken |
/// | 404 | no such session |
/// | 413 | a message, or their number, is over its limit; the session goes on |
/// | 500 | no payload, or not a JSON array of strings; the session goes on |
/// | 503 | the application did not make room in time; the session goes on |
///
/// # Cancel safety
/// A request that breaks off before its answer has either been taken whole or not at all.
pub(crate) async fn respond(
    sending: &Sending,
    options: &Options,
    permit: SendPermit,
    headers: &HeaderMap,
    body: Bytes,
) -> Response {
    let payload = match (sending.find)(headers, body) {
        Payload::Json(payload) if !payload.is_empty() => payload,
        Payload::Json(_) | Payload::Missing => {
            return reply::malformed("Payload expected.\n");
        }
    };
    let mut batch = match std::str::from_utf8(&payload)
        .map_err(|_| DecodeError::Malformed)
        .and_then(|payload| decode(payload, options.decode_limits()))
    {
        Ok(batch) => batch,
        Err(DecodeError::Malformed) => {
            return reply::malformed("Broken JSON encoding.\n");
        }
        Err(DecodeError::MessageTooLong) => return reply::too_large("Message too long.\n"),
        Err(DecodeError::TooManyMessages) => return reply::too_large("Too many messages.\n"),
    };
    let SendPermit { session } = &permit;
    match timeout(options.receive_timeout, pin!(session.accept(&mut batch))).await {
        Ok(Ok(batch)) => {
            // What the application says to them at once is then queued before the client knows that they have
            // arrived, and leaves with its next poll (suite: `test_content_types` counts on it). Where a receiver
            // waits, it gets that in any case, and this request is spared a second turn.
            session.attended(batch).await;
            // A 204 with a type, too: Firefox takes one without for broken XML (suite:
            // `XhrPolling.test_transport`).
            reply::text(sending.status, sending.answer)
        }
        Ok(Err(Closed)) => reply::no_session(),
        Err(_) => reply::overloaded(Rejection::QueueFull),
    }
}
