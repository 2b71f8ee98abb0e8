//! The reason why a value was not received or sent as JSON.

use std::{error::Error, fmt};

use sockjs_core::{CloseFrame, Message, close::INTERNAL_ERROR};

use super::{handler_error::HandlerError, send_error::SendError};
/// The client sent something that is not the JSON of the expected type.
const INVALID_JSON: CloseFrame = CloseFrame::from_static(1007, "Invalid JSON");

/// The reason why a [`JsonSession`](crate::JsonSession) did not receive or send a value.
#[derive(Debug)]
#[non_exhaustive]
pub enum JsonError {
    /// A message from the client is not JSON, or not JSON of the expected type; binary data never is.
    Parse {
        /// The message as it came.
        message: Message,
        /// What is wrong with it.
        error: serde_json::Error,
    },
    /// A value to be sent cannot be JSON.
    Encode(serde_json::Error),
    /// A value, as JSON in this message, was not sent.
    Send(SendError),
}

impl JsonError {
    /// Gives the message back: the one from the client, or the one that was not sent.
    #[must_use]
    pub fn into_message(self) -> Option<Message> {
        match self {
            Self::Parse { message, .. } => Some(message),
            Self::Send(error) => Some(error.into_message()),
            Self::Encode(_) => None,
        }
    }
}

impl fmt::Display for JsonError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Parse { .. } => "a message is not the expected JSON",
            Self::Encode(_) => "a value cannot be JSON",
            Self::Send(_) => "a value was not sent",
        })
    }
}

impl Error for JsonError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Parse { error, .. } | Self::Encode(error) => Some(error),
            Self::Send(error) => Some(error),
        }
    }
}

/// [`Parse`](Self::Parse) closes with 1007 "Invalid JSON", [`Encode`](Self::Encode) with 1011 "Internal error", and
/// [`Send`](Self::Send) as its [`SendError`].
impl HandlerError for JsonError {
    fn close_frame(&self) -> CloseFrame {
        match self {
            Self::Parse { .. } => INVALID_JSON,
            Self::Encode(_) => INTERNAL_ERROR,
            Self::Send(error) => error.close_frame(),
        }
    }
}

impl From<SendError> for JsonError {
    fn from(error: SendError) -> Self {
        Self::Send(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_has_a_text_and_a_close_frame() {
        let message = || Message::from("x");
        let json = || message().parse_json::<u8>().unwrap_err();
        for (error, code, text) in [
            (
                JsonError::Parse { message: message(), error: json() },
                1007,
                "a message is not the expected JSON",
            ),
            (JsonError::Encode(json()), 1011, "a value cannot be JSON"),
            (SendError::Full(message()).into(), 1008, "a value was not sent"),
            (SendError::Closed(message()).into(), 1000, "a value was not sent"),
        ] {
            assert!(error.source().is_some());
            assert_eq!((error.close_frame().code(), &*error.to_string()), (code, text));
            assert_eq!(error.into_message().is_some(), code != 1011);
        }
    }
}
