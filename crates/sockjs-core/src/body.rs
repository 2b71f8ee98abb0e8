//! Reading of frames from the body of an HTTP response, for clients.
//!
//! A WebSocket transmits one frame per text message, which [`Frame::parse`] reads. The other transports have framings
//! of their own, and a body arrives in pieces that may end anywhere: [`FrameDecoder`] finds the frames.

use std::{fmt, mem};

use bytes::Buf;
use memchr::{memchr, memchr2};

use super::{
    decode::{self, DecodeError, Limits},
    frame::Frame,
    transport::Transport,
    uri::decode_uri,
};

/// The least limit for a frame: enough to tell what a line is.
const LEAST_BYTES: usize = 64;

/// U+FEFF, which a browser skips at the beginning of a body.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// Finds the frames in the body of one response, however it is split.
///
/// | transport | what is read |
/// |---|---|
/// | `xhr-polling`, `xhr-streaming` | Each line is a frame. Empty lines are skipped, and so is the prelude of `xhr-streaming`, which is a line of more than one `h` and nothing else. |
/// | `eventsource` | [An event stream](https://html.spec.whatwg.org/multipage/server-sent-events.html#parsing-an-event-stream). The data of each event is a frame, after its percent-encoding is undone as by JavaScript's `decodeURI`. Where that throws, an escape stays as it is. |
/// | `htmlfile` | Each line that calls `p("…");` has a frame as its argument, a JSON string, in which `\'` may stand for `'`. Other lines are skipped. |
/// | `jsonp-polling` | Each line calls a function of any name, `/**/callback("…");`, with a frame as its argument in the same form. |
///
/// As in a browser, bytes that are not UTF-8 become U+FFFD, a byte order mark at the beginning is skipped, and a frame
/// whose line or event has no end is no frame: when the body ends, the rest is dropped with the decoder. A body needs a
/// new decoder.
///
/// The time is linear in the bytes, for any pieces. Only the beginning of a frame whose end has not arrived is kept: at
/// most [`max_frame_bytes`](Self::new) and 64 bytes.
///
/// ```
/// use sockjs_core::{Frame, Transport, body::FrameDecoder, decode::Limits};
///
/// let limits = Limits::new(64 * 1024);
/// let mut decoder = FrameDecoder::new(Transport::XhrStreaming, 1024 * 1024, limits).expect("it has a body");
/// let mut frames = Vec::new();
/// for mut piece in [&b"hhhh\no\na[\"he"[..], b"llo\"]\n"] {
///     while let Some(frame) = decoder.decode(&mut piece)? {
///         frames.push(frame);
///     }
/// }
/// assert_eq!(frames, [Frame::Open, Frame::Messages(vec!["hello".into()])]);
/// # Ok::<(), sockjs_core::body::FrameError>(())
/// ```
#[derive(Debug)]
pub struct FrameDecoder {
    format: Format,
    max_frame_bytes: usize,
    limits: Limits,
    /// The beginning of a line without an end.
    line: Vec<u8>,
    /// Whether the first line has ended or become too long.
    is_past_first_line: bool,
    /// Whether the current line is too long, and its rest is dropped.
    drops_line: bool,
    /// Whether the last line of an event stream ended with CR, to which an LF may belong.
    is_after_cr: bool,
    /// The data of the current event, if it has any.
    data: Option<Vec<u8>>,
    /// Whether the current event is too long, and its rest is dropped.
    drops_event: bool,
}

/// How frames are wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Format {
    Lines,
    Events,
    Scripts,
    Calls,
}

/// The reason why a part of a body is no frame. [`FrameDecoder::decode`] goes on behind that part when it is called
/// again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FrameError {
    /// A frame is longer than the limit of the decoder.
    FrameTooLong,
    /// The framing is malformed, or the frame is and [`Frame::parse`] says so. The browsers' client ignores a malformed
    /// frame.
    Decode(DecodeError),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::FrameTooLong => f.write_str("a frame is too long"),
            Self::Decode(DecodeError::Malformed) => f.write_str("a frame is malformed"),
            Self::Decode(error) => error.fmt(f),
        }
    }
}

impl std::error::Error for FrameError {}

impl From<DecodeError> for FrameError {
    fn from(error: DecodeError) -> Self {
        Self::Decode(error)
    }
}

/// A frame, or `None` where there is none.
type Found = Result<Option<Frame>, FrameError>;

