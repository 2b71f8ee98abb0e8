//! Frames out of bytes.

use std::fmt;

use bytes::{Buf as _, Bytes, BytesMut};
use bytestring::ByteString;

use crate::{
    command::Command,
    error::{DecodeError, DecodeErrorKind},
    escape::{escapes, unescape},
    frame::Frame,
    headers::Headers,
    limits::{Limit, Limits},
    version::Version,
};

#[cfg(test)]
mod tests;

/// No command is longer, with a carriage return.
const MAX_COMMAND_LINE: usize = "UNSUBSCRIBE\r".len();

/// Reads frames, however they are cut into pieces: several in a piece, or an octet at a time.
///
/// The head or the body of a frame that is whole within one piece shares the piece's memory; another one is put together
/// first. No octet is searched twice, and what a limit forbids is not kept. The same octets give the same frames and the
/// same error for any cuts.
///
/// What the versions differ in is read by the one that was agreed: see [`set_version`](Self::set_version).
///
/// A frame that is cut off by the end of a connection is not returned; the decoder is dropped with what it has kept.
///
/// ```
/// use stomp_codec::{Command, Decoder, Limits, Version};
///
/// # fn main() -> Result<(), stomp_codec::DecodeError> {
/// let mut decoder = Decoder::of_client(Limits::new());
/// let mut piece = "CONNECT\naccept-version:1.2\n\n\0SEND\ndestination:/a\n\nhel".into();
/// let connect = decoder.decode(&mut piece)?.expect("a whole frame");
/// assert_eq!(connect.command, Command::Connect);
/// decoder.set_version(Version::V1_2);
///
/// assert_eq!(decoder.decode(&mut piece)?, None);
/// let send = decoder.decode(&mut "lo\0".into())?.expect("the rest of a frame");
/// assert_eq!(send.body, "hello");
/// # Ok(())
/// # }
/// ```
pub struct Decoder {
    is_client: bool,
    limits: Limits,
    version: Option<Version>,
    lenient_escapes: bool,
    /// How much may still be read before a version is agreed.
    connect_left: usize,
    /// The part of a frame, or of its body, that has come.
    buffer: BytesMut,
    state: State,
}

enum State {
    /// Line ends between frames; whether a carriage return waits for its line feed.
    Between {
        after_cr: bool,
    },
    Head(Lines),
    Body {
        frame: Frame,
        length: Option<usize>,
    },
    Failed(DecodeError),
}

/// The lines of a head so far.
#[derive(Default)]
struct Lines {
    /// How many have ended.
    count: usize,
    /// The length of all that have ended.
    bytes: usize,
    /// The length of the one that has not ended.
    line: usize,
    /// Whether that one ends in a carriage return.
    after_cr: bool,
}

impl Decoder {
    /// Reads what a client sends.
    #[must_use]
    pub fn of_client(limits: Limits) -> Self {
        Self::new(true, limits)
    }

    /// Reads what a server sends.
    #[must_use]
    pub fn of_server(limits: Limits) -> Self {
        Self::new(false, limits)
    }

    fn new(is_client: bool, limits: Limits) -> Self {
        Self {
            is_client,
            limits,
            version: None,
            lenient_escapes: false,
            connect_left: limits.connect,
            buffer: BytesMut::new(),
            state: State::Between { after_cr: false },
        }
    }

    /// Keeps a backslash that begins no escape of the version, instead of refusing the frame. Off unless set.
    ///
    /// Some clients never escape what they send.
    #[must_use]
    pub fn lenient_escapes(mut self, lenient: bool) -> Self {
        self.lenient_escapes = lenient;
        self
    }

    /// Sets the version in which the following frames are read.
    ///
    /// Until then escapes stay as they are, and no more than
    /// [`max_connect_bytes`](Limits::max_connect_bytes) is read. The values of a `CONNECT`, `STOMP` or `CONNECTED` frame
    /// for 1.0 alone are trimmed as those of 1.0 are.
    pub fn set_version(&mut self, version: Version) {
        self.version = Some(version);
    }

