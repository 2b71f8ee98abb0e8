//! What tells the transports apart: URLs, and how frames lie in a stream.

use memchr::memmem;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Transport {
    WebSocket,
    RawWebSocket,
    XhrStreaming,
    EventSource,
    HtmlFile,
    XhrPolling,
    JsonpPolling,
    /// Bare messages in a streamed answer, each ended by LF: what SockJS costs is seen beside it.
    PlainStreaming,
    /// Bare messages, each ended by LF, one answer after the other.
    PlainPolling,
    /// Bare messages of a fixed length on a socket.
    Tcp,
}

/// The JSONP and HtmlFile function that frames are passed to.
pub(crate) const CALLBACK: &str = "_jp.a1b2c3";

impl Transport {
    pub(crate) const ALL: [Self; 10] = [
        Self::WebSocket,
        Self::RawWebSocket,
        Self::XhrStreaming,
        Self::EventSource,
        Self::HtmlFile,
        Self::XhrPolling,
        Self::JsonpPolling,
        Self::PlainStreaming,
        Self::PlainPolling,
        Self::Tcp,
    ];

    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::WebSocket => "websocket",
            Self::RawWebSocket => "raw-websocket",
            Self::XhrStreaming => "xhr-streaming",
            Self::EventSource => "eventsource",
            Self::HtmlFile => "htmlfile",
            Self::XhrPolling => "xhr-polling",
            Self::JsonpPolling => "jsonp-polling",
            Self::PlainStreaming => "plain-streaming",
            Self::PlainPolling => "plain-polling",
            Self::Tcp => "tcp",
        }
    }

    pub(crate) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|transport| transport.name() == name)
    }

    pub(crate) fn is_plain(self) -> bool {
        matches!(self, Self::PlainStreaming | Self::PlainPolling)
    }

    /// How many times messages are quoted on their way to the client.
    pub(crate) fn quoting(self) -> u8 {
        match self {
            Self::RawWebSocket | Self::PlainStreaming | Self::PlainPolling | Self::Tcp => 0,
            Self::HtmlFile | Self::JsonpPolling => 2,
            _ => 1,
        }
    }

    /// Method and path, below the session's, of a receiving request.
    pub(crate) fn receive(self) -> (&'static str, String) {
        match self {
            Self::WebSocket | Self::RawWebSocket | Self::Tcp => ("GET", "websocket".to_owned()),
            Self::XhrStreaming => ("POST", "xhr_streaming".to_owned()),
            Self::EventSource => ("GET", "eventsource".to_owned()),
            Self::HtmlFile => ("GET", format!("htmlfile?c={CALLBACK}")),
            Self::XhrPolling => ("POST", "xhr".to_owned()),
            Self::JsonpPolling => ("GET", format!("jsonp?c={CALLBACK}")),
            Self::PlainStreaming => ("GET", "plain_streaming".to_owned()),
            Self::PlainPolling => ("GET", "plain_polling".to_owned()),
        }
    }

    /// Path and content type of a sending request.
    pub(crate) fn send(self) -> (&'static str, &'static str) {
        match self {
            Self::JsonpPolling => ("jsonp_send", "application/x-www-form-urlencoded"),
            Self::PlainStreaming | Self::PlainPolling => ("plain_send", "text/plain"),
            _ => ("xhr_send", "text/plain"),
        }
    }

    /// The start, separator and end of a sending request's body.
    pub(crate) fn batch(self) -> (&'static str, &'static str, &'static str) {
        match self {
            Self::JsonpPolling => ("d=%5B", "%2C", "%5D"),
            Self::PlainStreaming | Self::PlainPolling => ("", "\n", "\n"),
            _ => ("[", ",", "]"),
        }
    }

    /// Finds the first whole frame: where it is, and how far it is to the next. The prelude of a stream comes
    /// as a frame that says nothing.
    pub(crate) fn frame(self, bytes: &[u8]) -> Result<Option<(std::ops::Range<usize>, usize)>, String> {
        let (start, end): (&[u8], &[u8]) = match self {
            Self::XhrStreaming | Self::XhrPolling | Self::PlainStreaming | Self::PlainPolling => (b"", b"\n"),
            Self::EventSource => (b"data: ", b"\r\n\r\n"),
            Self::HtmlFile => (b"<script>\np(\"", b"\");\n</script>\r\n"),
            Self::JsonpPolling => (b"(\"", b"\");\r\n"),
            Self::WebSocket | Self::RawWebSocket | Self::Tcp => {
                unreachable!("sockets have frames of their own")
            }
        };
        let Some(at) =
            (if end.len() == 1 { memchr::memchr(end[0], bytes) } else { memmem::find(bytes, end) })
        else {
            return Ok(None);
        };
        // Only a prelude stands between two frames.
        let before = if start.is_empty() { Some(0) } else { memmem::find(&bytes[..at], start) };
        let frame = before.ok_or_else(|| format!("no frame: {}", super::messages::shown(bytes)))?;
        Ok(Some((frame + start.len()..at, at + end.len())))
    }
}
