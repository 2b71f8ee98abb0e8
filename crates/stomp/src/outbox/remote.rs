//! What a broker of several nodes needs of clients and their sessions.

use std::str::FromStr;

use axum_sockjs::Message as Piece;
use stomp_codec::{Command, Frame};
use uuid::Uuid;

use super::{SessionId, Subscriber, invalid_id::InvalidSessionId, policy::CLOSED_BY_BROKER};

impl Subscriber {
    /// Ends the session: the client gets what waits for it, then an `ERROR` with these details, and then the connection ends.
    pub(crate) fn refuse(&self, details: &'static str) {
        let frame = Frame::new(Command::Error)
            .header("message", CLOSED_BY_BROKER)
            .header("content-type", "text/plain")
            .body(details);
        let frame = frame.encode(self.0.version());
        self.0.close(Some(Piece::from_utf8(frame).unwrap_or_else(|error| Piece::binary(error.into_bytes()))));
    }
}

impl SessionId {
    pub(crate) fn to_bytes(self) -> [u8; 16] {
        self.0.into_bytes()
    }

    pub(crate) fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(Uuid::from_bytes(bytes))
    }
}

/// The text is that of the `session` header: 32 hexadecimal digits in lower case.
impl FromStr for SessionId {
    type Err = InvalidSessionId;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let id = Uuid::try_parse(text).map(Self).map_err(|_| InvalidSessionId::new())?;
        // There are other forms.
        if id.to_string() == text { Ok(id) } else { Err(InvalidSessionId::new()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_read_as_they_are_written() {
        let id = SessionId::random();
        assert_eq!(id.to_string().parse(), Ok(id));
        assert_eq!(SessionId::from_bytes(id.to_bytes()), id);
        let hyphenated = Uuid::from_bytes(id.to_bytes()).to_string();
        for text in ["", "anna", &hyphenated, &id.to_string().to_uppercase(), &format!("{id}0")] {
            // A number without letters has no other case.
            let is_same = *text == id.to_string();
            assert_eq!(text.parse::<SessionId>().is_ok(), is_same, "{text:?}");
        }
    }
}
