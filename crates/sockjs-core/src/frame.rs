//! The frames that a SockJS server sends: `o`, `h`, `a[…]` and `c[…]`.

use bytes::Bytes;

use super::{
    close::CloseFrame,
    decode::{self, DecodeError, Limits},
    message::Message,
    quote::quote,
};

/// One frame from a server to a client: the protocol has these and no others.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Frame {
    /// `o`: the session is open.
    Open,
    /// `h`: the server is alive.
    Heartbeat,
    /// `a[…]`: messages, in their order.
    Messages(Vec<Message>),
    /// `c[code,"reason"]`: the session has ended.
    Close(CloseFrame),
}

impl Frame {
    /// Parses a frame as a client receives it: a text message of a WebSocket, or what a [`FrameDecoder`] finds in a
    /// body.
    ///
    /// | text | frame |
    /// |---|---|
    /// | `o` and anything after it | [`Open`](Self::Open) |
    /// | `h` and anything after it | [`Heartbeat`](Self::Heartbeat) |
    /// | `a` and a JSON array of strings | [`Messages`](Self::Messages) |
    /// | `m` and a JSON string | [`Messages`](Self::Messages) with one: a form that old servers have |
    /// | `c` and a JSON array of an integer from 0 to 65,535 and a string | [`Close`](Self::Close) |
    ///
    /// The limits hold for the messages. The text of a close frame may be of any length, and its lone surrogates are
    /// replaced whatever the limits say.
    ///
    /// # Errors
    /// - [`DecodeError::Malformed`] for any other text. The browsers' client ignores such a frame.
    /// - The other [`DecodeError`]s where the messages are beyond the limits.
    ///
    /// ```
    /// use sockjs_core::{CloseFrame, Frame, decode::{DecodeError, Limits}};
    ///
    /// let limits = Limits::new(1024);
    /// assert_eq!(Frame::parse("o", limits), Ok(Frame::Open));
    /// assert_eq!(Frame::parse(r#"a["hello"]"#, limits), Ok(Frame::Messages(vec!["hello".into()])));
    /// let close = CloseFrame::new(3000, "Go away!");
    /// assert_eq!(Frame::parse(r#"c[3000,"Go away!"]"#, limits), Ok(Frame::Close(close)));
    /// assert_eq!(Frame::parse("x", limits), Err(DecodeError::Malformed));
    /// ```
    ///
    /// [`FrameDecoder`]: crate::body::FrameDecoder
    pub fn parse(text: &str, limits: Limits) -> Result<Self, DecodeError> {
        let mut rest = text.chars();
        let kind = rest.next();
        let payload = rest.as_str();
        match kind {
            Some('o') => Ok(Self::Open),
            Some('h') => Ok(Self::Heartbeat),
            Some('a') => decode::decode(payload, limits).map(Self::Messages),
            Some('m') => decode::decode_one(payload, limits).map(Self::Messages),
            Some('c') => {
                let (code, reason) = decode::decode_close(payload)?;
                Ok(Self::Close(CloseFrame::new(code, reason)))
            }
            _ => Err(DecodeError::Malformed),
        }
    }

    /// Returns the frame as text, as it is sent through a WebSocket. A frame of one message shares the message's memory.
    ///
    /// ```
    /// use sockjs_core::Frame;
    ///
    /// assert_eq!(Frame::Messages(vec!["a".into(), "b".into()]).text(), r#"a["a","b"]"#);
    /// ```
    #[inline]
    #[must_use]
    pub fn text(&self) -> Bytes {
        self.ending(b"")
    }

    /// Returns the frame with a line end, as the XHR transports send it. A frame of one message shares the message's
    /// memory.
    #[inline]
    #[must_use]
    pub fn line(&self) -> Bytes {
        self.ending(b"\n")
    }

    /// A single message has its line ready, shared by all its receivers; several are joined.
    #[inline]
    fn ending(&self, end: &'static [u8]) -> Bytes {
        let ready = match self {
            Self::Open => Bytes::from_static(b"o\n"),
            Self::Heartbeat => Bytes::from_static(b"h\n"),
            Self::Messages(messages) if messages.len() == 1 => messages[0].line().clone(),
            Self::Messages(_) | Self::Close(_) => return self.joined(end),
        };
        if end.is_empty() { ready.slice(..ready.len() - 1) } else { ready }
    }

    fn joined(&self, end: &'static [u8]) -> Bytes {
        let mut out = Vec::with_capacity(self.size_hint() + end.len());
        self.write(|piece| out.extend_from_slice(piece));
        out.extend_from_slice(end);
        out.into()
    }

    /// Passes the frame's bytes to `put`, piece by piece, for transports that escape it:
    /// [`escape_event`](crate::quote::escape_event) and [`escape_script`](crate::quote::escape_script).
    ///
    /// ```
    /// use sockjs_core::{CloseFrame, Frame, quote::escape_script};
    ///
    /// let frame = Frame::Close(CloseFrame::new(3000, "Go away!"));
    /// let mut script = b"callback(\"".to_vec();
    /// frame.write(|piece| escape_script(piece, &mut script));
    /// script.extend_from_slice(b"\");");
    /// assert_eq!(script, br#"callback("c[3000,\"Go away!\"]");"#);
    /// ```
    pub fn write(&self, mut put: impl FnMut(&[u8])) {
        match self {
            Self::Open => put(b"o"),
            Self::Heartbeat => put(b"h"),
            Self::Messages(messages) => {
                put(b"a[");
                for (index, message) in messages.iter().enumerate() {
                    if index > 0 {
                        put(b",");
                    }
                    put(message.quoted());
                }
                put(b"]");
            }
            Self::Close(close) => {
                let mut bytes = format!("c[{},", close.code()).into_bytes();
                quote(close.reason(), &mut bytes);
                bytes.push(b']');
                put(&bytes);
            }
        }
    }

