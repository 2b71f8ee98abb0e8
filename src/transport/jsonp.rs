//! `jsonp` and `jsonp_send`: each frame is a script that calls a function of the page.

use bytes::Bytes;
use http::StatusCode;
use sockjs_core::{Frame, Transport, quote::escape_script};

use super::{
    callback::{Callback, InvalidCallback},
    payload::Encoding,
    receiver::{Framing, Receiver},
    send::Sending,
};
struct Call(Callback);

impl Framing for Call {
    fn wrap(&self, frame: &Frame) -> Bytes {
        let mut out = Vec::with_capacity(frame.size_hint() + 64);
        // The comment prevents the response from being run as a Flash file.
        out.extend_from_slice(b"/**/");
        out.extend_from_slice(self.0.as_str().as_bytes());
        out.extend_from_slice(b"(\"");
        frame.write(|piece| escape_script(piece, &mut out));
        out.extend_from_slice(b"\");\r\n");
        out.into()
    }
}

pub(super) fn receiver(query: Option<&str>) -> Result<Receiver, InvalidCallback> {
    Ok(Receiver {
        transport: Transport::JsonpPolling,
        content_type: "application/javascript; charset=UTF-8",
        prelude: None,
        framing: Box::new(Call(Callback::from_query(query)?)),
    })
}

/// Konqueror cannot handle a 204 (suite: `JsonPolling`).
pub(super) static SENDING: Sending =
    Sending { encoding: Encoding::of_form_or_plain, status: StatusCode::OK, answer: "ok" };