impl FrameDecoder {
    /// Creates a decoder for the body of one response, or `None` for a transport without one: the WebSockets.
    ///
    /// `max_frame_bytes` is the longest frame, in bytes of the body: with the escapes that the transport adds and with
    /// what stands around the frame in its line. Less than 64 is taken for 64. The limits hold for the messages within.
    #[must_use]
    pub fn new(transport: Transport, max_frame_bytes: usize, limits: Limits) -> Option<Self> {
        let format = match transport {
            Transport::XhrPolling | Transport::XhrStreaming => Format::Lines,
            Transport::EventSource => Format::Events,
            Transport::HtmlFile => Format::Scripts,
            Transport::JsonpPolling => Format::Calls,
            Transport::WebSocket | Transport::RawWebSocket => return None,
        };
        Some(Self {
            format,
            max_frame_bytes: max_frame_bytes.max(LEAST_BYTES),
            limits,
            line: Vec::new(),
            is_past_first_line: false,
            drops_line: false,
            is_after_cr: false,
            data: None,
            drops_event: false,
        })
    }

    /// Reads the next frame from a piece of the body, and takes from the piece what it has read. `None` means that all
    /// of it is read and the next piece is needed: call this in a loop.
    ///
    /// # Errors
    /// [`FrameError`] for what is no frame. It is taken from the piece, and the next call goes on behind it.
    /// [`FrameError::FrameTooLong`] comes before the frame's end has arrived; the rest is then skipped.
    ///
    /// ```
    /// use sockjs_core::{Frame, Transport, body::{FrameDecoder, FrameError}, decode::{DecodeError, Limits}};
    ///
    /// let mut decoder = FrameDecoder::new(Transport::XhrPolling, 1024, Limits::new(1024)).expect("it has a body");
    /// let mut piece = &b"o\nsomething else\nh\n"[..];
    /// let mut frames = Vec::new();
    /// loop {
    ///     match decoder.decode(&mut piece) {
    ///         Ok(Some(frame)) => frames.push(frame),
    ///         Ok(None) => break,
    ///         // As the browsers' client does it.
    ///         Err(FrameError::Decode(DecodeError::Malformed)) => {}
    ///         Err(error) => return Err(error),
    ///     }
    /// }
    /// assert_eq!(frames, [Frame::Open, Frame::Heartbeat]);
    /// # Ok(())
    /// ```
    pub fn decode(&mut self, piece: &mut impl Buf) -> Result<Option<Frame>, FrameError> {
        while piece.has_remaining() {
            let (length, found) = self.read(piece.chunk());
            piece.advance(length);
            if let Some(frame) = found? {
                return Ok(Some(frame));
            }
        }
        Ok(None)
    }

