//! Arguments that are parts of the frame or of the session.

use std::{convert::Infallible, fmt};

use bytestring::ByteString;
use stomp_codec::{Command, Frame, Headers};

use super::{
    context::Context,
    extract::{FromMessage, OptionalFromMessage},
    rejection::Rejection,
};
use crate::{messenger::Messenger, session::Session};

/// The destination of the frame as the client has sent it, with the prefix, such as `/app/chat/1`.
///
/// Rejected in `on_connect`, as no fault of the client's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination(pub ByteString);

/// The user of the session.
///
/// Rejected with "the session has no user" if it has none; `Option<User>` is `None` then. In `on_connect` there is no
/// user yet.
///
/// `on_connect` may return one: see [`IntoLogin`](crate::IntoLogin).
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct User(pub ByteString);

impl User {
    /// The name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for User {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<S: Send + Sync> FromMessage<S> for Destination {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        if matches!(context.command(), Command::Connect | Command::Stomp) {
            return Err(Rejection::fault("there is no Destination in on_connect"));
        }
        Ok(Self(context.frame.destination.clone()))
    }
}

impl<S: Send + Sync> FromMessage<S> for User {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        user_of(context).ok_or_else(|| Rejection::new("the session has no user"))
    }
}

impl<S: Send + Sync> OptionalFromMessage<S> for User {
    type Rejection = Infallible;

    async fn from_message_if_any(context: &mut Context<'_>, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(user_of(context))
    }
}

fn user_of(context: &Context<'_>) -> Option<User> {
    context.session.and_then(Session::user).cloned().map(User)
}

/// Rejected in `on_connect`, as no fault of the client's.
impl<S: Send + Sync> FromMessage<S> for Session {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        let session = context.session.cloned();
        session.ok_or_else(|| {
            Rejection::fault("there is no Session in on_connect, which decides whether it begins")
        })
    }
}

impl<S: Send + Sync> OptionalFromMessage<S> for Session {
    type Rejection = Infallible;

    async fn from_message_if_any(context: &mut Context<'_>, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(context.session.cloned())
    }
}

impl<S: Send + Sync> FromMessage<S> for Messenger {
    type Rejection = Infallible;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Infallible> {
        Ok(context.messenger.clone())
    }
}

/// All headers of the frame, decoded and in their order, but for `passcode` in `on_connect`:
/// [`Credentials`](crate::Credentials) has it.
impl<S: Send + Sync> FromMessage<S> for Headers {
    type Rejection = Infallible;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Infallible> {
        let mut headers = context.headers().clone();
        if matches!(context.command(), Command::Connect | Command::Stomp) {
            headers.remove("passcode");
        }
        Ok(headers)
    }
}

/// The whole frame, but for `passcode` in `on_connect`: [`Credentials`](crate::Credentials) has it.
impl<S: Send + Sync> FromMessage<S> for Frame {
    type Rejection = Infallible;

    async fn from_message(context: &mut Context<'_>, state: &S) -> Result<Self, Infallible> {
        let headers = Headers::from_message(context, state).await?;
        Ok(Self { command: context.command(), headers, body: context.body().clone() })
    }
}

#[cfg(test)]
mod tests {
    use stomp_codec::Frame;

    use super::{
        super::testing::{World, session},
        *,
    };

    #[tokio::test]
    async fn a_session_and_its_user() {
        let function = async |user: User, session: Session, Destination(destination): Destination| {
            assert_eq!(session.user(), Some(&user.0));
            format!("{user} {destination}")
        };
        let mut world = World::send("");
        assert_eq!(world.call(function).await.unwrap(), "anna /app/chat/7");
        world.session = Some(session(None));
        let error = world.call(function).await.unwrap_err();
        assert_eq!((error.client_text(), error.is_fault()), ("the session has no user".to_owned(), false));
        assert!(world.call(async |user: Option<User>| user.is_none()).await.unwrap());
    }

    #[tokio::test]
    async fn a_messenger_sends() {
        let mut world = World::send("");
        let function = async |messenger: Messenger| messenger.send("/topic/a", "b").await.unwrap();
        world.call(function).await.unwrap();
        assert_eq!(world.broker.published().len(), 1);
    }

    #[tokio::test]
    async fn before_the_session_there_are_headers_without_the_passcode() {
        let mut world = World::connect(&[("login", "anna"), ("passcode", "secret")]);
        let function = async |headers: Headers, frame: Frame, session: Option<Session>| {
            assert_eq!(headers, frame.headers);
            assert!(session.is_none());
            (headers.contains("login"), headers.contains("passcode"))
        };
        assert_eq!(world.call(function).await.unwrap(), (true, false));
        assert!(world.call(async |_: Session| ()).await.unwrap_err().is_fault());
        assert!(world.call(async |_: Destination| ()).await.unwrap_err().is_fault());
    }
}
