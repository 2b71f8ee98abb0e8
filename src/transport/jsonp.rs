//! `jsonp` and `jsonp_send`: a frame is a script that calls a function of the page.

use bytes::Bytes;
use http::{HeaderMap, StatusCode, header::CONTENT_TYPE};

use super::{
    Callback, Framing, InvalidCallback, Receiver, Transport,
    send::{Payload, Sending},
};
use crate::protocol::{frame::Frame, quote::escape_script};

struct Call(Callback);

impl Framing for Call {
    fn wrap(&self, frame: &Frame) -> Bytes {
        let mut out = Vec::with_capacity(frame.size_hint() + 64);
        // The comment keeps the answer from being taken for a Flash file by its first bytes.
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

/// Konqueror does not bear a 204 (suite: `JsonPolling`).
pub(super) static SENDING: Sending = Sending { find: find_payload, status: StatusCode::OK, answer: "ok" };

/// The array is the field `d` of a form, or the body itself if it is not a form.
fn find_payload(headers: &HeaderMap, body: Bytes) -> Payload {
    let content_type = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let essence = content_type.split(';').next().unwrap_or_default().trim();
    if !essence.eq_ignore_ascii_case("application/x-www-form-urlencoded") {
        return Payload::Json(body);
    }
    let field = body.split(|&byte| byte == b'&').find_map(|field| field.strip_prefix(b"d="));
    field.map_or(Payload::Missing, |value| Payload::Json(decode_form_value(value)))
}

/// Not by `form_urlencoded`, which would let bytes in that are no UTF-8.
fn decode_form_value(value: &[u8]) -> Bytes {
    let spaced: Vec<u8> = value.iter().map(|&byte| if byte == b'+' { b' ' } else { byte }).collect();
    percent_encoding::percent_decode(&spaced).collect::<Vec<u8>>().into()
}
