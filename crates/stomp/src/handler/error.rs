//! What a function has failed with.

use std::{
    any::Any,
    error::Error,
    fmt::{self, Write as _},
};

use axum::BoxError;

use super::rejection::Rejection;

/// What the client is told of an error whose text is not for it.
const INTERNAL: &str = "internal error";

/// The most of an error's text that a client gets, in bytes: it is a header of an `ERROR` frame.
const MAX_TOLD: usize = 256;

/// The most of an error and its sources that is logged, in bytes.
const MAX_LOGGED: usize = 1024;

/// What a handler has failed with, for [`on_error`](crate::Routes::on_error).
///
/// Handlers return `Result<_, E>` with any `E` that converts to [`BoxError`]: all errors, `String`, `&str`, and
/// `BoxError` itself, which `?` converts others to.
///
/// # What the client gets to see
///
/// | failure | text |
/// |---|---|
/// | an extractor has rejected the frame | that of the rejection |
/// | the handler has returned a [`Rejection`], itself or as a source of its error | that of the rejection |
/// | the handler has returned another error | "internal error" |
/// | the handler has panicked, or a rejection is [no fault of the client's](Rejection::is_fault) | "internal error" |
///
/// So an error of a database that `?` passes on tells nobody of the database, and what a client may know is said in so
/// many words:
///
/// ```
/// use axum::BoxError;
/// use axum_stomp::Rejection;
///
/// async fn join() -> Result<(), BoxError> {
///     let room = std::fs::read_to_string("room")?; // the client is told "internal error"
///     if room.is_empty() {
///         return Err(Rejection::new("the room is closed").into()); // the client is told so
///     }
///     Ok(())
/// }
/// ```
///
/// [`on_error`](crate::Routes::on_error) tells other texts. A text of more than 256 bytes is cut, and control
/// characters are escaped.
#[derive(Debug)]
pub struct HandlerError {
    kind: ErrorKind,
    error: BoxError,
}

/// What sort of failure it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ErrorKind {
    /// An argument of the handler could not be made: the handler was not called.
    Rejection,
    /// The handler has returned an error, or a reply that cannot be serialised.
    Handler,
    /// The handler has panicked.
    Panic,
}

impl HandlerError {
    pub(crate) fn rejection(error: impl Into<BoxError>) -> Self {
        Self { kind: ErrorKind::Rejection, error: error.into() }
    }

    pub(crate) fn handler(error: impl Into<BoxError>) -> Self {
        Self { kind: ErrorKind::Handler, error: error.into() }
    }

    /// Of what a panic has thrown.
    pub(crate) fn panic(thrown: &(dyn Any + Send)) -> Self {
        let text = match (thrown.downcast_ref::<&str>(), thrown.downcast_ref::<String>()) {
            (Some(text), _) => (*text).to_owned(),
            (_, Some(text)) => text.clone(),
            _ => "no text".to_owned(),
        };
        Self { kind: ErrorKind::Panic, error: format!("panicked: {text}").into() }
    }

