//! Why a session does not open, or ends without a close frame of the server's.

use std::{borrow::Cow, fmt, time::Duration};

use bytes::Bytes;
use http::{Response, header};
use sockjs_core::{CloseFrame, Transport};

/// A longer line of a body is not shown, in bytes.
const LONGEST_LINE: usize = 200;

/// Any error of a library below.
pub(crate) type BoxError = Box<dyn std::error::Error + Send + Sync>;

/// Why a transport does not open a session, or loses it.
#[derive(Debug)]
#[non_exhaustive]
pub enum Error {
    /// The request cannot be made: a header or a URL of the application's is invalid.
    InvalidRequest(String),
    /// There is no connection to the server: its name has no address, it refuses connections, or TLS fails.
    Connect(BoxError),
    /// The server answers with another status than the protocol's. The body is what has come of it within a quarter of
    /// a second, up to 64 KiB.
    ///
    /// A redirect is such an answer: neither browsers' WebSockets nor this client follow it. Its `Location` is in the
    /// headers.
    Refused(Box<Response<Bytes>>),
    /// The server's answer is none of the protocol: it is too long, or not of the type that was asked for, or its
    /// `base_url` is no URL of an endpoint.
    InvalidResponse(Cow<'static, str>),
    /// The session did not open within this time, or, within [`Sending`](Self::Sending), messages did not
    /// leave within the [`close_timeout`](crate::Client::close_timeout).
    TimedOut(Duration),
    /// The server closed the session with this frame.
    Closed(CloseFrame),
    /// The connection ended or broke, for this reason.
    Lost(BoxError),
    /// The server sent nothing for this long.
    Silent(Duration),
    /// The server has forgotten the session, and opened another one.
    SessionLost,
    /// The server sent a frame that is longer than [`max_frame_bytes`](crate::Client::max_frame_bytes).
    FrameTooLong,
    /// The server sent a lone surrogate, with [`LoneSurrogates::Refuse`](crate::LoneSurrogates::Refuse).
    LoneSurrogate,
    /// A request that carried messages failed, with this error. Whether the server has them is unknown.
    Sending(Box<Self>),
}

impl Error {
    /// Returns the code and the reason that a browser's close event would have.
    ///
    /// | error | code |
    /// |---|---|
    /// | [`Closed`](Self::Closed) | that of the frame |
    /// | [`TimedOut`](Self::TimedOut) | 2007 |
    /// | [`FrameTooLong`](Self::FrameTooLong) | 1009; browsers have no such limit |
    /// | [`LoneSurrogate`](Self::LoneSurrogate) | 1007; browsers take them |
    /// | any other | 1006 |
    #[must_use]
    pub fn close_frame(&self) -> CloseFrame {
        let reason = match self {
            Self::Closed(frame) => return frame.clone(),
            Self::TimedOut(_) => return CloseFrame::from_static(2007, "Transport timed out"),
            Self::FrameTooLong => return CloseFrame::from_static(1009, "Frame too long"),
            Self::LoneSurrogate => return CloseFrame::from_static(1007, "Lone surrogate"),
            Self::SessionLost => "Server lost session",
            Self::Sending(error) => {
                return CloseFrame::new(1006, format!("Sending error: {}", SendingError(error)));
            }
            Self::Silent(_) => "Server silent",
            Self::Lost(_) => "Connection lost",
            Self::Connect(_) => "Cannot connect to server",
            Self::InvalidRequest(_) => "Invalid request",
            Self::InvalidResponse(_) => "Invalid response",
            Self::Refused(response) => {
                return CloseFrame::new(1006, format!("HTTP status {}", response.status().as_u16()));
            }
        };
        CloseFrame::from_static(1006, reason)
    }

    /// Returns the answer that refused the request, if that is the reason.
    #[must_use]
    pub fn response(&self) -> Option<&Response<Bytes>> {
        match self {
            Self::Refused(response) => Some(response),
            Self::Sending(error) => error.response(),
            _ => None,
        }
    }

