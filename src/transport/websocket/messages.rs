//! Messages between the WebSocket library and a session.

use sockjs_core::{
    CloseFrame, Frame, Message,
    decode::{self, DecodeError, Limits},
};

use crate::session::close_reason::CloseReason;
use tokio_tungstenite::tungstenite::{
    Bytes, Message as WsMessage,
    protocol::{
        CloseFrame as WsCloseFrame,
        frame::{
            Frame as WsFrame,
            coding::{CloseCode, Data, OpCode},
        },
    },
};

/// Received binary data shorter than this is copied, so that it does not keep its buffer alive. Text is always
/// copied: its UTF-8 is checked once, and a string sharing the buffer would check it again.
const COPY_BELOW: usize = 16 << 10;

// The close frames for protocol violations, with codes of RFC 6455, section 7.4.1.
pub(super) const VIOLATION: CloseFrame = CloseFrame::from_static(1002, "Protocol error");
pub(super) const BINARY: CloseFrame = CloseFrame::from_static(1003, "Binary messages are not supported");
pub(super) const NOT_UTF8: CloseFrame = CloseFrame::from_static(1007, "Not UTF-8");
const BROKEN_JSON: CloseFrame = CloseFrame::from_static(1007, "Broken JSON encoding");
const LONE_SURROGATE: CloseFrame = CloseFrame::from_static(1007, "Lone surrogate");
pub(super) const TOO_BIG: CloseFrame = CloseFrame::from_static(1009, "Message too long");
const TOO_MANY: CloseFrame = CloseFrame::from_static(1009, "Too many messages");

/// The close reason for a client's close frame, whose code on the wire was `code`.
pub(super) fn closed_by_client(frame: Option<WsCloseFrame>, code: Option<u16>) -> CloseReason {
    match frame {
        // The library replaces a code that must not be sent.
        Some(frame) if code.is_some_and(|code| CloseCode::from(code) != frame.code) => {
            CloseReason::ProtocolError(VIOLATION)
        }
        Some(frame) => {
            CloseReason::Client(Some(CloseFrame::new(frame.code.into(), frame.reason.as_str().to_owned())))
        }
        None => CloseReason::Client(None),
    }
}

/// The messages of one text: an array or a string on the framed endpoint, the text itself on the raw one.
pub(super) fn receive_text(text: &str, is_framed: bool, limits: Limits) -> Result<Vec<Message>, CloseFrame> {
    if !is_framed {
        return Ok(vec![Message::from_raw_text(text)]);
    }
    // Old clients send an empty frame to keep the connection alive (suite: `test_empty_frame`).
    if text.is_empty() {
        return Ok(Vec::new());
    }
    decode::decode_text(text, limits).map_err(|error| match error {
        DecodeError::Malformed => BROKEN_JSON,
        DecodeError::LoneSurrogate => LONE_SURROGATE,
        DecodeError::MessageTooLong => TOO_BIG,
        DecodeError::TooManyMessages => TOO_MANY,
    })
}

pub(super) fn receive_binary(data: Bytes) -> Message {
    Message::binary(if data.len() < COPY_BELOW { Bytes::copy_from_slice(&data) } else { data })
}

pub(super) fn framed_text(frame: &Frame) -> WsMessage {
    text(frame.text())
}

pub(super) fn raw(message: &Message) -> WsMessage {
    let bytes = message.to_bytes_lossy();
    if message.is_binary() { WsMessage::Binary(bytes) } else { text(bytes) }
}

/// A text message of bytes that are valid UTF-8, since they come from frames or [`Message::to_bytes_lossy`]: `WsMessage::Text`
/// would check them again.
pub(super) fn text(utf8: Bytes) -> WsMessage {
    WsMessage::Frame(WsFrame::message(utf8, OpCode::Data(Data::Text), true))
}

/// A close frame within the limits of RFC 6455, sections 7.4 and 5.5.
pub(super) fn on_the_wire(close: &CloseFrame) -> WsCloseFrame {
    const MAX_REASON: usize = 123;
    let code = CloseCode::from(close.code());
    let code = if code.is_allowed() { code } else { CloseCode::Normal };
    let reason = close.reason();
    let mut end = reason.len().min(MAX_REASON);
    while !reason.is_char_boundary(end) {
        end -= 1;
    }
    WsCloseFrame { code, reason: reason[..end].into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_that_the_library_has_replaced_is_a_violation() {
        let reason = |code: u16, wire| {
            closed_by_client(
                Some(WsCloseFrame { code: code.into(), reason: "Protocol violation".into() }),
                wire,
            )
        };
        for code in [1000, 1002, 1008, 3000, 4999] {
            let own = CloseReason::Client(Some(CloseFrame::new(code, "Protocol violation")));
            assert_eq!(reason(code, Some(code)), own);
        }
        for code in [0, 999, 1005, 1006, 1015, 5000, 65535] {
            assert_eq!(reason(1002, Some(code)), CloseReason::ProtocolError(VIOLATION), "{code}");
        }
    }

    #[test]
    fn close_frames_fit_the_wire() {
        let wire = |code, reason: &str| {
            let frame = on_the_wire(&CloseFrame::new(code, reason.to_owned()));
            (u16::from(frame.code), frame.reason.to_string())
        };
        assert_eq!(wire(3000, "Go away!"), (3000, "Go away!".to_owned()));
        for code in [0, 999, 1004, 1005, 1006, 1015, 5000, 65535] {
            assert_eq!(wire(code, "").0, 1000, "{code}");
        }
        assert_eq!(wire(4999, &"é".repeat(62)).1, "é".repeat(61));
    }
}
