//! Arguments that are parts of the frame or of the session.

use std::{convert::Infallible, fmt};

use bytestring::ByteString;
use stomp_codec::{Command, Frame, Headers};

use super::{
    context::Context,
    extract::{FromMessage, OptionalFromMessage},
    rejection::Rejection,
};
use crate::{link::Link, messenger::Messenger, session::Session};

/// The destination of the frame as the client has sent it, with the prefix, such as `/app/chat/1`.
///
/// Rejected in `on_connect`, as no fault of the client's.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Destination(pub ByteString);

/// The user of the session.
///
/// Rejected with "the session has no user" if it has none; `Option<User>` is `None` then.
///
/// In `on_connect` there is no user yet. There it is the user that the SockJS or WebSocket endpoint knows, by its
/// [`identity`](axum_sockjs::SockJs::identity): if that is a `User` or a `String`, or an `Option` of one, and not empty.
/// So a page that has logged in by a cookie needs no second login in `CONNECT`:
///
/// ```
/// use axum::http::HeaderMap;
/// use axum_stomp::{Credentials, Rejection, Stomp, User};
///
/// /// As the application knows its users by their cookies.
/// async fn who(request: HeaderMap) -> Option<User> {
/// #   let _ = &request;
///     None
/// }
///
/// async fn connect(page: Option<User>, credentials: Option<Credentials>) -> Result<User, Rejection> {
///     match (page, credentials) {
///         (Some(user), _) => Ok(user),
///         (None, Some(Credentials { login, passcode })) if passcode.as_deref() == Some("secret") => Ok(User(login.into())),
///         _ => Err(Rejection::new("neither a cookie nor a passcode")),
///     }
/// }
///
/// let server = Stomp::new().on_connect(connect).build();
/// let sockjs = server.sockjs().identity(who);
/// # let _: axum_sockjs::SockJs = sockjs;
/// ```
///
/// An identity of another type is an [`Identity`].
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

    /// The user that the endpoint below has found out, if it has.
    pub(crate) fn of_endpoint(link: &Link) -> Option<Self> {
        let user = link.identity::<Self>().or_else(|| link.identity::<Option<Self>>()?.as_ref());
        let name = || link.identity::<String>().or_else(|| link.identity::<Option<String>>()?.as_ref());
        let user = user.cloned().or_else(|| Some(Self(name()?.as_str().into())));
        user.filter(|user| !user.0.is_empty())
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
    match context.session {
        Some(session) => session.user().cloned().map(User),
        None => User::of_endpoint(context.link),
    }
}

/// Who the SockJS or WebSocket endpoint says that the client is: what the function of
/// [`SockJs::identity`](axum_sockjs::SockJs::identity) has returned.
///
/// Rejected as no fault of the client's if that is another type than `I`, or if the endpoint has no such function, as
/// over TCP; `Option<Identity<I>>` is `None` then. It may be an argument everywhere, above all in `on_connect`. For names
/// of users [`User`] is shorter.
///
/// ```
/// use axum_stomp::{Identity, Login, Rejection};
///
/// /// The function of `SockJs::identity` returns an `Option<u64>`: the number of an account.
/// async fn connect(Identity(account): Identity<Option<u64>>) -> Result<Login, Rejection> {
///     let account = account.ok_or_else(|| Rejection::new("no login"))?;
///     Ok(Login::new(format!("account-{account}")))
/// }
/// # let _ = axum_stomp::Stomp::<()>::new().on_connect(connect);
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Identity<I>(pub I);

impl<I: Clone + Send + 'static, S: Send + Sync> FromMessage<S> for Identity<I> {
    type Rejection = Rejection;

    async fn from_message(context: &mut Context<'_>, _: &S) -> Result<Self, Rejection> {
        let identity = context.identity().cloned().map(Self);
        identity.ok_or_else(|| Rejection::fault("the endpoint has no identity of this type"))
    }
}

impl<I: Clone + Send + 'static, S: Send + Sync> OptionalFromMessage<S> for Identity<I> {
    type Rejection = Infallible;

    async fn from_message_if_any(context: &mut Context<'_>, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(context.identity().cloned().map(Self))
    }
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
    async fn without_an_identity_there_is_no_user_before_the_session() {
        let mut world = World::connect(&[]);
        let optional = async |user: Option<User>, identity: Option<Identity<String>>| (user, identity);
        assert_eq!(world.call(optional).await.unwrap(), (None, None));
        assert!(!world.call(async |_: User| ()).await.unwrap_err().is_fault());
        assert!(world.call(async |_: Identity<String>| ()).await.unwrap_err().is_fault());
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