    /// Whether the next transport would fail as well: the server closed the session with a code of the
    /// application's, or with the one that the browser's client has for a server without transports.
    pub(crate) fn is_final(&self) -> bool {
        matches!(self.close_frame().code(), 1000 | 2000 | 3000..=4999)
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::InvalidRequest(what) => write!(f, "the request is invalid: {what}"),
            Self::Connect(error) => write!(f, "cannot connect: {}", Chain(error.as_ref())),
            Self::Refused(response) => {
                write!(f, "the server answered {}", response.status())?;
                if let Some(location) = response.headers().get(header::LOCATION) {
                    return write!(f, ", a redirect to {location:?}");
                }
                match first_line(response.body()) {
                    Some(line) => write!(f, ": {line}"),
                    None => Ok(()),
                }
            }
            Self::InvalidResponse(what) => f.write_str(what),
            Self::TimedOut(time) => write!(f, "timed out after {time:?}"),
            Self::Closed(frame) => write!(f, "the server closed the session: {frame}"),
            Self::Lost(error) => write!(f, "the connection was lost: {}", Chain(error.as_ref())),
            Self::Silent(time) => write!(f, "the server was silent for {time:?}"),
            Self::SessionLost => f.write_str("the server lost the session"),
            Self::FrameTooLong => f.write_str("the server sent a frame that is too long"),
            Self::LoneSurrogate => f.write_str("the server sent a lone surrogate"),
            Self::Sending(error) => write!(f, "messages could not be sent: {}", SendingError(error)),
        }
    }
}

/// Its text has those of the errors below, so it has no source.
impl std::error::Error for Error {}

/// The error of a request that carried messages.
struct SendingError<'a>(&'a Error);

impl fmt::Display for SendingError<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Error::TimedOut(time) => write!(f, "the server has not taken them within {time:?}"),
            error => error.fmt(f),
        }
    }
}

/// The first line of a text, if it is short and no page.
pub(crate) fn first_line(body: &[u8]) -> Option<&str> {
    let line = std::str::from_utf8(body).ok()?.trim_start().lines().next()?.trim_end();
    let is_text = !line.starts_with('<') && !line.chars().any(char::is_control);
    (1..=LONGEST_LINE).contains(&line.len()).then_some(line).filter(|_| is_text)
}

/// An error and its sources, since the libraries' own texts say little ("client error (Connect)").
struct Chain<'a>(&'a (dyn std::error::Error + 'static));

impl fmt::Display for Chain<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut said = self.0.to_string();
        f.write_str(&said)?;
        let mut source = self.0.source();
        while let Some(error) = source {
            let text = error.to_string();
            // Some have their source's text in their own.
            if !said.ends_with(&text) {
                write!(f, ": {text}")?;
            }
            said = text;
            source = error.source();
        }
        Ok(())
    }
}

/// Why [`Client::connect`](crate::Client::connect) has opened no session.
#[derive(Debug)]
#[non_exhaustive]
pub enum ConnectError {
    /// The server's `/info` could not be read, so no transport was tried.
    Info(Error),
    /// The transports that were tried, with the error of each.
    Transports(Vec<(Transport, Error)>),
}

impl ConnectError {
    /// Returns the code and the reason that a browser's close event would have.
    ///
    /// | | code |
    /// |---|---|
    /// | the server refused `/info` | the HTTP status |
    /// | it did not answer | 1002 |
    /// | it closed the session with 1000, 2000 or 3000–4999 | that code |
    /// | every transport failed | 2000 |
    #[must_use]
    pub fn close_frame(&self) -> CloseFrame {
        match self {
            Self::Info(error) => {
                let code = error.response().map_or(1002, |response| response.status().as_u16());
                CloseFrame::from_static(code, "Cannot connect to server")
            }
            Self::Transports(tried) => match tried.last() {
                Some((_, error)) if error.is_final() => error.close_frame(),
                _ => CloseFrame::from_static(2000, "All transports failed"),
            },
        }
    }

    /// Whether a request cannot be made at all.
    pub(crate) fn is_invalid(&self) -> bool {
        match self {
            Self::Info(error) => matches!(error, Error::InvalidRequest(_)),
            Self::Transports(tried) => {
                tried.iter().all(|(_, error)| matches!(error, Error::InvalidRequest(_)))
            }
        }
    }

    /// Returns the last answer that refused a request, if there was one.
    #[must_use]
    pub fn response(&self) -> Option<&Response<Bytes>> {
        match self {
            Self::Info(error) => error.response(),
            Self::Transports(tried) => tried.iter().rev().find_map(|(_, error)| error.response()),
        }
    }
}

impl fmt::Display for ConnectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Info(error) => write!(f, "/info: {error}"),
            Self::Transports(tried) if tried.is_empty() => f.write_str("no transport is enabled"),
            Self::Transports(tried) => {
                for (at, (transport, error)) in tried.iter().enumerate() {
                    let separator = if at == 0 { "" } else { "; " };
                    write!(f, "{separator}{transport}: {error}")?;
                }
                Ok(())
            }
        }
    }
}

/// Its text has those of the errors below, so it has no source.
impl std::error::Error for ConnectError {}

/// A URL that is not that of a SockJS endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InvalidUrl(pub(crate) String);

impl fmt::Display for InvalidUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl std::error::Error for InvalidUrl {}
