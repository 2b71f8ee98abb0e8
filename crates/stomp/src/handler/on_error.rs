//! What becomes of failures.

use std::{
    fmt,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use bytestring::ByteString;
use stomp_codec::{Command, Headers};

use super::{
    context::Inbound,
    error::{ErrorKind, HandlerError},
    reply::{IntoReplies, Replies},
};
use crate::session::Session;

/// A frame whose handler has failed.
#[derive(Debug, Clone, Copy)]
pub struct Failed<'a> {
    pub(crate) frame: &'a Inbound,
    pub(crate) session: &'a Session,
}

impl Failed<'_> {
    /// `SEND` or `SUBSCRIBE`.
    #[must_use]
    pub fn command(&self) -> Command {
        self.frame.command
    }

    /// The destination as the client has sent it, with the prefix.
    #[must_use]
    pub fn destination(&self) -> &ByteString {
        &self.frame.destination
    }

    /// The path that the handler was registered with, such as `/chat/{room}`.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.frame.route
    }

    /// The headers of the frame.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.frame.headers
    }

    /// The session that the frame came in.
    #[must_use]
    pub fn session(&self) -> &Session {
        self.session
    }
}

/// What becomes of a failure.
///
/// [`Default`](Self::Default) leaves it to the `on_error` of the routes around, and then to the server.
#[derive(Debug, Clone, Default)]
#[non_exhaustive]
pub enum OnError {
    /// What happens without `on_error`, with [`HandlerError::client_text`]: see [`Tell`](Self::Tell).
    #[default]
    Default,
    /// The client is told this text. If the frame asked for a receipt, in an `ERROR` frame, which ends the session:
    /// STOMP has no other negative answer. Otherwise in a message to `/queue/errors` of the session's user, if the
    /// session has subscribed to it, and the session lives.
    Tell(ByteString),
    /// The client is told this text in an `ERROR` frame, and the session ends.
    Close(ByteString),
    /// These are sent, as if the handler had returned them: the frame is processed, and has its receipt.
    Reply(Replies),
    /// Nothing: the frame is processed, and has its receipt.
    Ignore,
}

impl OnError {
    /// The client is told a text: see [`Tell`](Self::Tell).
    #[must_use]
    pub fn tell(text: impl Into<ByteString>) -> Self {
        Self::Tell(text.into())
    }

    /// The session ends with an `ERROR` frame: see [`Close`](Self::Close).
    #[must_use]
    pub fn close(text: impl Into<ByteString>) -> Self {
        Self::Close(text.into())
    }

    /// Replies, such as a [`SendToUser`](crate::SendToUser), take the place of those of the handler: see
    /// [`Reply`](Self::Reply). If they cannot be serialised, that is logged, and [`Default`](Self::Default) happens.
    #[must_use]
    pub fn reply(replies: impl IntoReplies) -> Self {
        let mut all = Replies::new();
        match all.push(replies) {
            Ok(()) => Self::Reply(all),
            Err(error) => {
                let error = HandlerError::handler(error).report();
                tracing::error!(error, "a reply of on_error cannot be sent");
                Self::Default
            }
        }
    }
}

/// A function for [`Routes::on_error`](crate::Routes::on_error).
pub(super) type Hook = Arc<dyn Fn(&HandlerError, &Failed<'_>) -> OnError + Send + Sync>;

/// The functions that are asked one after the other: those of the innermost routes first.
#[derive(Clone, Default)]
pub(super) struct Hooks(pub(super) Vec<Hook>);

impl Hooks {
    /// Decides and logs. A hook that panics decides nothing.
    pub(super) fn decide(&self, error: &HandlerError, failed: &Failed<'_>) -> OnError {
        let decisions = self.0.iter().map(|hook| {
            catch_unwind(AssertUnwindSafe(|| hook(error, failed))).unwrap_or_else(|thrown| {
                tracing::error!(error = HandlerError::panic(&*thrown).report(), "on_error has panicked");
                OnError::Default
            })
        });
        let decision = decisions.into_iter().find(|decision| !matches!(decision, OnError::Default));
        // What the application has decided on, it may log itself.
        let is_decided = decision.is_some() && error.kind() != ErrorKind::Panic;
        macro_rules! log {
            ($level:ident) => {
                tracing::$level!(
                    session = %failed.session.id(),
                    command = %failed.frame.command,
                    route = &*failed.frame.route,
                    error = error.report(),
                    "a handler has failed"
                )
            };
        }
        if error.is_fault() && !is_decided {
            log!(error);
        } else {
            log!(debug);
        }
        decision.unwrap_or_default()
    }
}

impl fmt::Debug for Hooks {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Hooks({})", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::{
        super::{
            reply::SendToUser,
            testing::{World, session},
        },
        *,
    };

    fn decide(hooks: &Hooks, error: &HandlerError) -> OnError {
        let (world, session) = (World::send(""), session(None));
        hooks.decide(error, &Failed { frame: &world.frame, session: &session })
    }

    fn hook(function: impl Fn(&HandlerError, &Failed<'_>) -> OnError + Send + Sync + 'static) -> Hook {
        Arc::new(function)
    }

    #[test]
    fn the_first_decision_counts() {
        let asked: Arc<Mutex<Vec<&str>>> = Arc::default();
        let hook = |name: &'static str, decision: OnError| {
            let asked = asked.clone();
            hook(move |_, failed| {
                assert_eq!((failed.route(), &**failed.destination()), ("/chat/{room}", "/app/chat/7"));
                asked.lock().unwrap().push(name);
                decision.clone()
            })
        };
        let inner = hook("inner", OnError::Default);
        let middle = hook("middle", OnError::tell("told"));
        let outer = hook("outer", OnError::Ignore);
        let error = HandlerError::handler("no");
        let decision = decide(&Hooks(vec![inner.clone(), middle, outer]), &error);
        assert!(matches!(decision, OnError::Tell(text) if text == "told"));
        assert_eq!(*asked.lock().unwrap(), ["inner", "middle"]);
        assert!(matches!(decide(&Hooks(vec![inner]), &error), OnError::Default));
        assert!(matches!(decide(&Hooks::default(), &error), OnError::Default));
    }

    #[test]
    fn a_hook_that_panics_decides_nothing() {
        let hooks = Hooks(vec![hook(|_, _| panic!("a bug")), hook(|_, _| OnError::close("bye"))]);
        assert!(matches!(decide(&hooks, &HandlerError::handler("no")), OnError::Close(_)));
    }

    #[test]
    fn replies_may_answer_an_error() {
        let OnError::Reply(replies) = OnError::reply(SendToUser::new("/queue/a", "b")) else {
            panic!("no reply")
        };
        assert_eq!(replies.len(), 1);
        assert!(matches!(OnError::reply(Err::<(), _>("no")), OnError::Default));
    }
}
