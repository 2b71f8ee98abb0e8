//! What a client may do: functions for `authorize`.

use std::{fmt, sync::Arc};

use axum::BoxError;
use bytestring::ByteString;
use futures_util::future::BoxFuture;
use stomp_codec::Command;

use super::{
    context::Context,
    erased::{ErasedHandler, erase},
    extract::FromMessage,
    function::Handler,
    rejection::Rejection,
};

/// What a client asks for: an argument of rules.
///
/// Rejected in `on_connect`, as no fault of the client's.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Access {
    /// [`SEND`](Command::Send) or [`SUBSCRIBE`](Command::Subscribe).
    pub command: Command,
    /// The destination as the client has sent it, with the prefix; of a `SUBSCRIBE` it may be a pattern.
    pub destination: ByteString,
}

impl Access {
    /// Whether it is a `SEND`.
    #[must_use]
    pub fn is_send(&self) -> bool {
        self.command == Command::Send
    }

    /// Whether it is a `SUBSCRIBE`.
    #[must_use]
    pub fn is_subscribe(&self) -> bool {
        self.command == Command::Subscribe
    }
}

impl<S: Send + Sync> FromMessage<S> for Access {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        let (command, destination) = (context.command(), context.destination().clone());
        match command {
            Command::Connect | Command::Stomp => Err(Rejection::fault("there is no Access in on_connect")),
            _ => Ok(Self { command, destination }),
        }
    }
}

/// What becomes of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Decision {
    /// It is processed.
    Allow,
    /// It is not processed, and [`StompOptions::denial`](crate::StompOptions::denial) says what that means: unless set,
    /// [`Close`](Self::Close).
    Deny,
    /// It is not processed. The client is told so in a message to `/queue/errors` of the session's user, if the session has
    /// subscribed to it; there is no receipt. The session lives: a page that is denied one thing does not connect again and
    /// again.
    Refuse,
    /// It is not processed. An `ERROR` frame says "access denied", and the session ends.
    Close,
}

/// What a function for `authorize` may return.
///
/// | type | decision |
/// |---|---|
/// | [`Decision`] | itself |
/// | `bool` | `true`: [`Allow`](Decision::Allow), `false`: [`Deny`](Decision::Deny) |
/// | `()` | [`Allow`](Decision::Allow) |
/// | `Result<D, E>` with an `E: Into<BoxError>` | `D`, or [`Deny`](Decision::Deny) |
///
/// The text of an error is never sent; it is logged at the level WARN, or DEBUG if it is a [`Rejection`]. Access is denied as well if an argument
/// of the function cannot be made, and if the function panics, which is logged at the level ERROR.
///
/// ```
/// use axum_stomp::{Access, Decision, User};
///
/// async fn rule(access: Access, user: Option<User>) -> Decision {
///     match user {
///         Some(_) => Decision::Allow,
///         None if access.destination.starts_with("/topic/public/") => Decision::Allow,
///         None => Decision::Refuse,
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a function for `authorize` cannot return `{Self}`",
    label = "this is no decision",
    note = "return `bool`, `Decision`, `()`, or `Result<_, E>` of one where `E: Into<axum::BoxError>`"
)]
pub trait IntoDecision {
    /// Makes the decision.
    ///
    /// # Errors
    /// If access is refused, with the reason.
    fn into_decision(self) -> Result<Decision, BoxError>;
}

impl IntoDecision for Decision {
    fn into_decision(self) -> Result<Decision, BoxError> {
        Ok(self)
    }
}

impl IntoDecision for bool {
    fn into_decision(self) -> Result<Decision, BoxError> {
        Ok(if self { Decision::Allow } else { Decision::Deny })
    }
}

impl IntoDecision for () {
    fn into_decision(self) -> Result<Decision, BoxError> {
        Ok(Decision::Allow)
    }
}

impl<D: IntoDecision, E: Into<BoxError>> IntoDecision for Result<D, E> {
    fn into_decision(self) -> Result<Decision, BoxError> {
        self.map_err(Into::into)?.into_decision()
    }
}

/// A function for `authorize`.
pub(crate) struct Rule<S>(Arc<dyn ErasedHandler<S, Decision>>);

impl<S: Send + Sync + 'static> Rule<S> {
    pub(crate) fn new<H, T>(function: H) -> Self
    where
        H: Handler<T, S, Output: IntoDecision>,
        T: 'static,
    {
        Self(erase(function, IntoDecision::into_decision))
    }

    /// Asks whether a frame may be processed. The reason of a refusal has been logged.
    pub(crate) fn decide<'a>(&'a self, context: Context<'a>, state: &'a S) -> BoxFuture<'a, Decision> {
        Box::pin(async move {
            self.0.call(context, state).await.unwrap_or_else(|error| {
                error.log_refusal("a rule refuses access");
                Decision::Deny
            })
        })
    }
}

impl<S> Clone for Rule<S> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<S> fmt::Debug for Rule<S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Rule")
    }
}

#[cfg(test)]
mod tests {
    use super::{
        super::{extractors::User, testing::World},
        *,
    };

    async fn decide<H, T>(function: H) -> Decision
    where
        H: Handler<T, (), Output: IntoDecision>,
        T: 'static,
    {
        Rule::new(function).decide(World::send("").context(), &()).await
    }

    #[tokio::test]
    async fn a_rule_decides_and_whatever_fails_is_refused() {
        assert_eq!(decide(async || true).await, Decision::Allow);
        assert_eq!(decide(async || false).await, Decision::Deny);
        assert_eq!(decide(async || ()).await, Decision::Allow);
        assert_eq!(decide(async || Decision::Refuse).await, Decision::Refuse);
        assert_eq!(decide(async || Ok::<_, BoxError>(Decision::Refuse)).await, Decision::Refuse);
        assert_eq!(decide(async || Err::<(), _>("no")).await, Decision::Deny);
        assert_eq!(decide(async |_: axum::Extension<u8>| true).await, Decision::Deny);
        assert_eq!(decide(async |_: User| -> bool { panic!("a bug") }).await, Decision::Deny);
    }

    #[tokio::test]
    async fn a_rule_knows_what_is_asked_for() {
        let function = async |access: Access| {
            assert!(access.is_send() && !access.is_subscribe());
            access.destination == "/app/chat/7"
        };
        assert_eq!(decide(function).await, Decision::Allow);
        let error = World::connect(&[]).call(async |_: Access| ()).await.unwrap_err();
        assert!(error.is_fault());
    }
}
