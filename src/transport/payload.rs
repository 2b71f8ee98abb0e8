//! The JSON of a sending request, read piece by piece.
//!
//! A client sends all queued messages in one request and knows no limit of the server. So the body may have any
//! length: a piece within the limit is read, its messages are passed on, and then the next piece is read.

use std::{future::poll_fn, pin::Pin, task::Poll};

use bytes::{Buf as _, Bytes};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body::Body;
use sockjs_core::decode::DecodeError;

use super::form::FormField;
use crate::{
    session::send_permit::SendPermit,
    util::body::{BodyError, MAX_DISCARD},
};

/// The position of the JSON in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Encoding {
    /// The JSON is the whole body.
    Plain,
    /// The JSON is the field `d` of a form.
    Form,
}

impl Encoding {
    /// `Form` if the content type is that of a form, otherwise `Plain`.
    pub(super) fn of_form_or_plain(headers: &HeaderMap) -> Self {
        let content_type = headers.get(CONTENT_TYPE).map(|value| value.as_bytes()).unwrap_or_default();
        let essence = content_type.split(|&byte| byte == b';').next().unwrap_or_default().trim_ascii();
        if essence.eq_ignore_ascii_case(b"application/x-www-form-urlencoded") {
            Self::Form
        } else {
            Self::Plain
        }
    }
}

/// The reason why there is no next piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PieceError {
    Body(BodyError),
    /// The session has ended: the rest is not needed.
    SessionEnded,
}

/// The current piece of a body, and the state for reading the next one.
pub(super) struct Payload<'b, B> {
    body: Pin<&'b mut B>,
    form: Option<FormField>,
    /// The limit of a piece, in bytes of JSON.
    limit: usize,
    /// Bytes of the body that do not fit into the piece.
    chunk: Bytes,
    /// The piece, if it is one chunk, as for most bodies: it is used without a copy. Otherwise `joined` is the piece.
    whole: Bytes,
    joined: Vec<u8>,
    /// The number of complete messages in the piece at the last progress check.
    seen: usize,
    /// The bytes of the form that are not JSON.
    skipped: u64,
    ended: bool,
}

impl<'b, B: Body<Data = Bytes>> Payload<'b, B> {
    pub(super) fn new(body: Pin<&'b mut B>, encoding: Encoding, limit: usize) -> Self {
        Self {
            body,
            form: (encoding == Encoding::Form).then(FormField::default),
            limit,
            chunk: Bytes::new(),
            whole: Bytes::new(),
            joined: Vec::new(),
            seen: 0,
            skipped: 0,
            ended: false,
        }
    }

    /// Reads until there is a full piece, or the rest of the body.
    ///
    /// # Cancel safety
    /// Data already read is kept.
    pub(super) async fn fill(&mut self, permit: &SendPermit) -> Result<(), PieceError> {
        let mut session_ended = permit.ended();
        loop {
            self.take_chunk();
            if self.is_full() || self.ended {
                return Ok(());
            }
            let frame = poll_fn(|cx| match self.body.as_mut().poll_frame(cx) {
                Poll::Ready(frame) => Poll::Ready(Ok(frame)),
                // The end of the session frees the data: otherwise its client could make the server hold any number
                // of bodies.
                Poll::Pending => Pin::new(&mut session_ended).poll(cx).map(Err),
            });
            match frame.await {
                Ok(Some(Ok(frame))) => self.chunk = frame.into_data().unwrap_or_default(),
                Ok(Some(Err(_))) => return Err(PieceError::Body(BodyError::Broken)),
                Ok(None) => {
                    self.ended = true;
                    if let Some(form) = &mut self.form {
                        form.end(&mut self.joined);
                    }
                }
                Err(_) => return Err(PieceError::SessionEnded),
            }
            if self.skipped > MAX_DISCARD {
                return Err(PieceError::Body(BodyError::TooLarge));
            }
        }
    }

