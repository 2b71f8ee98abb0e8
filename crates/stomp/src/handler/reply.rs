//! What a handler of frames returns.

use axum::BoxError;
use bytes::Bytes;
use bytestring::ByteString;
use stomp_codec::Headers;

use crate::{
    broker::{Published, Target},
    message::Message,
    messenger::{Messenger, SendError},
    outcome::Outcome,
    payload::{Encoded, Payload},
    session::Session,
};

/// A message that a handler wants to be sent.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) target: ReplyTarget,
    /// Of [`ReplyTarget::Destination`] the whole, and otherwise without the user prefix.
    pub(crate) destination: ByteString,
    pub(crate) headers: Headers,
    pub(crate) body: Bytes,
}

impl Reply {
    /// Sends it. The error is one of the handler, whose reply it is.
    pub(crate) fn send(
        self,
        messenger: &Messenger,
        session: &Session,
    ) -> Outcome<Result<Published, SendError>> {
        let Self { target, destination, headers, body } = self;
        let shown = match target {
            ReplyTarget::Destination => destination.clone(),
            ReplyTarget::User(_) | ReplyTarget::Session => messenger.shown(&destination),
        };
        let target = match target {
            ReplyTarget::Destination => Target::of_destination(destination),
            ReplyTarget::User(Some(name)) => Target::User { name, destination },
            ReplyTarget::User(None) => match session.user() {
                Some(name) => Target::User { name: name.clone(), destination },
                None => Target::Session { id: session.id(), destination },
            },
            ReplyTarget::Session => Target::Session { id: session.id(), destination },
        };
        messenger.publish(target, Message::new(shown, &headers, body))
    }
}

/// Where a reply goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum ReplyTarget {
    /// To all who have subscribed.
    Destination,
    /// To all sessions of a user: of the asking one, or of the one with this name.
    User(Option<ByteString>),
    /// To the asking session.
    Session,
}

/// The replies of a handler, in the order in which they are sent.
///
/// [`IntoReplies`] puts them there.
#[derive(Debug, Clone, Default)]
pub struct Replies(pub(crate) Vec<Reply>);

impl Replies {
    /// No replies.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds replies behind the others.
    ///
    /// # Errors
    /// If a payload cannot be serialised, or `replies` is an error.
    pub fn push(&mut self, replies: impl IntoReplies) -> Result<(), BoxError> {
        replies.into_replies(self)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// What a handler of messages may return.
///
/// | type | what happens |
/// |---|---|
/// | `()` | nothing more |
/// | [`SendTo`] | a message to a destination |
/// | [`SendToUser`] | a message to the user who has asked, or to another |
/// | `Option<R>`, `Vec<R>`, `[R; N]`, tuples of up to eight | those in it, in their order |
/// | `Result<R, E>` with an `E: Into<BoxError>` | `R`, or a [failure](crate::HandlerError) |
///
/// There is no reply to a destination that is not named. If one payload cannot be serialised, the handler has failed,
/// and no reply is sent.
///
/// ```
/// use axum::{BoxError, Json};
/// use axum_stomp::{Path, SendTo, SendToUser};
///
/// type Echo = (SendTo<Json<String>>, SendToUser<&'static str>);
///
/// async fn chat(Path(room): Path<String>, Json(line): Json<String>) -> Result<Option<Echo>, BoxError> {
///     if line.is_empty() {
///         return Ok(None);
///     }
///     let to_all = SendTo::new(format!("/topic/rooms/{room}"), Json(line));
///     Ok(Some((to_all, SendToUser::new("/queue/chat", "sent").this_session_only())))
/// }
/// ```
///
/// Implement it for a type of your own by way of these:
///
/// ```
/// # use axum::{BoxError, Json};
/// use axum_stomp::{IntoReplies, Replies, SendTo};
///
/// struct Price(u32);
///
/// impl IntoReplies for Price {
///     fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
///         replies.push(SendTo::new("/topic/prices", Json(self.0)))
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler of STOMP messages cannot return `{Self}`",
    label = "these are no replies",
    note = "return `()`, `SendTo`, `SendToUser`, or an `Option`, `Vec` or tuple of these, or `Result<_, E>` where \
            `E: Into<axum::BoxError>`",
    note = "a reply names its destination: `SendTo::new(\"/topic/prices\", Json(price))`"
)]
pub trait IntoReplies {
    /// Adds the replies behind those that are there.
    ///
    /// # Errors
    /// If a payload cannot be serialised, or the handler has failed.
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError>;
}

/// A message to all who have subscribed to a destination, such as `/topic/prices`.
#[derive(Debug, Clone)]
#[must_use = "a handler returns it"]
pub struct SendTo<P> {
    destination: ByteString,
    payload: P,
    headers: Headers,
}

impl<P: Payload> SendTo<P> {
    /// A message to a destination of a broker.
    ///
    /// If no broker serves it, the handler has failed.
    pub fn new(destination: impl Into<ByteString>, payload: P) -> Self {
        Self { destination: destination.into(), payload, headers: Headers::new() }
    }

