//! `xhr`, `xhr_streaming` and `xhr_send`: each frame is a line.

use bytes::Bytes;
use http::StatusCode;
use sockjs_core::{Frame, Transport};

use super::{
    callback::InvalidCallback,
    payload::Encoding,
    receiver::{Framing, Receiver},
    send::Sending,
};
const JAVASCRIPT: &str = "application/javascript; charset=UTF-8";

/// Some browsers do not process a response before its first 2 KiB (suite: `XhrStreaming`).
static PRELUDE: [u8; 2049] = {
    let mut prelude = [b'h'; 2049];
    prelude[2048] = b'\n';
    prelude
};

struct Lines;

impl Framing for Lines {
    fn wrap(&self, frame: &Frame) -> Bytes {
        frame.line()
    }
}

pub(super) fn polling(_: Option<&str>) -> Result<Receiver, InvalidCallback> {
    Ok(Receiver {
        transport: Transport::XhrPolling,
        content_type: JAVASCRIPT,
        prelude: None,
        framing: Box::new(Lines),
    })
}

pub(super) fn streaming(_: Option<&str>) -> Result<Receiver, InvalidCallback> {
    Ok(Receiver {
        transport: Transport::XhrStreaming,
        content_type: JAVASCRIPT,
        prelude: Some(Bytes::from_static(&PRELUDE)),
        framing: Box::new(Lines),
    })
}

/// The body is the array, with any content type (suite: `test_content_types`).
pub(super) static SENDING: Sending =
    Sending { encoding: |_| Encoding::Plain, status: StatusCode::NO_CONTENT, answer: "" };