    /// Moves bytes from the chunk to the piece, as far as they fit.
    fn take_chunk(&mut self) {
        let room = self.limit.saturating_sub(self.held().len());
        if self.form.is_some() {
            self.grow(room.min(self.chunk.len()));
        }
        if let Some(form) = &mut self.form {
            let before = self.joined.len();
            let read = form.decode(&self.chunk, room, &mut self.joined);
            if self.joined.len() == before {
                self.skipped += read as u64;
            }
            self.chunk.advance(read);
            return;
        }
        let taken = self.chunk.split_to(room.min(self.chunk.len()));
        if taken.is_empty() {
            return;
        }
        if self.held().is_empty() {
            self.whole = taken;
            return;
        }
        self.grow(self.whole.len() + taken.len());
        self.joined.extend_from_slice(&std::mem::take(&mut self.whole));
        self.joined.extend_from_slice(&taken);
    }

    /// Reserves room for `more` bytes, growing like a vector but within the limit.
    fn grow(&mut self, more: usize) {
        let needed = self.joined.len() + more;
        if needed > self.joined.capacity() {
            let capacity = needed.max((2 * self.joined.capacity()).min(self.limit));
            self.joined.reserve_exact(capacity - self.joined.len());
        }
    }

    fn is_full(&self) -> bool {
        !self.chunk.is_empty()
    }

    fn held(&self) -> &[u8] {
        if self.joined.is_empty() { &self.whole } else { &self.joined }
    }

    /// Whether another message has been completed since the last call.
    pub(super) fn gets_on(&mut self) -> bool {
        let seen = strings_ended(self.held());
        std::mem::replace(&mut self.seen, seen) < seen
    }

    /// Whether the body has ended, so that the piece is the last.
    pub(super) fn is_last(&self) -> bool {
        self.ended
    }

    pub(super) fn is_empty(&self) -> bool {
        self.held().is_empty()
    }

    /// The piece, without an incomplete character at its end.
    pub(super) fn piece(&self) -> Result<&str, DecodeError> {
        let held = self.held();
        std::str::from_utf8(held).or_else(|error| {
            let cut = error.error_len().is_none() && !self.ended;
            let good = if cut { held.get(..error.valid_up_to()) } else { None };
            good.and_then(|good| std::str::from_utf8(good).ok()).ok_or(DecodeError::Malformed)
        })
    }

    /// Removes `length` bytes from the front, and keeps no more memory than the rest needs.
    pub(super) fn consume(&mut self, length: usize) {
        self.seen = 0;
        if self.joined.is_empty() {
            self.whole.advance(length);
        } else {
            self.joined = self.joined.split_off(length);
        }
        if self.whole.is_empty() {
            // Releases the connection's buffer.
            self.whole = Bytes::new();
        }
    }

    /// Discards the data already read, and returns the rest of the body.
    pub(super) fn into_rest(self) -> Pin<&'b mut B> {
        self.body
    }
}

/// Counts the strings that end in a piece that begins outside of one.
fn strings_ended(piece: &[u8]) -> usize {
    let (mut quotes, mut escaped) = (0, false);
    for &byte in piece {
        quotes += usize::from(byte == b'"' && !escaped);
        escaped = byte == b'\\' && !escaped;
    }
    quotes / 2
}

#[cfg(test)]
mod tests {
    use std::{convert::Infallible, pin::pin, sync::Arc};

    use http_body_util::StreamBody;

    use super::*;
    use crate::session::{close_reason::CloseReason, tests::open_session};

    type Pieces = Vec<Result<http_body::Frame<Bytes>, Infallible>>;

    fn body(pieces: &[&str]) -> impl Body<Data = Bytes, Error = Infallible> + use<> {
        let frames: Pieces =
            pieces.iter().map(|piece| Ok(http_body::Frame::data(Bytes::from(piece.to_string())))).collect();
        StreamBody::new(futures_util::stream::iter(frames))
    }