    /// Returns the number of bytes that [`write`](Self::write) passes; approximate for a close frame.
    #[must_use]
    pub fn size_hint(&self) -> usize {
        match self {
            Self::Open | Self::Heartbeat => 1,
            Self::Messages(messages) => messages.iter().map(|m| m.quoted().len() + 1).sum::<usize>() + 2,
            Self::Close(close) => close.reason().len() + 16,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::LoneSurrogates;

    fn written(frame: &Frame) -> String {
        let mut out = Vec::new();
        frame.write(|piece| out.extend_from_slice(piece));
        let written = String::from_utf8(out).unwrap();
        assert_eq!(frame.text(), written);
        assert_eq!(frame.line(), format!("{written}\n"));
        written
    }

    #[test]
    fn frames_to_the_byte() {
        assert_eq!(written(&Frame::Open), "o");
        assert_eq!(written(&Frame::Heartbeat), "h");
        assert_eq!(written(&Frame::Messages(Vec::new())), "a[]");
        assert_eq!(written(&Frame::Messages(vec!["x".into()])), r#"a["x"]"#);
        assert_eq!(written(&Frame::Messages(vec!["a\"".into(), "b".into()])), r#"a["a\"","b"]"#);
        assert_eq!(written(&Frame::Close(CloseFrame::new(3000, "Go away!"))), r#"c[3000,"Go away!"]"#);
    }

    const LIMITS: Limits = Limits::new(5).with_messages(2);

    #[test]
    fn frames_are_read() {
        for (text, frame) in [
            ("o", Frame::Open),
            ("oh", Frame::Open),
            ("h", Frame::Heartbeat),
            ("h\n", Frame::Heartbeat),
            ("a[]", Frame::Messages(Vec::new())),
            (r#"a[ "x" , "\u0041\u2028" ]"#, Frame::Messages(vec!["x".into(), "A\u{2028}".into()])),
            (r#"m"x""#, Frame::Messages(vec!["x".into()])),
            (r#"c[3000,"Go away!"]"#, Frame::Close(CloseFrame::new(3000, "Go away!"))),
            ("c[ 0 , \"\" ] ", Frame::Close(CloseFrame::new(0, ""))),
            (r#"c[65535,"\ud800"]"#, Frame::Close(CloseFrame::new(65535, "\u{fffd}"))),
        ] {
            assert_eq!(Frame::parse(text, LIMITS), Ok(frame), "{text:?}");
        }
    }

    #[test]
    fn anything_else_is_malformed() {
        for text in [
            "",
            "x",
            " o",
            "\u{feff}o",
            "é",
            "a",
            "a{}",
            "a\"x\"",
            "a[1]",
            "a[\"x\"",
            "m",
            "m[\"x\"]",
            "m1",
            "m\"x\"y",
            "c",
            "c3000",
            "c[]",
            "c[3000]",
            "c[3000,]",
            "c[3000,1]",
            "c[3000,\"x\",1]",
            "c[3000,\"x\"]]",
            "c[3000,\"x\"",
            "c[\"x\",3000]",
            "c[65536,\"x\"]",
            "c[-1,\"x\"]",
            "c[+1,\"x\"]",
            "c[01,\"x\"]",
            "c[1.0,\"x\"]",
            "c[1e3,\"x\"]",
            "c[99999999999999999999,\"x\"]",
            "c[null,\"x\"]",
        ] {
            assert_eq!(Frame::parse(text, LIMITS), Err(DecodeError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn limits_hold_for_messages_alone() {
        assert_eq!(Frame::parse(r#"a["123456"]"#, LIMITS), Err(DecodeError::MessageTooLong));
        assert_eq!(Frame::parse(r#"m"123456""#, LIMITS), Err(DecodeError::MessageTooLong));
        assert_eq!(Frame::parse(r#"a["","",""]"#, LIMITS), Err(DecodeError::TooManyMessages));
        assert_eq!(Frame::parse(r#"m"""#, LIMITS.with_messages(0)), Err(DecodeError::TooManyMessages));
        let strict = LIMITS.with_lone_surrogates(LoneSurrogates::Refuse);
        assert_eq!(Frame::parse(r#"m"\ud800""#, strict), Err(DecodeError::LoneSurrogate));
        let close = Frame::Close(CloseFrame::new(1, "longer than a message"));
        assert_eq!(Frame::parse(&written(&close), strict.with_messages(0)), Ok(close));
    }

    #[test]
    fn a_close_reason_is_always_quoted() {
        assert_eq!(written(&Frame::Close(CloseFrame::new(4000, "a\"\n]"))), r#"c[4000,"a\"\n]"]"#);
    }
}