    /// Returns how many bytes the decoder keeps of a frame whose end has not arrived. At the end of a body these are
    /// lost: more than none means that the body was cut off, or that its server does not end the last line.
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.line.len() + self.data.as_ref().map_or(0, Vec::len)
    }

    /// Reads up to a line's end and returns how many bytes that took, at least one of them.
    fn read(&mut self, bytes: &[u8]) -> (usize, Found) {
        if mem::take(&mut self.is_after_cr) && bytes.first() == Some(&b'\n') {
            return (1, Ok(None));
        }
        let end = match self.format {
            Format::Events => memchr2(b'\r', b'\n', bytes),
            _ => memchr(b'\n', bytes),
        };
        let part = &bytes[..end.unwrap_or(bytes.len())];
        let found = if self.drops_line {
            Ok(None)
        } else if self.line.len() + part.len() > self.room() {
            self.drop_line(part)
        } else if end.is_some() {
            self.end_line(part)
        } else {
            self.keep(part);
            Ok(None)
        };
        if let Some(end) = end {
            self.drops_line = false;
            self.is_after_cr = bytes[end] == b'\r';
        }
        (part.len() + usize::from(end.is_some()), found)
    }

    /// The most bytes of the current line.
    fn room(&self) -> usize {
        let data = self.data.as_ref().map_or(0, Vec::len);
        self.max_frame_bytes.saturating_sub(data).max(LEAST_BYTES)
    }

    /// Keeps a part of a line. The memory grows to twice its size, but not beyond the limit.
    fn keep(&mut self, part: &[u8]) {
        let length = self.line.len() + part.len();
        if length > self.line.capacity() {
            let capacity = (2 * self.line.capacity()).min(self.room()).max(length);
            self.line.reserve_exact(capacity - self.line.len());
        }
        self.line.extend_from_slice(part);
    }

    /// Drops a line that becomes too long by `part`: an error if it is one with a frame, as its beginning shows.
    fn drop_line(&mut self, part: &[u8]) -> Found {
        self.drops_line = true;
        // As much as there is room for, so that the result does not depend on the pieces.
        self.keep(&part[..self.room() - self.line.len()]);
        let line = mem::take(&mut self.line);
        let line = self.without_mark(&line);
        match self.format {
            Format::Lines if is_prelude(line) => Ok(None),
            Format::Events if field(line).0 != b"data" => Ok(None),
            Format::Scripts if script_argument(line).is_none() => Ok(None),
            Format::Events => self.drop_event(),
            Format::Lines | Format::Scripts | Format::Calls => Err(FrameError::FrameTooLong),
        }
    }

    /// Drops the current event, with one error for all that is too long in it.
    fn drop_event(&mut self) -> Found {
        self.data = None;
        if mem::replace(&mut self.drops_event, true) { Ok(None) } else { Err(FrameError::FrameTooLong) }
    }

    /// Reads a line that ends with `part`.
    fn end_line(&mut self, part: &[u8]) -> Found {
        if self.line.is_empty() {
            return self.read_line(part);
        }
        self.keep(part);
        let line = mem::take(&mut self.line);
        self.read_line(&line)
    }

    fn read_line(&mut self, line: &[u8]) -> Found {
        let line = self.without_mark(line);
        match self.format {
            Format::Lines if is_prelude(line) => Ok(None),
            Format::Lines => self.parse(&String::from_utf8_lossy(line)),
            Format::Events if line.is_empty() => self.end_event(),
            Format::Events => self.read_field(line),
            Format::Scripts => script_argument(line).map_or(Ok(None), |rest| self.parse_argument(rest)),
            Format::Calls if line.trim_ascii().is_empty() => Ok(None),
            Format::Calls => self.parse_argument(call_argument(line).ok_or(DecodeError::Malformed)?),
        }
    }

    /// The line without a byte order mark at the beginning of the body.
    fn without_mark<'a>(&mut self, line: &'a [u8]) -> &'a [u8] {
        if mem::replace(&mut self.is_past_first_line, true) {
            return line;
        }
        line.strip_prefix(BYTE_ORDER_MARK).unwrap_or(line)
    }

    fn read_field(&mut self, line: &[u8]) -> Found {
        let (name, value) = field(line);
        if name != b"data" || self.drops_event {
            return Ok(None);
        }
        match &mut self.data {
            Some(data) if data.len() + 1 + value.len() > self.max_frame_bytes => return self.drop_event(),
            Some(data) => {
                data.push(b'\n');
                data.extend_from_slice(value);
            }
            None => self.data = Some(value.to_vec()),
        }
        Ok(None)
    }

    fn end_event(&mut self) -> Found {
        self.drops_event = false;
        let Some(data) = self.data.take() else { return Ok(None) };
        self.parse(&decode_uri(&String::from_utf8_lossy(&data)))
    }

    /// Parses a frame that is the argument of a call, from behind the opening parenthesis on.
    fn parse_argument(&self, rest: &[u8]) -> Found {
        let rest = rest.trim_ascii_end();
        let argument = rest.strip_suffix(b";").unwrap_or(rest).trim_ascii_end().strip_suffix(b")");
        let argument = String::from_utf8_lossy(argument.ok_or(DecodeError::Malformed)?);
        let frame = decode::decode_script(&argument)?;
        self.parse(frame.as_str().unwrap_or_default())
    }

    /// Parses a frame. An empty one is none, as for the browsers' client.
    fn parse(&self, text: &str) -> Found {
        if text.is_empty() { Ok(None) } else { Ok(Some(Frame::parse(text, self.limits)?)) }
    }
}

/// Whether a line is the prelude of `xhr-streaming`: 2048 times `h`.
fn is_prelude(line: &[u8]) -> bool {
    line.len() > 1 && line.iter().all(|&byte| byte == b'h')
}

/// The name and the value of a line in an event stream. A comment has an empty name.
fn field(line: &[u8]) -> (&[u8], &[u8]) {
    let Some(colon) = memchr(b':', line) else { return (line, b"") };
    let value = &line[colon + 1..];
    (&line[..colon], value.strip_prefix(b" ").unwrap_or(value))
}

/// What follows `p(` in a line of a page.
fn script_argument(line: &[u8]) -> Option<&[u8]> {
    line.trim_ascii_start().strip_prefix(b"p(")
}

/// What follows `/**/callback(` in a script. Old servers have no comment there.
fn call_argument(line: &[u8]) -> Option<&[u8]> {
    let line = line.trim_ascii_start();
    let call = line.strip_prefix(b"/**/").unwrap_or(line);
    let parenthesis = memchr(b'(', call)?;
    let is_name =
        call[..parenthesis].iter().all(|&byte| byte.is_ascii_alphanumeric() || b"_.$-".contains(&byte));
    if parenthesis > 0 && is_name { Some(&call[parenthesis + 1..]) } else { None }
}

#[cfg(test)]
mod tests;
