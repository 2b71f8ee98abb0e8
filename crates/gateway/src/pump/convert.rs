//! Messages between the session and the WebSocket library, with as few copies as the two allow.

use axum_sockjs::Message;
use bytes::Bytes;
use data_encoding::BASE64;
use tokio_tungstenite::tungstenite::{
    Message as WsMessage,
    protocol::frame::{
        Frame,
        coding::{Data, OpCode},
    },
};

/// Shorter data is copied, so that it does not keep the buffer alive into which it was read.
const COPY_BELOW: usize = 16 << 10;

/// The memory is shared with the message. It is a frame, since its UTF-8 is known to be valid and would be checked again.
pub(super) fn to_backend(message: &Message) -> WsMessage {
    let data = if message.is_binary() { Data::Binary } else { Data::Text };
    WsMessage::Frame(Frame::message(message.to_bytes_lossy(), OpCode::Data(data), true))
}

/// One copy, which is already quoted if the client needs that.
pub(super) fn text_to_client(text: &str, is_framed: bool) -> Message {
    if is_framed { Message::from(text) } else { Message::from_raw_text(text) }
}

pub(super) fn binary_to_client(data: Bytes) -> Message {
    Message::binary(if data.len() < COPY_BELOW { Bytes::copy_from_slice(&data) } else { data })
}

pub(super) fn base64_to_client(data: &[u8]) -> Message {
    Message::from(BASE64.encode(data))
}
