//! `eventsource`: a frame is a server-sent event.

use axum::{body::Body, response::Response};
use bytes::Bytes;
use http::{HeaderValue, StatusCode, header::CONTENT_TYPE};

use super::{Framing, InvalidCallback, Receiver, Transport};
use crate::protocol::{
    frame::{Frame, TRY_AGAIN_LATER},
    quote::escape_event,
};

const EVENT_STREAM: &str = "text/event-stream";

/// An old Opera wants an empty line first (suite: `EventSource`).
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

/// Makes a close frame of a refusal for want of room: to any status but 200, some clients ask again at once and
/// without end, sockjs-client under Node among them.
pub(crate) fn refuse(refusal: Response) -> Response {
    let frame = Events.wrap(&Frame::Close(TRY_AGAIN_LATER));
    let (mut parts, _) = refusal.into_parts();
    parts.status = StatusCode::OK;
    parts.headers.insert(CONTENT_TYPE, HeaderValue::from_static(EVENT_STREAM));
    Response::from_parts(parts, Body::from([PRELUDE, &frame].concat()))
}