    /// Reads the next frame from `piece`, and takes what belongs to it off the front of `piece`.
    ///
    /// Returns `None` when all of `piece` has been taken and there is no whole frame.
    ///
    /// Line ends between frames, which are heart-beats, are skipped and not returned: any octet shows that the other side
    /// is alive, so whoever watches for heart-beats looks at whether pieces come.
    ///
    /// # Errors
    /// Bytes that are no frame, or exceed a limit. From then on every call returns the same error, and what is left in
    /// `piece` has no meaning.
    pub fn decode(&mut self, piece: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        if self.version.is_some() {
            return self.advance(piece);
        }
        let allowed = piece.len().min(self.connect_left);
        let mut within = piece.slice(..allowed);
        let decoded = self.advance(&mut within)?;
        let taken = allowed - within.len();
        piece.advance(taken);
        self.connect_left -= taken;
        if decoded.is_none() && !piece.is_empty() {
            return Err(self.fail(DecodeErrorKind::LimitExceeded(Limit::ConnectBytes), None));
        }
        Ok(decoded)
    }

    /// How many octets are kept of a head or a body that has not come whole: no more than the larger one of
    /// [`max_head_bytes`](Limits::max_head_bytes) and [`max_body_bytes`](Limits::max_body_bytes).
    #[must_use]
    pub fn buffered(&self) -> usize {
        self.buffer.len()
    }

    fn advance(&mut self, piece: &mut Bytes) -> Result<Option<Frame>, DecodeError> {
        loop {
            match &mut self.state {
                State::Between { after_cr } => {
                    if let Err(kind) = skip_line_ends(piece, after_cr) {
                        return Err(self.fail(kind, None));
                    }
                    if piece.is_empty() {
                        return Ok(None);
                    }
                    self.state = State::Head(Lines::default());
                }
                State::Head(lines) => match lines.find_end(piece, &self.limits) {
                    Ok(Some(end)) => {
                        let head = take(&mut self.buffer, piece, end);
                        self.begin_body(&head)?;
                    }
                    Ok(None) => {
                        self.keep(piece);
                        return Ok(None);
                    }
                    Err(kind) => {
                        // Neither the line that is wrong nor what follows it has the receipt.
                        let ended = lines.bytes;
                        let mut head = take(&mut self.buffer, piece, piece.len());
                        head.truncate(ended);
                        return Err(self.fail(kind, self.receipt_in(&head)));
                    }
                },
                State::Body { length, .. } => {
                    let (length, kept) = (*length, self.buffer.len());
                    let end = match length {
                        Some(length) => length.checked_sub(kept).filter(|rest| *rest < piece.len()),
                        None => memchr::memchr(0, piece),
                    };
                    let size = end.unwrap_or(piece.len()) + kept;
                    if length.is_none() && size > self.limits.body {
                        return Err(self.fail_in_body(DecodeErrorKind::LimitExceeded(Limit::BodyBytes)));
                    }
                    let Some(end) = end else {
                        self.keep(piece);
                        return Ok(None);
                    };
                    if piece[end] != 0 {
                        return Err(self.fail_in_body(DecodeErrorKind::MissingNul));
                    }
                    let body = take(&mut self.buffer, piece, end);
                    piece.advance(1);
                    return self.end_frame(body).map(Some);
                }
                State::Failed(error) => return Err(error.clone()),
            }
        }
    }

    fn keep(&mut self, piece: &mut Bytes) {
        self.buffer.extend_from_slice(piece);
        piece.clear();
    }

    fn begin_body(&mut self, head: &Bytes) -> Result<(), DecodeError> {
        match self.read_head(head.clone()) {
            Ok((frame, length)) => {
                let too_long = length.is_some_and(|length| length > self.limits.body);
                self.state = State::Body { frame, length };
                if too_long {
                    return Err(self.fail_in_body(DecodeErrorKind::LimitExceeded(Limit::BodyBytes)));
                }
                Ok(())
            }
            Err(kind) => Err(self.fail(kind, self.receipt_in(head))),
        }
    }

    fn end_frame(&mut self, body: Bytes) -> Result<Frame, DecodeError> {
        let State::Body { frame, .. } = &mut self.state else { unreachable!("only a body ends a frame") };
        let command = frame.command;
        let has_body = match command {
            Command::Send | Command::Message | Command::Error => true,
            // What follows the first frame of a client is for the version that is agreed.
            Command::Connect | Command::Stomp => false,
            _ if !self.is_client || self.version <= Some(Version::V1_0) => false,
            _ if body.is_empty() => false,
            _ => return Err(self.fail_in_body(DecodeErrorKind::UnexpectedBody)),
        };
        let mut frame = std::mem::replace(frame, Frame::new(command));
        if has_body {
            frame.body = body;
        }
        self.state = State::Between { after_cr: false };
        Ok(frame)
    }

