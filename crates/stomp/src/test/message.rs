//! A message that has come.

use bytes::Bytes;
use serde::de::DeserializeOwned;
use stomp_codec::{Frame, Headers};

/// A `MESSAGE` that a [`TestSession`](super::TestSession) has got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TestMessage(Frame);

impl TestMessage {
    pub(super) fn new(frame: Frame) -> Self {
        Self(frame)
    }

    /// The id of the subscription that it is for: what [`subscribe`](super::TestSession::subscribe) has returned.
    #[must_use]
    pub fn subscription(&self) -> &str {
        self.header("subscription")
    }

    /// Where it was sent.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.header("destination")
    }

    /// The value of a header, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.0.headers.get(name).unwrap_or_default()
    }

    /// All headers.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.0.headers
    }

    /// The body.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.0.body
    }

    /// The body as text.
    ///
    /// # Panics
    /// It is not UTF-8.
    #[must_use]
    #[track_caller]
    pub fn text(&self) -> &str {
        match std::str::from_utf8(&self.0.body) {
            Ok(text) => text,
            Err(error) => panic!("the body of {:?} is no text: {error}", self.0),
        }
    }

    /// The body, which is JSON.
    ///
    /// # Panics
    /// It is not, or it is no `T`.
    #[must_use]
    #[track_caller]
    pub fn json<T: DeserializeOwned>(&self) -> T {
        match serde_json::from_slice(&self.0.body) {
            Ok(value) => value,
            Err(error) => panic!("{:?} is not the JSON that is expected: {error}", self.0.body),
        }
    }

    /// The frame.
    #[must_use]
    pub fn into_frame(self) -> Frame {
        self.0
    }
}
