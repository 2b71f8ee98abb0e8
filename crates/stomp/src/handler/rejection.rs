//! Why an extractor has not made its value.

use std::{borrow::Cow, error::Error, fmt};

use axum::BoxError;

/// Why an extractor has not made its value: the frame is not what the handler takes.
///
/// The text may be sent to the client, so it never repeats what the client sent. The [source](Error::source), such as
/// the error of a parser, is for the log only.
#[derive(Debug)]
pub struct Rejection {
    text: Cow<'static, str>,
    source: Option<BoxError>,
    is_fault: bool,
}

impl Rejection {
    /// A rejection with a text for the client.
    ///
    /// Your own extractors may use it:
    ///
    /// ```
    /// use axum_stomp::{Context, FromMessage, Rejection};
    ///
    /// struct Language(String);
    ///
    /// impl<S: Send + Sync> FromMessage<S> for Language {
    ///     type Rejection = Rejection;
    ///
    ///     async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
    ///         let language = context.headers().get("language");
    ///         let language = language.ok_or_else(|| Rejection::new("the frame has no header language"))?;
    ///         Ok(Self(language.to_owned()))
    ///     }
    /// }
    /// ```
    #[must_use]
    pub fn new(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), source: None, is_fault: false }
    }

    /// A rejection that is no fault of the client's, such as a state that is missing. The client does not get to see
    /// its text.
    #[must_use]
    pub fn fault(text: impl Into<Cow<'static, str>>) -> Self {
        Self { text: text.into(), source: None, is_fault: true }
    }

    /// Adds the error behind it, for the log.
    #[must_use]
    pub fn with_source(mut self, source: impl Into<BoxError>) -> Self {
        self.source = Some(source.into());
        self
    }

    /// Whether it is no fault of the client's.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.is_fault
    }
}

impl fmt::Display for Rejection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Error for Rejection {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        self.source.as_deref().map(|source| source as _)
    }
}
