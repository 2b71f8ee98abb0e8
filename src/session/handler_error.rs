//! What a handler may fail with: how it is told to the client and to the log.

use std::{
    convert::Infallible,
    error::Error,
    fmt::{self, Write as _},
};

use sockjs_core::{
    CloseFrame, InvalidUtf8,
    close::{INTERNAL_ERROR, NORMAL, TOO_SLOW},
};
use tower::BoxError;

use super::send_error::SendError;
/// An error that a [`Handler`](crate::Handler) may return: it ends the session with [a close
/// frame](Self::close_frame), and is logged.
///
/// The return type `Result<(), BoxError>` fits most handlers: [`axum::BoxError`] holds any error, `?` converts to it,
/// and a [`CloseFrame`] in it closes the session with that frame, as does JSON that does not parse
/// ([`JsonSession`](crate::JsonSession)) with 1007:
///
/// ```
/// use axum::BoxError;
/// use axum_sockjs::{CloseFrame, Session, SockJs};
///
/// async fn add(mut session: Session) -> Result<(), BoxError> {
///     let mut sum = 0_i64;
///     while let Some(message) = session.recv().await {
///         let Some(text) = message.as_str() else {
///             return Err(CloseFrame::new(4000, "text only").into());
///         };
///         sum += text.parse::<i64>()?; // ends the session with 1011 "Internal error"
///         session.send(sum.to_string()).await?;
///     }
///     Ok(())
/// }
///
/// let endpoint: SockJs = SockJs::new(add);
/// ```
///
/// For an error type of your own, one line is enough; with more, each error has its own frame:
///
/// ```
/// use axum_sockjs::{CloseFrame, HandlerError, Session, SockJs};
///
/// #[derive(Debug)]
/// enum ChatError { Banned, Database(std::io::Error) }
///
/// impl HandlerError for ChatError {
///     fn close_frame(&self) -> CloseFrame {
///         match self {
///             Self::Banned => CloseFrame::new(4003, "banned"),
///             Self::Database(_) => CloseFrame::new(1013, "Try again later"),
///         }
///     }
/// }
/// # impl std::fmt::Display for ChatError {
/// #     fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { f.write_str("chat") }
/// # }
/// # impl std::error::Error for ChatError {}
///
/// async fn chat(session: Session) -> Result<(), ChatError> {
///     drop(session);
///     Err(ChatError::Banned)
/// }
///
/// let endpoint: SockJs = SockJs::new(chat);
/// ```
///
/// `anyhow::Error` is of another crate, as this trait is, so neither an application nor this crate can join the two.
/// Return `Result<(), BoxError>`: `?` converts an `anyhow::Error` too, and its text and sources are logged. The
/// conversion hides the type of the outermost error, so return a `CloseFrame` as a `BoxError` itself.
///
/// # The log
///
/// A handler's error is logged inside the session's [span](crate::Options::span_level) with the connection's id and the
/// sources of the error: at the level ERROR if it is a [fault](Self::is_fault), or else at DEBUG. Also at DEBUG is
/// [`SendError::Closed`], itself or among the sources, from a session that had ended before, as when the client has
/// left. A text of more than 1 KiB is cut, and control characters are escaped, since a client may have written it.
#[diagnostic::on_unimplemented(
    message = "`{Self}` is not an error that a SockJS handler can return",
    label = "does not implement `axum_sockjs::HandlerError`",
    note = "a handler returns `()` or `Result<(), E>` where `E: HandlerError`",
    note = "return `Result<(), axum::BoxError>`, which `?` converts other errors to, or, for a type of your own that is \
            an `Error + Send + Sync + 'static`, write `impl axum_sockjs::HandlerError for MyError {{}}`"
)]
pub trait HandlerError: Into<BoxError> {
    /// The code and text that the client gets, if the session has not ended yet: by default 1011 "Internal error",
    /// which tells nothing of the error itself.
    fn close_frame(&self) -> CloseFrame {
        INTERNAL_ERROR
    }

