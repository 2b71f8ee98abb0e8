//! The WebSocket protocol before RFC 6455, draft-hixie-thewebsocketprotocol-76: handshake and framing.
//!
//! The handshake response is sent before the client's last eight bytes arrive, because HAProxy forwards them only
//! then (suite: `test_haproxy`).

use std::io;

use axum::{extract::OriginalUri, response::Response};
use bytes::{Buf, Bytes, BytesMut};
use http::{
    HeaderName, HeaderValue, StatusCode,
    header::{ORIGIN, SEC_WEBSOCKET_VERSION, UPGRADE},
    request::Parts,
};
use md5::{Digest, Md5};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio_tungstenite::tungstenite::{
    self, Message,
    error::{CapacityError, ProtocolError},
    protocol::frame::coding::{Data, OpCode},
};
use tokio_util::codec::{Decoder, Encoder, Framed};

use crate::{
    options::builder::Options,
    origin::{
        parse::default_port,
        request::{MissingOrigin, Own, X_FORWARDED_PROTO},
    },
    response::reply,
    util::headers::first_element,
};

const KEY1: HeaderName = HeaderName::from_static("sec-websocket-key1");
const KEY2: HeaderName = HeaderName::from_static("sec-websocket-key2");
const LOCATION: HeaderName = HeaderName::from_static("sec-websocket-location");
const WEBSOCKET_ORIGIN: HeaderName = HeaderName::from_static("sec-websocket-origin");
const PROTOCOL: HeaderName = HeaderName::from_static("sec-websocket-protocol");

/// The handshake data from the client's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Keys {
    key1: u32,
    key2: u32,
    location: HeaderValue,
    origin: Option<HeaderValue>,
    protocol: Option<HeaderValue>,
}

impl Keys {
    /// `None` if the request is not such a handshake.
    pub(super) fn from_request(parts: &Parts, options: &Options) -> Option<Self> {
        let headers = &parts.headers;
        if headers.contains_key(SEC_WEBSOCKET_VERSION) {
            return None;
        }
        Some(Self {
            key1: key_number(headers.get(KEY1)?)?,
            key2: key_number(headers.get(KEY2)?)?,
            location: location(parts, options)?,
            origin: headers.get(ORIGIN).cloned(),
            protocol: headers.get(PROTOCOL).cloned(),
        })
    }

    pub(super) fn response(&self) -> Response {
        let mut response = reply::empty(StatusCode::SWITCHING_PROTOCOLS);
        let headers = response.headers_mut();
        headers.insert(UPGRADE, HeaderValue::from_static("WebSocket"));
        headers.insert(LOCATION, self.location.clone());
        headers.extend(self.origin.clone().map(|origin| (WEBSOCKET_ORIGIN, origin)));
        headers.extend(self.protocol.clone().map(|protocol| (PROTOCOL, protocol)));
        response
    }

    /// The challenge response, which proves that this side understands the handshake.
    fn challenge(&self, key3: [u8; 8]) -> [u8; 16] {
        let mut md5 = Md5::new();
        md5.update(self.key1.to_be_bytes());
        md5.update(self.key2.to_be_bytes());
        md5.update(key3);
        md5.finalize().into()
    }
}

/// The digits of a key as one number, divided by the number of its spaces.
fn key_number(key: &HeaderValue) -> Option<u32> {
    let key = key.as_bytes();
    let spaces = u32::try_from(key.iter().filter(|&&b| b == b' ').count()).ok()?;
    let mut digits = key.iter().filter(|b| b.is_ascii_digit());
    let number = digits
        .try_fold(0_u32, |number, &digit| number.checked_mul(10)?.checked_add(u32::from(digit - b'0')))?;
    let whole = spaces > 0 && number % spaces == 0;
    whole.then(|| number / spaces)
}

