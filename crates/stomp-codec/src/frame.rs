//! A frame.

use bytes::Bytes;
use bytestring::ByteString;

use crate::{command::Command, escape::write_header, headers::Headers, version::Version};

/// A frame: a command, headers and a body.
///
/// A frame that was read shares its memory with the bytes that it was read from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// What the frame is for.
    pub command: Command,
    /// The headers, decoded.
    pub headers: Headers,
    /// The body, which is text or not.
    pub body: Bytes,
}

impl Frame {
    /// Creates a frame without headers and without a body.
    #[must_use]
    pub const fn new(command: Command) -> Self {
        Self { command, headers: Headers::new(), body: Bytes::new() }
    }

    /// Adds a header behind the others.
    #[must_use]
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Sets the body.
    #[must_use]
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = body.into();
        self
    }

    /// Writes the frame as on the wire.
    ///
    /// `SEND`, `MESSAGE` and `ERROR` get a `content-length`, in octets, in place of any other. The other commands have no
    /// body: what stands in [`body`](Self::body) is left out, and so is a `content-length`.
    ///
    /// The version says what is escaped, and how: see [`write_header`]. `CONNECT`, `STOMP` and `CONNECTED` have no
    /// escapes in any version.
    ///
    /// ```
    /// use stomp_codec::{Command, Frame, Version};
    ///
    /// let frame = Frame::new(Command::Send).header("destination", "/a").header("path", r"C:\new").body("é");
    /// assert_eq!(
    ///     frame.encode(Version::V1_2),
    ///     "SEND\ndestination:/a\npath:C\\c\\\\new\ncontent-length:2\n\né\0",
    /// );
    /// ```
    #[must_use]
    pub fn encode(&self, version: Version) -> Bytes {
        let escaping = match self.command {
            Command::Connect | Command::Stomp | Command::Connected => None,
            _ => Some(version),
        };
        let has_body = matches!(self.command, Command::Send | Command::Message | Command::Error);
        let headers: usize = self.headers.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        let mut out = String::with_capacity(headers + self.body.len() + 64);
        out.push_str(self.command.as_str());
        out.push('\n');
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != "content-length") {
            write_header(&mut out, escaping, name, value);
        }
        if has_body {
            write_header(&mut out, escaping, "content-length", &self.body.len().to_string());
        }
        out.push('\n');
        let mut out = out.into_bytes();
        if has_body {
            out.extend_from_slice(&self.body);
        }
        out.push(0);
        out.into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_has_a_body_has_a_length_in_octets() {
        for command in Command::ALL {
            let frame = Frame::new(command).header("content-length", "9").header("a", "b").body("é\0");
            let text = frame.encode(Version::V1_2);
            let expected = match command {
                Command::Send | Command::Message | Command::Error => {
                    format!("{command}\na:b\ncontent-length:3\n\né\0\0")
                }
                _ => format!("{command}\na:b\n\n\0"),
            };
            assert_eq!(text, expected);
        }
    }

    #[test]
    fn an_empty_body_has_a_length_too() {
        assert_eq!(Frame::new(Command::Message).encode(Version::V1_0), "MESSAGE\ncontent-length:0\n\n\0");
    }

    #[test]
    fn what_opens_a_session_is_written_without_escapes() {
        for command in [Command::Connect, Command::Stomp, Command::Connected] {
            let frame = Frame::new(command).header("login", "a:b\\c\nd");
            for version in Version::ALL {
                assert_eq!(frame.encode(version), format!("{command}\nlogin:a:b\\c\\nd\n\n\0"));
            }
        }
    }
}
