//! `htmlfile`: each frame is a script element of a page that never ends.

use bytes::Bytes;
use sockjs_core::{Frame, Transport, quote::escape_script};

use super::{
    callback::{Callback, InvalidCallback},
    receiver::{Framing, Receiver},
};
/// Safari parses nothing before the first 1024 bytes (suite: `HtmlFile`).
const HEAD_SIZE: usize = 1024;

struct Scripts;

impl Framing for Scripts {
    fn wrap(&self, frame: &Frame) -> Bytes {
        let mut out = Vec::with_capacity(frame.size_hint() + 64);
        out.extend_from_slice(b"<script>\np(\"");
        frame.write(|piece| escape_script(piece, &mut out));
        out.extend_from_slice(b"\");\n</script>\r\n");
        out.into()
    }
}

pub(super) fn receiver(query: Option<&str>) -> Result<Receiver, InvalidCallback> {
    let callback = Callback::from_query(query)?;
    Ok(Receiver {
        transport: Transport::HtmlFile,
        content_type: "text/html; charset=UTF-8",
        prelude: Some(head(&callback)),
        framing: Box::new(Scripts),
    })
}

fn head(callback: &Callback) -> Bytes {
    let head =
        include_str!("../../static/htmlfile.html").trim_end().replace("{{ callback }}", callback.as_str());
    Bytes::from(format!("{head:HEAD_SIZE$}\r\n\r\n"))
}