    /// Reads the lines of a head, and how long the body is.
    fn read_head(&self, head: Bytes) -> Result<(Frame, Option<usize>), DecodeErrorKind> {
        let head = ByteString::try_from(head).map_err(|_| DecodeErrorKind::InvalidUtf8)?;
        // Most heads have neither escapes nor carriage returns, which then need not be searched in each line.
        let is_plain = memchr::memchr2(b'\\', b'\r', head.as_bytes()).is_none();
        let (line, mut rest) = split_line(&head);
        let command = self.read_command(line)?;
        let mut headers = Headers::with_capacity(4);
        loop {
            let (line, behind) = split_line(rest);
            if line.is_empty() {
                break;
            }
            let (name, value) = self.read_header(command, &head, line, is_plain)?;
            headers.append(name, value);
            rest = behind;
        }
        if agrees_on_1_0(command, &headers) {
            headers.trim_values();
        }
        let length = match headers.get("content-length") {
            Some(digits) => Some(content_length(digits)?),
            None => None,
        };
        Ok((Frame { command, headers, body: Bytes::new() }, length))
    }

    fn read_command(&self, line: &str) -> Result<Command, DecodeErrorKind> {
        let known = |command: &Command| {
            command.as_str() == line
                && command.is_of_server() != self.is_client
                && (*command != Command::Nack || self.version != Some(Version::V1_0))
        };
        Command::ALL.into_iter().find(known).ok_or(DecodeErrorKind::UnknownCommand)
    }

    fn read_header(
        &self,
        command: Command,
        head: &ByteString,
        line: &str,
        is_plain: bool,
    ) -> Result<(ByteString, ByteString), DecodeErrorKind> {
        if !is_plain && memchr::memchr(b'\r', line.as_bytes()).is_some() {
            return Err(DecodeErrorKind::CarriageReturn);
        }
        // Names are short.
        let colon = line.bytes().position(|byte| byte == b':').ok_or(DecodeErrorKind::MissingColon)?;
        let (name, value) = (&line[..colon], &line[colon + 1..]);
        if name.is_empty() {
            return Err(DecodeErrorKind::EmptyName);
        }
        let value = if self.version == Some(Version::V1_0) { value.trim_matches(' ') } else { value };
        if is_plain {
            return Ok((shared_name(head, name), head.slice_ref(value)));
        }
        let version = match command {
            Command::Connect | Command::Stomp | Command::Connected => None,
            _ => self.version,
        };
        let read = |text: &str| unescape(head.slice_ref(text), escapes(version), self.lenient_escapes);
        Ok((read(name)?, read(value)?))
    }

    /// The receipt that a frame asks for which is wrong elsewhere.
    fn receipt_in(&self, head: &[u8]) -> Option<ByteString> {
        let lines = head.split(|byte| *byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let line = lines.skip(1).find(|line| line.starts_with(b"receipt:"))?;
        let line = ByteString::from(std::str::from_utf8(line).ok()?);
        // Which command it is says only whether there are escapes.
        self.read_header(Command::Send, &line, &line, false).ok().map(|(_, receipt)| receipt)
    }

    fn fail_in_body(&mut self, kind: DecodeErrorKind) -> DecodeError {
        let receipt = match &self.state {
            State::Body { frame, .. } => frame.headers.get_shared("receipt").cloned(),
            _ => None,
        };
        self.fail(kind, receipt)
    }

    fn fail(&mut self, kind: DecodeErrorKind, receipt: Option<ByteString>) -> DecodeError {
        let error = DecodeError::new(kind, receipt);
        self.buffer = BytesMut::new();
        self.state = State::Failed(error.clone());
        error
    }
}

/// Without what was read, which may have a passcode.
impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Decoder")
            .field("is_client", &self.is_client)
            .field("limits", &self.limits)
            .field("version", &self.version)
            .field("buffered", &self.buffered())
            .finish_non_exhaustive()
    }
}