    /// What sort of failure it is.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        self.kind
    }

    /// The error of the handler, or the rejection of the extractor, if it is of that type.
    ///
    /// An `anyhow::Error` hides the type of the error in it.
    #[must_use]
    pub fn downcast_ref<E: Error + 'static>(&self) -> Option<&E> {
        self.error.downcast_ref()
    }

    /// The text that the client may see: see [above](Self#what-the-client-gets-to-see).
    #[must_use]
    pub fn client_text(&self) -> String {
        match self.told() {
            Some(error) => shown(error, MAX_TOLD),
            None => INTERNAL.to_owned(),
        }
    }

    /// Whether it is a fault of this side, to be logged at the level ERROR: whatever the client is not told.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.told().is_none()
    }

    fn told(&self) -> Option<&(dyn Error + 'static)> {
        let rejection = sources(&*self.error).find_map(|error| error.downcast_ref::<Rejection>());
        match (self.kind, rejection) {
            (_, Some(rejection)) => (!rejection.is_fault()).then_some(rejection),
            (ErrorKind::Rejection, None) => Some(&*self.error),
            (ErrorKind::Handler | ErrorKind::Panic, None) => None,
        }
    }

    /// Logs why a client is refused something.
    pub(crate) fn log_refusal(&self, what: &'static str) {
        match (self.is_fault(), self.kind) {
            (false, _) => tracing::debug!(error = self.report(), "{what}"),
            // It may be a wrong passcode, or a database that cannot be reached.
            (true, ErrorKind::Handler) => tracing::warn!(error = self.report(), "{what}"),
            (true, _) => tracing::error!(error = self.report(), "{what}"),
        }
    }

    /// The error and its sources in one line, for the log.
    pub(crate) fn report(&self) -> String {
        let mut all = String::new();
        for error in sources(&*self.error) {
            let separator = if all.is_empty() { "" } else { ": " };
            // A `String` takes all that is written.
            let _ = write!(all, "{separator}{error}");
            if all.len() > MAX_LOGGED {
                break;
            }
        }
        shown(&all, MAX_LOGGED)
    }
}

impl fmt::Display for HandlerError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.error.fmt(f)
    }
}

impl Error for HandlerError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.error.source()
    }
}

fn sources<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    std::iter::successors(Some(error), |&error| error.source())
}

/// The beginning of a text that a client may have written: control characters are escaped.
fn shown(text: impl fmt::Display, max: usize) -> String {
    let text = text.to_string();
    let mut shown = String::new();
    for char in text.chars() {
        let len = shown.len();
        if char.is_control() {
            shown.extend(char.escape_default());
        } else {
            shown.push(char);
        }
        if shown.len() > max {
            shown.truncate(len);
            shown.push('…');
            break;
        }
    }
    shown
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

    #[test]
    fn only_rejections_are_told() {
        let told = |error: HandlerError| (error.client_text(), error.is_fault());
        let internal = (INTERNAL.to_owned(), true);
        assert_eq!(told(HandlerError::handler("the database")), internal);
        assert_eq!(told(HandlerError::handler(Outer("the database".into()))), internal);
        assert_eq!(told(HandlerError::rejection(Rejection::fault("a state"))), internal);
        assert_eq!(told(HandlerError::panic(&"a bug")), internal);
        let boom = ("boom".to_owned(), false);
        assert_eq!(told(HandlerError::handler(Rejection::new("boom"))), boom);
        assert_eq!(told(HandlerError::handler(Outer(Rejection::new("boom").into()))), boom);
        assert_eq!(told(HandlerError::rejection(Rejection::new("boom").with_source("x"))), boom);
        // A rejection of an extractor of the application's.
        assert_eq!(told(HandlerError::rejection("boom")), boom);
    }

    #[test]
    fn a_text_is_cut_and_has_no_control_characters() {
        let told = |text: String| HandlerError::rejection(Rejection::new(text)).client_text();
        assert_eq!(told("a\nmessage:x\0\u{1b}é".to_owned()), "a\\nmessage:x\\u{0}\\u{1b}é");
        assert_eq!(told("x".repeat(256)).len(), 256);
        assert_eq!(told("é".repeat(129)), format!("{}…", "é".repeat(128)));
        assert_eq!(told("\n".repeat(1000)), format!("{}…", "\\n".repeat(128)));
    }

    #[test]
    fn a_report_has_the_sources() {
        let error = HandlerError::handler(Outer(Outer(io::Error::other("the disk\n").into()).into()));
        assert_eq!(error.report(), "outer: outer: the disk\\n");
        assert_eq!(error.to_string(), "outer");
        assert!(error.downcast_ref::<Outer>().is_some() && error.source().is_some());
        assert!(HandlerError::handler("x".repeat(10_000)).report().len() < 1100);
        assert_eq!(HandlerError::panic(&"a bug".to_owned()).report(), "panicked: a bug");
        assert_eq!(HandlerError::panic(&1).report(), "panicked: no text");
    }
}