/// The URL that the client must have requested; the client compares it.
fn location(parts: &Parts, options: &Options) -> Option<HeaderValue> {
    let own = Own::of(&options.origin_context(parts, MissingOrigin::Allowed))?;
    // If the scheme is unknown, an untrusted proxy header decides: only the client's comparison depends on it, and
    // old setups have no other source.
    let secure = match own.scheme {
        Some(scheme) => default_port(scheme) == Some(443),
        None => first_element(&parts.headers, &X_FORWARDED_PROTO)
            .is_some_and(|proto| proto.eq_ignore_ascii_case(b"https")),
    };
    let scheme = if secure { "wss" } else { "ws" };
    let port = own.port.filter(|&port| default_port(scheme) != Some(port));
    let port = port.map_or(String::new(), |port| format!(":{port}"));
    let uri = parts.extensions.get::<OriginalUri>().map_or(&parts.uri, |OriginalUri(uri)| uri);
    let path = uri.path_and_query().map_or("/", |path| path.as_str());
    HeaderValue::try_from(format!("{scheme}://{}{port}{path}", own.host)).ok()
}

/// Reads the last part of the client's handshake and sends the challenge response.
pub(super) async fn answer<Io>(mut io: Io, keys: &Keys, max_message: usize) -> io::Result<Framed<Io, Codec>>
where
    Io: AsyncRead + AsyncWrite + Unpin,
{
    let mut key3 = [0; 8];
    io.read_exact(&mut key3).await?;
    io.write_all(&keys.challenge(key3)).await?;
    io.flush().await?;
    Ok(Framed::new(io, Codec::new(max_message)))
}

/// The framing: text between 0x00 and 0xFF, and 0xFF 0x00 for the end.
#[derive(Debug)]
pub(super) struct Codec {
    max_message: usize,
    /// The part of the incoming frame already searched for its end.
    scanned: usize,
    /// The number of complete frames received.
    frames: u64,
    closed: bool,
    /// Whether there was an error: the input after it is meaningless.
    failed: bool,
}

impl Codec {
    fn new(max_message: usize) -> Self {
        Self { max_message, scanned: 0, frames: 0, closed: false, failed: false }
    }

    /// The number of complete frames received.
    pub(super) fn frames(&self) -> u64 {
        self.frames
    }

    fn next_message(&mut self, input: &mut BytesMut) -> Result<Option<Message>, tungstenite::Error> {
        match input[..] {
            [] | [0xff] => Ok(None),
            [0xff, 0x00, ..] => {
                self.closed = true;
                Ok(Some(Message::Close(None)))
            }
            [0x00, ..] => {
                let from = self.scanned.max(1);
                let end = input[from..].iter().position(|&byte| byte == 0xff).map(|at| from + at);
                let size = end.unwrap_or(input.len()) - 1;
                if size > self.max_message {
                    let max_size = self.max_message;
                    return Err(CapacityError::MessageTooLong { size, max_size }.into());
                }
                let Some(end) = end else {
                    self.scanned = input.len();
                    return Ok(None);
                };
                self.scanned = 0;
                self.frames += 1;
                let mut frame = input.split_to(end + 1);
                frame.advance(1);
                frame.truncate(frame.len() - 1);
                let text = tungstenite::Utf8Bytes::try_from(Bytes::from(frame))
                    .map_err(|error| tungstenite::Error::Utf8(error.to_string()))?;
                Ok(Some(Message::Text(text)))
            }
            // Frames with a length and frames of other types were never used.
            [other, ..] => Err(ProtocolError::InvalidOpcode(other).into()),
        }
    }
}

impl Decoder for Codec {
    type Item = Message;
    type Error = tungstenite::Error;

    fn decode(&mut self, input: &mut BytesMut) -> Result<Option<Message>, tungstenite::Error> {
        if self.closed {
            return Err(tungstenite::Error::ConnectionClosed);
        }
        let result =
            if self.failed { Err(tungstenite::Error::AlreadyClosed) } else { self.next_message(input) };
        if result.is_err() {
            self.failed = true;
            // `Framed` keeps reading after an error and would keep all input.
            input.clear();
        }
        result
    }
}

impl Encoder<Message> for Codec {
    type Error = tungstenite::Error;

    fn encode(&mut self, message: Message, output: &mut BytesMut) -> Result<(), tungstenite::Error> {
        match message {
            Message::Text(text) => encode_text(text.as_bytes(), output),
            Message::Frame(frame) if frame.header().opcode == OpCode::Data(Data::Text) => {
                encode_text(frame.payload(), output);
            }
            Message::Close(_) => output.extend_from_slice(&[0xff, 0x00]),
            // The protocol has no such frames. Binary messages are rejected when the application sends them.
            Message::Binary(_) | Message::Ping(_) | Message::Pong(_) | Message::Frame(_) => {}
        }
        Ok(())
    }
}

