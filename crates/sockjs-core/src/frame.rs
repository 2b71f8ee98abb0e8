//! The four frames that a SockJS server sends: `o`, `h`, `a[…]` and `c[…]`.

use bytes::Bytes;

use super::{close::CloseFrame, message::Message, quote::quote};

/// One frame from a session to a receiver.
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
    /// The frame as text.
    pub fn text(&self) -> Bytes {
        self.ending(b"")
    }

    /// The frame with a line end.
    pub fn line(&self) -> Bytes {
        self.ending(b"\n")
    }

    /// A single message has its line ready, shared by all its receivers; several are joined.
    fn ending(&self, end: &'static [u8]) -> Bytes {
        let ready = match self {
            Self::Open => Bytes::from_static(b"o\n"),
            Self::Heartbeat => Bytes::from_static(b"h\n"),
            Self::Messages(messages) if messages.len() == 1 => messages[0].line().clone(),
            Self::Messages(_) | Self::Close(_) => {
                let mut out = Vec::with_capacity(self.size_hint() + end.len());
                self.write(|piece| out.extend_from_slice(piece));
                out.extend_from_slice(end);
                return out.into();
            }
        };
        if end.is_empty() { ready.slice(..ready.len() - 1) } else { ready }
    }

    /// Passes the frame's bytes to `put`, piece by piece.
    pub fn write(&self, mut put: impl FnMut(&[u8])) {
        match self {
            Self::Open => put(b"o"),
            Self::Heartbeat => put(b"h"),
            Self::Messages(messages) => {
                let mut separator: &[u8] = b"a[";
                for message in messages {
                    put(separator);
                    put(message.quoted());
                    separator = b",";
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

    /// The number of bytes that [`write`](Self::write) passes; approximate for a close frame.
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
        assert_eq!(written(&Frame::Messages(vec!["x".into()])), r#"a["x"]"#);
        assert_eq!(written(&Frame::Messages(vec!["a\"".into(), "b".into()])), r#"a["a\"","b"]"#);
        assert_eq!(written(&Frame::Close(CloseFrame::new(3000, "Go away!"))), r#"c[3000,"Go away!"]"#);
    }

    #[test]
    fn a_close_reason_is_always_quoted() {
        assert_eq!(written(&Frame::Close(CloseFrame::new(4000, "a\"\n]"))), r#"c[4000,"a\"\n]"]"#);
    }
}