    /// Adds a header, in place of any other with this name: also of the payload's `content-type`.
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.headers.insert(name, value);
        self
    }
}

/// A message to a user: to the one who has asked, in all of his sessions.
///
/// His sessions have subscribed to it with the user prefix: for `/queue/news` to `/user/queue/news`.
#[derive(Debug, Clone)]
#[must_use = "a handler returns it"]
pub struct SendToUser<P> {
    target: ReplyTarget,
    send: SendTo<P>,
}

impl<P: Payload> SendToUser<P> {
    /// A message to the user who has asked, in all of his sessions. A session without a user is its own user.
    ///
    /// The destination is without the user prefix, such as `/queue/news`.
    pub fn new(destination: impl Into<ByteString>, payload: P) -> Self {
        Self { target: ReplyTarget::User(None), send: SendTo::new(destination, payload) }
    }

    /// The message goes to the asking session only.
    pub fn this_session_only(mut self) -> Self {
        self.target = ReplyTarget::Session;
        self
    }

    /// The message goes to another user, in all of his sessions. Of a session without a user, its id is the name.
    pub fn user(mut self, name: impl Into<ByteString>) -> Self {
        self.target = ReplyTarget::User(Some(name.into()));
        self
    }

    /// Adds a header, in place of any other with this name: also of the payload's `content-type`.
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.send = self.send.header(name, value);
        self
    }
}

impl<P: Payload> SendTo<P> {
    fn into_reply(self, target: ReplyTarget) -> Result<Reply, BoxError> {
        let encoded = self.payload.encode()?.with_headers(&self.headers);
        Ok(Reply { target, destination: self.destination, headers: encoded.headers, body: encoded.body })
    }
}

impl<P: Payload> IntoReplies for SendTo<P> {
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
        replies.0.push(self.into_reply(ReplyTarget::Destination)?);
        Ok(())
    }
}

impl<P: Payload> IntoReplies for SendToUser<P> {
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
        replies.0.push(self.send.into_reply(self.target)?);
        Ok(())
    }
}

impl IntoReplies for Replies {
    fn into_replies(mut self, replies: &mut Replies) -> Result<(), BoxError> {
        replies.0.append(&mut self.0);
        Ok(())
    }
}

impl<R: IntoReplies> IntoReplies for Option<R> {
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
        self.map_or(Ok(()), |each| each.into_replies(replies))
    }
}

impl<R: IntoReplies> IntoReplies for Vec<R> {
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
        self.into_iter().try_for_each(|each| each.into_replies(replies))
    }
}

impl<R: IntoReplies, const N: usize> IntoReplies for [R; N] {
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
        self.into_iter().try_for_each(|each| each.into_replies(replies))
    }
}

impl<R: IntoReplies, E: Into<BoxError>> IntoReplies for Result<R, E> {
    fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
        self.map_err(Into::into)?.into_replies(replies)
    }
}

macro_rules! tuples {
    ($(($($reply:ident)*))*) => {
        $(
            #[allow(non_snake_case, unused_variables, reason = "the macro serves the empty tuple too")]
            impl<$($reply: IntoReplies),*> IntoReplies for ($($reply,)*) {
                fn into_replies(self, replies: &mut Replies) -> Result<(), BoxError> {
                    let ($($reply,)*) = self;
                    $($reply.into_replies(replies)?;)*
                    Ok(())
                }
            }
        )*
    };
}

tuples!(() (A) (A B) (A B C) (A B C D) (A B C D E) (A B C D E F) (A B C D E F G) (A B C D E F G H));

/// What a handler of subscriptions may return: the one answer to that subscription.
///
/// | type | answer |
/// |---|---|
/// | a [`Payload`], such as `Json<T>`, `String`, `&'static str`, `Bytes` | one message with it |
/// | `()` | none |
/// | `Option<A>` | `A`, or none |
/// | `Result<A, E>` with an `E: Into<BoxError>` | `A`, or a [failure](crate::HandlerError) |
///
/// [`Payload::with_header`] adds headers.
///
/// ```
/// # use axum_stomp::{Payload, Routes};
/// async fn hello() -> impl Payload + use<> {
///     "hello".with_header("language", "en")
/// }
/// # let _ = Routes::<()>::new().subscribe("/hello", hello);
/// ```
#[diagnostic::on_unimplemented(
    message = "a handler of STOMP subscriptions cannot return `{Self}`",
    label = "this is no answer",
    note = "return a payload, such as `axum::Json<T>` with a `T: Serialize`, `String`, `&'static str` or `Bytes`, or `()`, \
            or an `Option` or `Result<_, E>` of one where `E: Into<axum::BoxError>`"
)]
pub trait IntoAnswer {
    /// Makes the answer.
    ///
    /// # Errors
    /// If the payload cannot be serialised, or the handler has failed.
    fn into_answer(self) -> Result<Option<Encoded>, BoxError>;
}

