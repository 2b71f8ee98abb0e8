//! HTTP/1.1 as a client reads it.

use super::connection::Buffer;

/// What comes next in an answer.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Event<'a> {
    Head { status: u16 },
    Data(&'a [u8]),
    End,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Head,
    /// So much of a body is left.
    Length(usize),
    /// The line with a chunk's size.
    Size,
    /// So much of a chunk is left.
    Chunk(usize),
    /// The end of the line behind a chunk.
    ChunkEnd,
    /// Lines behind the last chunk, up to an empty one.
    Trailers,
    /// A body that ends with its connection.
    Close,
}

/// Reads the answers on one connection, one after the other.
#[derive(Debug)]
pub(crate) struct Reader {
    state: State,
    keep_alive: bool,
}

impl Default for Reader {
    fn default() -> Self {
        Self { state: State::Head, keep_alive: true }
    }
}

impl Reader {
    /// Whether the connection takes another request after this answer.
    pub(crate) fn keep_alive(&self) -> bool {
        self.keep_alive
    }

    /// Whether the answer ends where its connection does.
    pub(crate) fn ends_with_connection(&self) -> bool {
        self.state == State::Close
    }

    /// The next part of the answer, or none until more is read.
    pub(crate) fn next<'b>(&mut self, buffer: &'b mut Buffer) -> Result<Option<Event<'b>>, String> {
        loop {
            match self.state {
                State::Head => {
                    let Some((len, status, state)) = self.head(buffer.filled())? else { return Ok(None) };
                    buffer.take(len);
                    self.state = state;
                    return Ok(Some(Event::Head { status }));
                }
                State::Length(0) => {
                    self.state = State::Head;
                    return Ok(Some(Event::End));
                }
                State::Length(left) | State::Chunk(left) => {
                    let len = left.min(buffer.filled().len());
                    if len == 0 {
                        return Ok(None);
                    }
                    self.state = match self.state {
                        State::Length(_) => State::Length(left - len),
                        _ if left == len => State::ChunkEnd,
                        _ => State::Chunk(left - len),
                    };
                    return Ok(Some(Event::Data(buffer.take(len))));
                }
                State::Size => {
                    let Some(line) = line(buffer)? else { return Ok(None) };
                    let size = line.split(|byte| *byte == b';').next().unwrap_or_default().trim_ascii();
                    let size =
                        std::str::from_utf8(size).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
                    self.state = match size {
                        Some(0) => State::Trailers,
                        Some(size) => State::Chunk(size),
                        None => return Err("the size of a chunk is no number".to_owned()),
                    };
                }
                State::ChunkEnd => {
                    let Some(line) = line(buffer)? else { return Ok(None) };
                    if !line.is_empty() {
                        return Err("a chunk is longer than its size".to_owned());
                    }
                    self.state = State::Size;
                }
                State::Trailers => {
                    let Some(line) = line(buffer)? else { return Ok(None) };
                    if line.is_empty() {
                        self.state = State::Head;
                        return Ok(Some(Event::End));
                    }
                }
                State::Close => {
                    let len = buffer.filled().len();
                    return Ok((len > 0).then(|| Event::Data(buffer.take(len))));
                }
            }
        }
    }

    fn head(&mut self, bytes: &[u8]) -> Result<Option<(usize, u16, State)>, String> {
        if bytes.is_empty() {
            return Ok(None);
        }
        let mut headers = [httparse::EMPTY_HEADER; 48];
        let mut response = httparse::Response::new(&mut headers);
        let len = match response.parse(bytes) {
            Ok(httparse::Status::Complete(len)) => len,
            Ok(httparse::Status::Partial) => return Ok(None),
            Err(error) => return Err(format!("{error} in {}", super::messages::shown(bytes))),
        };
        let status = response.code.unwrap_or_default();
        self.keep_alive = response.version == Some(1);
        let mut state = State::Close;
        for header in response.headers {
            let value = header.value.trim_ascii();
            if header.name.eq_ignore_ascii_case("content-length") && state == State::Close {
                let length = std::str::from_utf8(value).ok().and_then(|length| length.parse().ok());
                state = State::Length(length.ok_or("the content's length is no number")?);
            } else if header.name.eq_ignore_ascii_case("transfer-encoding") {
                state = State::Size;
            } else if header.name.eq_ignore_ascii_case("connection") {
                self.keep_alive = !value.eq_ignore_ascii_case(b"close");
            }
        }
        if matches!(status, 100..200 | 204 | 304) {
            state = State::Length(0);
        }
        if state == State::Close {
            self.keep_alive = false;
        }
        Ok(Some((len, status, state)))
    }
}

/// Takes a line without its end, if it is whole.
fn line(buffer: &mut Buffer) -> Result<Option<&[u8]>, String> {
    let Some(end) = memchr::memchr(b'\n', buffer.filled()) else {
        return if buffer.filled().len() > 1024 { Err("no line ends".to_owned()) } else { Ok(None) };
    };
    let line = buffer.take(end + 1);
    line.strip_suffix(b"\r\n").map(Some).ok_or_else(|| "a line ends without CR".to_owned())
}