impl Lines {
    /// Searches a piece for the blank line that ends the head, and returns where the next octet stands.
    fn find_end(&mut self, piece: &[u8], limits: &Limits) -> Result<Option<usize>, DecodeErrorKind> {
        let mut from = 0;
        loop {
            let found = memchr::memchr2(b'\n', 0, &piece[from..]).map(|at| from + at);
            let part = &piece[from..found.unwrap_or(piece.len())];
            self.line += part.len();
            self.after_cr = part.last().map_or(self.after_cr, |last| *last == b'\r');
            let (max_line, too_long) = match self.count {
                0 => (MAX_COMMAND_LINE, DecodeErrorKind::UnknownCommand),
                // A carriage return may belong to the line's end.
                _ => (limits.line.saturating_add(1), DecodeErrorKind::LimitExceeded(Limit::LineBytes)),
            };
            let max_head = limits.head - self.bytes;
            // The limit that is exceeded first counts, however much has come at once.
            if self.line > max_line.min(max_head) {
                let first = if max_line <= max_head {
                    too_long
                } else {
                    DecodeErrorKind::LimitExceeded(Limit::HeadBytes)
                };
                return Err(first);
            }
            let Some(at) = found else { return Ok(None) };
            if piece[at] == 0 {
                return Err(DecodeErrorKind::NulInHead);
            }
            if self.count > 0 && self.line - usize::from(self.after_cr) > limits.line {
                return Err(too_long);
            }
            let is_blank = self.line == usize::from(self.after_cr);
            self.bytes += self.line + 1;
            if self.bytes > limits.head {
                return Err(DecodeErrorKind::LimitExceeded(Limit::HeadBytes));
            }
            if is_blank {
                return Ok(Some(at + 1));
            }
            // The first line is the command.
            if self.count > limits.headers {
                return Err(DecodeErrorKind::LimitExceeded(Limit::Headers));
            }
            self.count += 1;
            (self.line, self.after_cr) = (0, false);
            from = at + 1;
        }
    }
}

/// Takes what was kept and the first `end` octets of a piece.
fn take(kept: &mut BytesMut, piece: &mut Bytes, end: usize) -> Bytes {
    let last = piece.split_to(end);
    if kept.is_empty() {
        return last;
    }
    kept.extend_from_slice(&last);
    std::mem::take(kept).freeze()
}

fn skip_line_ends(piece: &mut Bytes, after_cr: &mut bool) -> Result<(), DecodeErrorKind> {
    let mut skipped = 0;
    for byte in piece.iter() {
        match (byte, *after_cr) {
            (b'\n', _) => *after_cr = false,
            (_, true) => return Err(DecodeErrorKind::CarriageReturn),
            (b'\r', false) => *after_cr = true,
            _ => break,
        }
        skipped += 1;
    }
    piece.advance(skipped);
    Ok(())
}

/// The first line, without its end, and what follows it.
fn split_line(text: &str) -> (&str, &str) {
    let Some(end) = memchr::memchr(b'\n', text.as_bytes()) else { return (text, "") };
    let line = &text[..end];
    (line.strip_suffix('\r').unwrap_or(line), &text[end + 1..])
}

/// The name of a header: those of most frames need no share of the head.
fn shared_name(head: &ByteString, name: &str) -> ByteString {
    const FREQUENT: [&str; 4] = ["destination", "content-length", "content-type", "receipt"];
    match FREQUENT.into_iter().find(|frequent| *frequent == name) {
        Some(frequent) => ByteString::from_static(frequent),
        None => head.slice_ref(name),
    }
}

fn content_length(digits: &str) -> Result<usize, DecodeErrorKind> {
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Err(DecodeErrorKind::InvalidContentLength);
    }
    // What no `usize` holds exceeds every limit.
    digits.parse().map_err(|_| DecodeErrorKind::LimitExceeded(Limit::BodyBytes))
}

/// Whether a frame agrees on 1.0, or can agree on nothing else: its values may be padded, too.
fn agrees_on_1_0(command: Command, headers: &Headers) -> bool {
    let versions = match command {
        Command::Connect | Command::Stomp => headers.get("accept-version"),
        Command::Connected => headers.get("version"),
        _ => return false,
    };
    versions.is_none_or(|versions| Version::newest(versions) == Some(Version::V1_0))
}