impl<P: Payload> IntoAnswer for P {
    fn into_answer(self) -> Result<Option<Encoded>, BoxError> {
        self.encode().map(Some)
    }
}

impl IntoAnswer for () {
    fn into_answer(self) -> Result<Option<Encoded>, BoxError> {
        Ok(None)
    }
}

impl<A: IntoAnswer> IntoAnswer for Option<A> {
    fn into_answer(self) -> Result<Option<Encoded>, BoxError> {
        self.map_or(Ok(None), IntoAnswer::into_answer)
    }
}

impl<A: IntoAnswer, E: Into<BoxError>> IntoAnswer for Result<A, E> {
    fn into_answer(self) -> Result<Option<Encoded>, BoxError> {
        self.map_err(Into::into)?.into_answer()
    }
}

#[cfg(test)]
mod tests {
    use axum::Json;

    use super::{
        super::testing::{World, session},
        *,
    };

    fn replies(replies: impl IntoReplies) -> Result<Vec<String>, String> {
        let mut all = Replies::new();
        all.push(replies).map_err(|error| error.to_string())?;
        let show = |reply: &Reply| format!("{} {}", reply.destination, String::from_utf8_lossy(&reply.body));
        Ok(all.0.iter().map(show).collect())
    }

    #[test]
    fn replies_are_in_their_order() {
        let a = || SendTo::new("/topic/a", "1");
        let b = || SendToUser::new("/queue/b", Json([2]));
        assert_eq!(replies(()), Ok(vec![]));
        assert_eq!(replies(None::<SendTo<String>>), Ok(vec![]));
        let both = vec!["/topic/a 1".to_owned(), "/queue/b [2]".to_owned()];
        assert_eq!(replies((a(), b())), Ok(both.clone()));
        assert_eq!(replies((vec![a()], (Some(b()), ()))), Ok(both));
        assert_eq!(replies([a(), a()]).unwrap().len(), 2);
        assert_eq!(replies((a(), a(), a(), a(), a(), a(), a(), a())).unwrap().len(), 8);
        assert_eq!(replies(Ok::<_, &str>(Some(a()))).unwrap().len(), 1);
        assert_eq!(replies(Err::<SendTo<String>, _>("no")), Err("no".to_owned()));
        let mut all = Replies::new();
        all.push(a()).unwrap();
        assert_eq!(replies((all, b())).unwrap().len(), 2);
    }

    #[test]
    fn headers_go_before_those_of_the_payload() {
        let send =
            SendTo::new("/topic/a", Json(1)).header("content-type", "a").header("b", "1").header("b", "2");
        let reply = send.into_reply(ReplyTarget::Destination).unwrap();
        assert_eq!(reply.headers.iter().collect::<Vec<_>>(), [("content-type", "a"), ("b", "2")]);
    }

    #[test]
    fn answers() {
        let body = |answer: Result<Option<Encoded>, BoxError>| answer.unwrap().map(|encoded| encoded.body);
        assert_eq!(body("a".into_answer()).unwrap(), "a");
        assert_eq!(body(Json(1).into_answer()).unwrap(), "1");
        assert_eq!(body(Some("a".with_header("b", "c")).into_answer()).unwrap(), "a");
        assert_eq!(body(().into_answer()), None);
        assert_eq!(body(Ok::<_, BoxError>(None::<String>).into_answer()), None);
        assert_eq!(Err::<(), _>("no").into_answer().unwrap_err().to_string(), "no");
    }

    #[tokio::test]
    async fn replies_are_sent_to_whom_they_are_for() {
        let world = World::send("");
        let sent = async |reply: SendToUser<&'static str>, user| {
            let session = session(user);
            let reply = reply.send.into_reply(reply.target).unwrap();
            reply.send(&world.messenger, &session).await.unwrap();
            let (target, message) = world.broker.published().remove(0);
            assert_eq!(message.destination(), "/user/queue/a");
            match target {
                Target::User { name, destination } => format!("{name} {destination}"),
                Target::Session { id, destination } => {
                    assert_eq!(id, session.id());
                    format!("this session {destination}")
                }
                Target::Destination(_) | Target::Temporary(_) => panic!("{target:?}"),
            }
        };
        let reply = || SendToUser::new("/queue/a", "");
        assert_eq!(sent(reply(), Some("anna")).await, "anna /queue/a");
        assert_eq!(sent(reply(), None).await, "this session /queue/a");
        assert_eq!(sent(reply().this_session_only(), Some("anna")).await, "this session /queue/a");
        assert_eq!(sent(reply().user("bert"), Some("anna")).await, "bert /queue/a");
        let not_served = SendTo::new("/app/a", "").into_reply(ReplyTarget::Destination).unwrap();
        assert!(not_served.send(&world.messenger, &session(None)).await.is_err());
    }
}
