//! The place of a message in a room's history.
//!
//! Imports: nothing.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

/// The place of a message in the history of a room: the stream that numbers the room's messages, and the number.
///
/// A client keeps the position of the last message that it has received, and comes back with it:
/// [`Join::since`](crate::Join::since). A stream begins anew, with another id, when a room's history is forgotten, so
/// that a position of an earlier one is recognized.
///
/// As text, and with serde, it is the stream's id, a hyphen and the number. It gives access to nothing.
///
/// ```
/// use axum_sockjs_rooms::Position;
///
/// let position: Position = "00c0ffee00c0ffee-17".parse().unwrap();
/// assert_eq!(position.number(), 17);
/// assert_eq!(position.to_string(), "00c0ffee00c0ffee-17");
/// assert!("17".parse::<Position>().is_err());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Position {
    stream: u64,
    number: u64,
}

impl Position {
    pub(crate) fn new(stream: u64, number: u64) -> Self {
        Self { stream, number }
    }

    pub(crate) fn stream(self) -> u64 {
        self.stream
    }

    /// Returns the number of the message in its stream. The first has 1; 0 stands before the first.
    #[must_use]
    pub fn number(self) -> u64 {
        self.number
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}-{}", self.stream, self.number)
    }
}

impl FromStr for Position {
    type Err = InvalidPosition;

    /// Parses the form that [`Display`](fmt::Display) writes, and no other.
    fn from_str(text: &str) -> Result<Self, InvalidPosition> {
        let parse = || {
            let (stream, number) = text.split_once('-')?;
            let is_hex = stream.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
            let is_decimal = number.bytes().all(|byte| byte.is_ascii_digit());
            let is_short = number == "0" || !number.starts_with('0');
            if stream.len() != 16 || !is_hex || !is_decimal || !is_short {
                return None;
            }
            Some(Self { stream: u64::from_str_radix(stream, 16).ok()?, number: number.parse().ok()? })
        };
        parse().ok_or(InvalidPosition(()))
    }
}

impl Serialize for Position {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Position {
    fn deserialize<T: Deserializer<'de>>(deserializer: T) -> Result<Self, T::Error> {
        struct Visitor;

        impl de::Visitor<'_> for Visitor {
            type Value = Position;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a position as text")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Position, E> {
                text.parse().map_err(E::custom)
            }
        }

        deserializer.deserialize_str(Visitor)
    }
}

/// The error of parsing a [`Position`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidPosition(());

impl fmt::Display for InvalidPosition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a position is 16 hexadecimal digits, a hyphen and a number")
    }
}

impl std::error::Error for InvalidPosition {}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails so")]

    use super::*;

    #[test]
    fn a_position_is_its_text() {
        for position in [Position::new(0, 0), Position::new(u64::MAX, u64::MAX), Position::new(0xab, 10)] {
            assert_eq!(position.to_string().parse(), Ok(position));
            let json = serde_json::to_string(&position).unwrap();
            assert_eq!(json, format!("\"{position}\""));
            assert_eq!(serde_json::from_str::<Position>(&json).unwrap(), position);
        }
    }

    #[test]
    fn nothing_else_is_a_position() {
        for text in [
            "",
            "-",
            "1",
            "00c0ffee00c0ffee-",
            "00c0ffee00c0ffee-01",
            "00c0ffee00c0ffee-+1",
            "00C0FFEE00c0ffee-1",
            "+0c0ffee00c0ffee-1",
            "c0ffee-1",
            "00c0ffee00c0ffee-18446744073709551616",
            "00c0ffee00c0ffee-1-1",
        ] {
            assert_eq!(text.parse::<Position>(), Err(InvalidPosition(())), "{text}");
        }
    }
}
