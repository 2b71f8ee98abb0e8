//! Why a session ends with an `ERROR`.

use std::borrow::Cow;

use bytes::Bytes;
use bytestring::ByteString;
use stomp_codec::{Command, DecodeError, DecodeErrorKind, Frame, Version};

use crate::broker::BrokerError;

/// An answer that is an `ERROR`, and the end of the session.
///
/// Its text never repeats what the client has sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Refusal {
    /// The `message` header: short.
    pub(crate) message: Cow<'static, str>,
    /// The body, if there is more to say.
    pub(crate) details: Cow<'static, str>,
    /// More headers.
    pub(crate) headers: Vec<(&'static str, Cow<'static, str>)>,
    pub(crate) receipt: Option<ByteString>,
}

impl Refusal {
    pub(crate) fn new(message: impl Into<Cow<'static, str>>) -> Self {
        Self { message: message.into(), details: Cow::Borrowed(""), headers: Vec::new(), receipt: None }
    }

    /// The limit that a frame exceeds.
    pub(crate) fn limit(setting: &'static str) -> Self {
        Self::new("limit exceeded").details(format!("The limit {setting} is exceeded."))
    }

    pub(crate) fn details(mut self, details: impl Into<Cow<'static, str>>) -> Self {
        self.details = details.into();
        self
    }

    /// What is counted: the message, unless it is the application's.
    pub(crate) fn kind(&self) -> &'static str {
        match self.message {
            Cow::Borrowed(message) => message,
            Cow::Owned(_) => "application",
        }
    }

    pub(crate) fn header(mut self, name: &'static str, value: impl Into<Cow<'static, str>>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    pub(crate) fn receipt(mut self, receipt: Option<ByteString>) -> Self {
        self.receipt = receipt;
        self
    }

    /// The frame. Before there is a version, escapes have not been read either.
    pub(crate) fn encode(self, version: Option<Version>) -> Bytes {
        let mut frame = Frame::new(Command::Error)
            .header("message", self.message.into_owned())
            .header("content-type", "text/plain");
        if let Some(receipt) = self.receipt {
            frame.headers.append("receipt-id", receipt);
        }
        for (name, value) in self.headers {
            frame.headers.append(name, value.into_owned());
        }
        frame.body(self.details.into_owned()).encode(version.unwrap_or(Version::V1_0))
    }
}

impl From<DecodeError> for Refusal {
    fn from(error: DecodeError) -> Self {
        let refusal = match error.kind() {
            DecodeErrorKind::LimitExceeded(limit) => Self::limit(limit.name()),
            kind => Self::new("malformed frame").details(format!("Not a frame: {kind}.")),
        };
        refusal.receipt(error.receipt().cloned())
    }
}

impl From<BrokerError> for Refusal {
    fn from(error: BrokerError) -> Self {
        match error {
            BrokerError::LimitExceeded(limit) => Self::limit(limit),
            BrokerError::InvalidDestination(reason) => Self::new("invalid destination").details(reason),
            BrokerError::Unavailable(_) => Self::new("broker unavailable"),
            BrokerError::QueueElsewhere => Self::new("queue at another node")
                .details("Another node has this queue: connect to that one."),
        }
    }
}