    /// The pieces of a body, when each is consumed except for its last `kept` bytes.
    async fn read(encoding: Encoding, limit: usize, kept: usize, chunks: &[&str]) -> Vec<String> {
        let permit = SendPermit::acquire(open_session().0, 1).unwrap();
        let body = pin!(body(chunks));
        let mut payload = Payload::new(body, encoding, limit);
        let mut pieces = Vec::new();
        loop {
            payload.fill(&permit).await.unwrap();
            let piece = payload.piece().unwrap().to_owned();
            assert!(payload.held().len() <= limit && payload.joined.capacity() <= limit);
            let is_last = payload.is_last();
            payload.consume(if is_last { piece.len() } else { piece.len() - kept });
            pieces.push(piece);
            if is_last {
                assert!(payload.is_empty());
                return pieces;
            }
        }
    }

    #[tokio::test]
    async fn a_body_within_the_limit_is_one_piece() {
        for chunks in [&["abcd"][..], &["a", "", "bc", "d"], &["ab", "cd", ""], &["a", "b", "c", "d"]] {
            assert_eq!(read(Encoding::Plain, 4, 0, chunks).await, ["abcd"], "{chunks:?}");
        }
        assert_eq!(read(Encoding::Plain, 4, 0, &[]).await, [""]);
        assert_eq!(read(Encoding::Form, 4, 0, &["d=%61b", "c%6", "4"]).await, ["abcd"]);
    }

    #[tokio::test]
    async fn a_larger_one_is_more() {
        assert_eq!(read(Encoding::Plain, 4, 0, &["abcdef"]).await, ["abcd", "ef"]);
        assert_eq!(read(Encoding::Plain, 4, 0, &["abc", "def", "ghi"]).await, ["abcd", "efgh", "i"]);
        assert_eq!(read(Encoding::Plain, 4, 1, &["abc", "def", "ghi"]).await, ["abcd", "defg", "ghi"]);
        assert_eq!(read(Encoding::Plain, 4, 0, &["abcdefghij"]).await, ["abcd", "efgh", "ij"]);
        assert_eq!(read(Encoding::Form, 4, 0, &["c=1&d=ab", "cdef&e=2"]).await, ["abcd", "ef"]);
        // A character cut by the end of a piece belongs to the next piece.
        assert_eq!(read(Encoding::Plain, 4, 0, &["abcé", "f"]).await, ["abc", "éf"]);
    }

    #[test]
    fn strings_that_have_ended_are_counted() {
        for (piece, count) in
            [("", 0), ("[\"a", 0), ("[\"a\"", 1), ("\"a\", \"\\\"", 1), ("\"\\\\\",\"\"]", 2), ("\"\\", 0)]
        {
            assert_eq!(strings_ended(piece.as_bytes()), count, "{piece}");
        }
    }

    #[tokio::test]
    async fn what_was_read_dies_with_the_session() {
        let (session, _) = open_session();
        let permit = SendPermit::acquire(Arc::clone(&session), 1).unwrap();
        let body = pin!(Stalled(Some(Bytes::from("[\"a"))));
        let mut payload = Payload::new(body, Encoding::Plain, 100);
        let end = async { session.end(CloseReason::ConnectionLost) };
        let (filled, _) = tokio::join!(payload.fill(&permit), end);
        assert_eq!(filled, Err(PieceError::SessionEnded));
    }

    /// A body that stalls.
    struct Stalled(Option<Bytes>);

    impl Body for Stalled {
        type Data = Bytes;
        type Error = Infallible;

        fn poll_frame(
            mut self: Pin<&mut Self>,
            _: &mut std::task::Context<'_>,
        ) -> Poll<Option<Result<http_body::Frame<Bytes>, Infallible>>> {
            self.0.take().map_or(Poll::Pending, |chunk| Poll::Ready(Some(Ok(http_body::Frame::data(chunk)))))
        }
    }
}
