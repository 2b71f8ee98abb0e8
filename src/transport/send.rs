//! Requests that send messages: `xhr_send` and `jsonp_send`.

use std::{pin::pin, time::Duration};

use axum::response::Response;
use bytes::Bytes;
use http::{HeaderMap, StatusCode};
use http_body::Body;
use sockjs_core::decode::{ArrayDecoder, Batch, DecodeError};

use super::payload::{Encoding, Payload, PieceError};
use crate::{
    options::builder::Options,
    response::{rejection::Rejection, reply},
    session::{core::settings::READ_TIME, send_permit::SendPermit, state::Closed},
    util::{
        body::{BodyError, discard_body},
        timeout::timeout,
    },
};

/// The properties of one sending transport.
#[derive(Debug)]
pub(crate) struct Sending {
    /// Finds the JSON array in a body.
    pub(super) encoding: fn(&HeaderMap) -> Encoding,
    /// The status of the response to accepted messages.
    pub(super) status: StatusCode,
    pub(super) answer: &'static str,
}

impl Sending {
    fn taken(&self) -> Response {
        // A 204 also needs a content type: without one, Firefox reports broken XML
        // (suite: `XhrPolling.test_transport`).
        reply::text(self.status, self.answer)
    }
}

/// Passes the messages of one request to a session in batches, each completely or not at all. A body within
/// [`Options::max_body_bytes`] and [`Options::max_batch_messages`] is one batch.
///
/// | response | when |
/// |---|---|
/// | 204, or 200 "ok" for JSONP | accepted; or discarded, since this side has closed the session |
/// | 400 | the body broke off or was not well-formed |
/// | 404 | no such session, or it has ended |
/// | 408 | no complete message arrived for a minute |
/// | 413 | a message is over its limit |
/// | 500 | no payload, or not a JSON array of strings; a lone surrogate with [`LoneSurrogates::Refuse`](crate::LoneSurrogates::Refuse) |
/// | 503 | the application did not make room in time |
///
/// The session continues, except for 404. Batches before a rejected one stay accepted.
///
/// # Cancel safety
/// If the request breaks off, the batches completed before stay accepted.
pub(crate) async fn respond<B>(
    sending: &Sending,
    options: &Options,
    mut permit: SendPermit,
    headers: &HeaderMap,
    body: B,
) -> Result<Response, Rejection>
where
    B: Body<Data = Bytes>,
{
    let body = pin!(body);
    let mut payload = Payload::new(body, (sending.encoding)(headers), options.max_body_bytes);
    let refused = match take(&mut payload, options, &mut permit).await {
        Ok(()) => return Ok(sending.taken()),
        Err(refused) => refused,
    };
    // Frees the data that was read before discarding the rest and sending the response.
    let rest = payload.into_rest();
    match refused {
        Refused::Closed if permit.is_discarding() => {
            drop(permit);
            discard_body(rest).await;
            return Ok(sending.taken());
        }
        // These errors leave no rest of the body that must be discarded.
        Refused::Closed => return Err(Rejection::NoSession),
        Refused::Body(BodyError::TooSlow) => return Err(Rejection::SlowBody),
        Refused::Body(BodyError::Broken) => return Err(Rejection::BrokenBody),
        _ => discard_body(rest).await,
    }
    Err(match refused {
        Refused::Empty => Rejection::Malformed("Payload expected.\n"),
        Refused::Decode(DecodeError::MessageTooLong) => Rejection::TooLarge("Message too long.\n"),
        Refused::Decode(DecodeError::TooManyMessages) => Rejection::TooLarge("Too many messages.\n"),
        Refused::Decode(DecodeError::LoneSurrogate) => Rejection::Malformed("Lone surrogate.\n"),
        Refused::Full => Rejection::QueueFull,
        Refused::Body(BodyError::TooLarge) => Rejection::TooLarge("Body too large.\n"),
        _ => Rejection::Malformed("Broken JSON encoding.\n"),
    })
}

/// The reason for rejecting the rest of a request.
enum Refused {
    /// The body is empty.
    Empty,
    Decode(DecodeError),
    Body(BodyError),
    Full,
    Closed,
}

async fn take<B>(
    payload: &mut Payload<'_, B>,
    options: &Options,
    permit: &mut SendPermit,
) -> Result<(), Refused>
where
    B: Body<Data = Bytes>,
{
    let mut array = ArrayDecoder::new(options.decode_limits());
    let mut is_first = true;
    loop {
        let filled = { timeout(READ_TIME, pin!(payload.fill(permit))).await };
        match filled {
            Ok(Ok(())) => {}
            // The whole body may take as long as the client needs, as on a WebSocket.
            Err(_) if payload.gets_on() => continue,
            Ok(Err(PieceError::Body(error))) => return Err(Refused::Body(error)),
            Ok(Err(PieceError::SessionEnded)) => return Err(Refused::Closed),
            Err(_) => return Err(Refused::Body(BodyError::TooSlow)),
        }
        if is_first && payload.is_empty() {
            return Err(Refused::Empty);
        }
        is_first = false;
        let is_last = payload.is_last();
        let piece = payload.piece().map_err(Refused::Decode)?;
        let Batch { mut messages, length, .. } = array.take(piece, is_last).map_err(Refused::Decode)?;
        if messages.is_empty() && !is_last {
            // The piece is full but has no complete message.
            return Err(Refused::Decode(DecodeError::MessageTooLong));
        }
        payload.consume(length);
        match timeout(options.receive_timeout.unwrap_or(Duration::MAX), pin!(permit.accept(&mut messages)))
            .await
        {
            Ok(Ok(())) => {}
            Ok(Err(Closed)) => return Err(Refused::Closed),
            Err(_) => return Err(Refused::Full),
        }
        if is_last && payload.is_empty() {
            break;
        }
    }
    // The handler's immediate responses are queued before the client knows that its messages have arrived, so they
    // leave with its next poll (suite: `test_content_types` relies on it). A waiting receiver gets them anyway; then
    // this request need not wait.
    permit.attended().await;
    Ok(())
}
