//! What a handler may fail with: how it is told to the client and to the log.

use std::{convert::Infallible, error::Error, fmt};

use tower::BoxError;

use super::{json_error::JsonError, send_error::SendError};
use crate::protocol::close::{CloseFrame, INTERNAL_ERROR};

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
/// sources of the error, at the level ERROR. What is no fault of this side is logged at DEBUG: a `CloseFrame`,
/// [`JsonError::Parse`](crate::JsonError::Parse), and [`SendError::Closed`], also among the sources, from a session that had ended before, as when the client has left.
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
}

/// The frame is that of the first [`CloseFrame`] or [`JsonError::Parse`](crate::JsonError::Parse) in the box or among
/// the sources; 1011 "Internal error" without one.
impl HandlerError for BoxError {
    fn close_frame(&self) -> CloseFrame {
        sources(&**self).find_map(answer_to_client).unwrap_or(INTERNAL_ERROR)
    }
}

/// The close frame of an error that is no fault of this side: a frame itself, or JSON of the client's that is none.
pub(super) fn answer_to_client(error: &(dyn Error + 'static)) -> Option<CloseFrame> {
    let of_json = || match error.downcast_ref()? {
        error @ JsonError::Parse(..) => Some(error.close_frame()),
        _ => None,
    };
    error.downcast_ref().cloned().or_else(of_json)
}

/// The frame is itself.
impl HandlerError for CloseFrame {
    fn close_frame(&self) -> CloseFrame {
        self.clone()
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
    SendError,
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

/// An error with its sources in one line.
pub(super) struct Report<'a>(pub(super) &'a (dyn Error + 'static));

impl fmt::Display for Report<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.0)?;
        sources(self.0).skip(1).try_for_each(|source| write!(f, ": {source}"))
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    #[derive(Debug)]
    struct Outer(BoxError);

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

    impl HandlerError for Outer {}

    #[test]
    fn a_box_has_the_frame_that_it_holds() {
        let frame = CloseFrame::new(4001, "log in again");
        let boxed: BoxError = frame.clone().into();
        assert_eq!(boxed.close_frame(), frame);
        assert_eq!(frame.close_frame(), frame);
        let wrapped: BoxError = Outer(Outer(boxed).into()).into();
        assert_eq!(wrapped.close_frame(), frame);
        let json: BoxError =
            JsonError::Parse("x".into(), serde_json::from_str::<u8>("x").unwrap_err()).into();
        assert_eq!(json.close_frame().code(), 1007);
        let sending: BoxError = JsonError::Send(SendError::Full("x".into())).into();
        assert_eq!(sending.close_frame(), INTERNAL_ERROR, "it may come from another session");
        for other in ["text".into(), io::Error::other("io").into(), BoxError::from(Outer("text".into()))] {
            assert_eq!(other.close_frame(), INTERNAL_ERROR, "{other}");
        }
        assert_eq!(Outer(frame.into()).close_frame(), INTERNAL_ERROR, "the default asks no source");
    }

    #[test]
    fn a_report_names_the_sources() {
        let error = Outer(Outer(io::Error::other("the disk").into()).into());
        assert_eq!(Report(&error).to_string(), "outer: outer: the disk");
        assert_eq!(Report(&CloseFrame::new(4001, "x")).to_string(), "4001 \"x\"");
    }
}