    /// Whether the error is a fault of this side, to be logged at the level ERROR, rather than an answer to what the
    /// client did: by default if the [close frame](Self::close_frame) has one of the codes 1011 to 1014, which say so.
    fn is_fault(&self) -> bool {
        (1011..=1014).contains(&self.close_frame().code())
    }
}

/// The frame is itself.
impl HandlerError for CloseFrame {
    fn close_frame(&self) -> CloseFrame {
        self.clone()
    }
}

/// | error | close frame |
/// |---|---|
/// | [`Full`](SendError::Full) | 1008 "Client too slow" |
/// | [`Closed`](SendError::Closed) | 1000 "Normal closure", without effect: the session has ended before |
/// | [`BinaryUnsupported`](SendError::BinaryUnsupported) | 1011 "Internal error" |
impl HandlerError for SendError {
    fn close_frame(&self) -> CloseFrame {
        match self {
            Self::Full(_) => TOO_SLOW,
            Self::Closed(_) => NORMAL,
            Self::BinaryUnsupported(_) => INTERNAL_ERROR,
        }
    }
}

macro_rules! internal_errors {
    ($($error:ty),* $(,)?) => {
        $(impl HandlerError for $error {})*
    };
}

// An application cannot implement a trait of another crate for a type of another crate.
internal_errors!(
    &'static str,
    Infallible,
    InvalidUtf8,
    String,
    axum::Error,
    fmt::Error,
    serde_json::Error,
    std::io::Error,
    std::num::ParseFloatError,
    std::num::ParseIntError,
    std::str::Utf8Error,
    std::string::FromUtf8Error,
    tokio::task::JoinError,
    tokio::time::error::Elapsed,
);

/// An error and its sources.
pub(super) fn sources<'a>(
    error: &'a (dyn Error + 'static),
) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The most of an error's text that is logged, in bytes.
const MAX_SHOWN: usize = 1024;

/// An error with its sources in one line. A client may have written the text: it is cut, and has no line of its own.
pub(super) struct Report<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut shown = Shown { out: f, left: MAX_SHOWN };
        let whole = sources(self.0).enumerate().try_for_each(|(place, error)| {
            let separator = if place == 0 { "" } else { ": " };
            write!(shown, "{separator}{error}")
        });
        if shown.left == 0 { f.write_str("…") } else { whole }
    }
}

/// Passes the beginning of a text on, with its control characters escaped.
struct Shown<'a, 'b> {
    out: &'a mut fmt::Formatter<'b>,
    left: usize,
}

impl fmt::Write for Shown<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            let Some(left) = self.left.checked_sub(char.len_utf8()) else {
                self.left = 0;
                return Err(fmt::Error);
            };
            self.left = left;
            if char.is_control() {
                write!(self.out, "{}", char.escape_default())?;
            } else {
                self.out.write_char(char)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    pub(in crate::session) struct Outer(pub(in crate::session) BoxError);

    impl HandlerError for Outer {}

    impl fmt::Display for Outer {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("outer")
        }
    }

    impl Error for Outer {
        fn source(&self) -> Option<&(dyn Error + 'static)> {
            Some(&*self.0)
        }
    }

    #[test]
    fn a_report_names_the_sources() {
        let error = Outer(Outer(io::Error::other("the disk").into()).into());
        assert_eq!(Report(&error).to_string(), "outer: outer: the disk");
        assert_eq!(Report(&CloseFrame::new(4001, "x")).to_string(), "4001 \"x\"");
        let forged = io::Error::other("a\n2026-01-01 ERROR \u{1b}[31mé");
        assert_eq!(Report(&forged).to_string(), "a\\n2026-01-01 ERROR \\u{1b}[31mé");
        let whole = io::Error::other("x".repeat(1023));
        assert_eq!(Report(&whole).to_string().len(), 1023);
        let long = io::Error::other("é".repeat(100_000));
        assert_eq!(Report(&long).to_string(), format!("{}…", "é".repeat(512)));
    }
}