fn encode_text(text: &[u8], output: &mut BytesMut) {
    output.reserve(text.len() + 2);
    output.extend_from_slice(&[0x00]);
    output.extend_from_slice(text);
    output.extend_from_slice(&[0xff]);
}

/// The messages in bytes that arrive in pieces of this size, until an error; no message is longer than eight bytes.
#[cfg(any(fuzzing, test))]
pub(crate) fn decode_in_pieces(bytes: &[u8], step: usize) -> Vec<Result<Message, String>> {
    let mut codec = Codec::new(8);
    let mut input = BytesMut::new();
    let mut out = Vec::new();
    for chunk in bytes.chunks(step) {
        input.extend_from_slice(chunk);
        loop {
            match codec.decode(&mut input) {
                Ok(None) => break,
                Ok(Some(message)) => out.push(Ok(message)),
                Err(error) => {
                    out.push(Err(error.to_string()));
                    return out;
                }
            }
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use futures_util::StreamExt as _;
    use tokio::{io::duplex, time::timeout};

    use super::*;

    fn keys() -> Keys {
        let number = |key| key_number(&HeaderValue::from_static(key)).unwrap();
        Keys {
            key1: number("18x 6]8vM;54 *(5:  {   U1]8  z [  8"),
            key2: number("1_ tx7X d  <  nw  334J702) 7]o}` 0"),
            location: HeaderValue::from_static("ws://example.com/demo"),
            origin: None,
            protocol: None,
        }
    }

    /// The example of the draft itself, section 1.2.
    #[test]
    fn the_drafts_example() {
        let keys = keys();
        assert_eq!((keys.key1, keys.key2), (155_712_099, 173_347_027));
        assert_eq!(&keys.challenge(*b"Tm[K T2u"), b"fQJ,fN/4F4!~K~MH");
    }

    #[test]
    fn keys_that_are_none() {
        for bad in ["", "123", "1 2 3 4", "99999999999 ", " "] {
            let number = key_number(&HeaderValue::from_static(bad));
            // "1 2 3 4" is 1234 / 3, which leaves a remainder; a lone space is 0 / 1.
            assert_eq!(number, (bad == " ").then_some(0), "{bad:?}");
        }
    }

    #[test]
    fn frames_come_whole_however_they_are_cut() {
        let bytes = b"\x00a\xff\x00\xff\x00\xc3\xa9\xff\xff\x00";
        for step in 1..bytes.len() {
            let messages: Vec<_> =
                decode_in_pieces(bytes, step).into_iter().take(4).map(Result::unwrap).collect();
            let expected = [Message::text("a"), Message::text(""), Message::text("é"), Message::Close(None)];
            assert_eq!(messages, expected, "{step}");
        }
    }

    #[test]
    fn limits_and_nonsense() {
        assert_eq!(decode_in_pieces(b"\x0012345678\xff", 1), [Ok(Message::text("12345678"))]);
        assert!(decode_in_pieces(b"\x00123456789", 1)[0].is_err());
        assert!(decode_in_pieces(b"\x00\xc3\xff", 9)[0].is_err());
        assert!(decode_in_pieces(b"\x80\x01a", 9)[0].is_err());
        assert!(decode_in_pieces(b"\xff\x01", 9)[0].is_err());
    }

    #[tokio::test]
    async fn nothing_is_kept_of_what_comes_behind_an_error() {
        for wrong in ["\0too long a message", "\u{1}"] {
            let (mut client, server) = duplex(64 << 10);
            let mut server = Framed::new(server, Codec::new(8));
            client.write_all(wrong.as_bytes()).await.unwrap();
            assert!(server.next().await.unwrap().is_err());
            let writer = tokio::spawn(async move {
                // Valid messages.
                client.write_all(&b"\xff\0a\xff".repeat(256 << 10)).await
            });
            while !writer.is_finished() {
                let read = timeout(Duration::from_secs(10), server.next()).await.unwrap();
                assert!(!matches!(read, Some(Ok(_))), "{read:?}");
            }
            writer.await.unwrap().unwrap();
            assert!(server.read_buffer().capacity() <= 64 << 10, "{}", server.read_buffer().capacity());
        }
    }
}
