//! `eventsource`: a frame is a server-sent event.

use bytes::Bytes;
use http::HeaderValue;

use super::{Framing, InvalidCallback, Receiver, Transport};
use crate::protocol::{frame::Frame, quote::escape_event};

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
        content_type: HeaderValue::from_static("text/event-stream"),
        // An old Opera wants an empty line first (suite: `EventSource`).
        prelude: Some(Bytes::from_static(b"\r\n")),
        framing: Box::new(Events),
    })
}
