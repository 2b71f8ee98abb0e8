//! `eventsource`: each frame is a server-sent event.

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};
use sockjs_core::{Frame, Transport, close::TRY_AGAIN_LATER, quote::escape_event};

use super::{
    callback::InvalidCallback,
    receiver::{Framing, Receiver},
};
use crate::response::rejection::Rejection;

const EVENT_STREAM: &str = "text/event-stream";

/// Old Opera versions need an empty line first (suite: `EventSource`).
const PRELUDE: &[u8] = b"\r\n";

struct Events;

impl Framing for Events {
    fn wrap(&self, frame: &Frame) -> Bytes {
        let mut out = Vec::with_capacity(frame.size_hint() + 64);
        out.extend_from_slice(b"data: ");
        frame.write(|piece| escape_event(piece, &mut out));
        out.extend_from_slice(b"\r\n\r\n");
        out.into()
    }
}

pub(super) fn receiver(_: Option<&str>) -> Result<Receiver, InvalidCallback> {
    Ok(Receiver {
        transport: Transport::EventSource,
        content_type: EVENT_STREAM,
        prelude: Some(Bytes::from_static(PRELUDE)),
        framing: Box::new(Events),
    })
}

/// Turns an overload rejection into a close frame with status 200: after any other status, some clients retry at once
/// and endlessly, sockjs-client under Node among them.
pub(crate) fn framed(rejection: Rejection) -> Rejection {
    if !rejection.is_overload() {
        return rejection;
    }
    let cause = rejection.cause();
    let frame = Events.wrap(&Frame::Close(TRY_AGAIN_LATER));
    let (mut parts, _) = rejection.into_response().into_parts();
    parts.status = StatusCode::OK;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    let response = Response::from_parts(parts, Body::from([PRELUDE, &frame].concat()));
    Rejection::Framed(cause, Box::new(response))
}
