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

/// A message that a handler wants to be sent: one of its [`Replies`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    target: ReplyTarget,
    destination: ByteString,
    headers: Headers,
    body: Bytes,
}

impl Reply {
    /// Whom it is for.
    #[must_use]
    pub fn target(&self) -> &ReplyTarget {
        &self.target
    }

    /// The destination: the whole for [`ReplyTarget::Subscribers`], and otherwise without the user prefix, such as
    /// `/queue/news`.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// The headers of the reply and of its payload, `content-type` among them.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }

    /// The body, serialised.
    #[must_use]
    pub fn body(&self) -> &Bytes {
        &self.body
    }

    /// Sends it. The error is one of the handler, whose reply it is.
    pub(crate) fn send(
        self,
        messenger: &Messenger,
        session: &Session,
    ) -> Outcome<Result<Published, SendError>> {
        let Self { target, destination, headers, body } = self;
        let shown = match target {
            ReplyTarget::Subscribers => destination.clone(),
            _ => messenger.shown(&destination),
        };
        let target = match target {
            ReplyTarget::Subscribers => Target::of_destination(destination),
            ReplyTarget::User(name) => Target::User { name, destination },
            ReplyTarget::AskingUser => match session.user() {
                Some(name) => Target::User { name: name.clone(), destination },
                None => Target::Session { id: session.id(), destination },
            },
            ReplyTarget::AskingSession => Target::Session { id: session.id(), destination },
        };
        if matches!(target, Target::Session { .. }) && session.is_closed() {
            // The broker would take a session that it does not know for one of another node.
            return Outcome::ready(Ok(Published::default()));
        }
        messenger.publish(target, Message::new(shown, &headers, body))
    }
}

/// Whom a reply is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ReplyTarget {
    /// All who have subscribed to the destination.
    Subscribers,
    /// The user who has asked, in all of his sessions. A session without a user is its own user.
    AskingUser,
    /// The user with this name, in all of his sessions.
    User(ByteString),
    /// The asking session only.
    AskingSession,
}

/// The replies of a handler, in the order in which they are sent.
///
/// [`IntoReplies`] puts them there. A test that has called a handler sees by them what would be sent, whatever type it
/// returns:
///
/// ```
/// use axum_stomp::{Replies, ReplyTarget, SendTo, SendToUser};
///
/// async fn say(text: String) -> (SendTo<String>, SendToUser<&'static str>) {
///     (SendTo::new("/topic/chat", text), SendToUser::new("/queue/chat", "sent").this_session_only())
/// }
///
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() {
/// let replies = Replies::of(say("hello".to_owned()).await).unwrap();
/// let [to_all, to_sender] = &*replies.into_vec() else { panic!("two replies") };
/// assert_eq!((to_all.destination(), &to_all.body()[..]), ("/topic/chat", &b"hello"[..]));
/// assert_eq!(to_sender.target(), &ReplyTarget::AskingSession);
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Replies(pub(crate) Vec<Reply>);

impl Replies {
    /// No replies.
    #[must_use]
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Those of what a handler returns.
    ///
    /// # Errors
    /// If a payload cannot be serialised, or `replies` is an error.
    pub fn of(replies: impl IntoReplies) -> Result<Self, BoxError> {
        let mut all = Self::new();
        all.push(replies)?;
        Ok(all)
    }

    /// Adds replies behind the others.
    ///
    /// # Errors
    /// If a payload cannot be serialised, or `replies` is an error.
    pub fn push(&mut self, replies: impl IntoReplies) -> Result<(), BoxError> {
        replies.into_replies(self)
    }

    /// The replies, in their order.
    pub fn iter(&self) -> std::slice::Iter<'_, Reply> {
        self.0.iter()
    }

    /// The replies, in their order.
    #[must_use]
    pub fn into_vec(self) -> Vec<Reply> {
        self.0
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

impl<'a> IntoIterator for &'a Replies {
    type Item = &'a Reply;
    type IntoIter = std::slice::Iter<'a, Reply>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

impl IntoIterator for Replies {
    type Item = Reply;
    type IntoIter = std::vec::IntoIter<Reply>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.into_iter()
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
#[derive(Debug, Clone, PartialEq, Eq)]
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
        Self { target: ReplyTarget::AskingUser, send: SendTo::new(destination, payload) }
    }

    /// The message goes to the asking session only.
    pub fn this_session_only(mut self) -> Self {
        self.target = ReplyTarget::AskingSession;
        self
    }

    /// The message goes to another user, in all of his sessions. Of a session without a user, its id is the name.
    pub fn user(mut self, name: impl Into<ByteString>) -> Self {
        self.target = ReplyTarget::User(name.into());
        self
    }

    /// Adds a header, in place of any other with this name: also of the payload's `content-type`.
    pub fn header(mut self, name: impl Into<ByteString>, value: impl Into<ByteString>) -> Self {
        self.send = self.send.header(name, value);
        self
    }
}

impl<P> SendTo<P> {
    /// The destination.
    #[must_use]
    pub fn destination(&self) -> &str {
        &self.destination
    }

    /// What is sent, as the handler has given it.
    #[must_use]
    pub fn payload(&self) -> &P {
        &self.payload
    }

    /// What is sent, as the handler has given it.
    #[must_use]
    pub fn into_payload(self) -> P {
        self.payload
    }

    /// The headers that have been added by [`header`](Self::header): those of the payload are not among them.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        &self.headers
    }
}

impl<P> SendToUser<P> {
    /// Whom it is for.
    #[must_use]
    pub fn target(&self) -> &ReplyTarget {
        &self.target
    }

    /// The destination, without the user prefix.
    #[must_use]
    pub fn destination(&self) -> &str {
        self.send.destination()
    }

    /// What is sent, as the handler has given it.
    #[must_use]
    pub fn payload(&self) -> &P {
        self.send.payload()
    }

    /// What is sent, as the handler has given it.
    #[must_use]
    pub fn into_payload(self) -> P {
        self.send.into_payload()
    }

    /// The headers that have been added by [`header`](Self::header): those of the payload are not among them.
    #[must_use]
    pub fn headers(&self) -> &Headers {
        self.send.headers()
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
        replies.0.push(self.into_reply(ReplyTarget::Subscribers)?);
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
        let all = Replies::of(replies).map_err(|error| error.to_string())?;
        let show =
            |reply: &Reply| format!("{} {}", reply.destination(), String::from_utf8_lossy(reply.body()));
        Ok(all.iter().map(show).collect())
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
    fn what_a_handler_returns_can_be_read() {
        let to_all = SendTo::new("/topic/a", Json(1)).header("b", "c");
        assert_eq!((to_all.destination(), to_all.payload().0), ("/topic/a", 1));
        assert_eq!(to_all.headers().get("b"), Some("c"));
        assert_eq!(SendTo::new("/topic/a", "x"), SendTo::new("/topic/a", "x"));
        assert_ne!(SendTo::new("/topic/a", "x"), SendTo::new("/topic/a", "x").header("b", "c"));
        let to_user = SendToUser::new("/queue/a", "x").header("b", "c");
        assert_eq!(to_user.target(), &ReplyTarget::AskingUser);
        assert_eq!((to_user.destination(), *to_user.payload()), ("/queue/a", "x"));
        assert_eq!(to_user.headers().get("b"), Some("c"));
        let to_user = to_user.user("bert");
        assert_eq!(to_user.target(), &ReplyTarget::User("bert".into()));
        assert_eq!(to_user.clone().this_session_only().target(), &ReplyTarget::AskingSession);
        assert_eq!(to_user.clone().into_payload(), "x");
        let replies = Replies::of((to_all, to_user)).unwrap();
        let [one, two] = &*replies.clone().into_vec() else { panic!("{replies:?}") };
        assert_eq!((one.target(), &one.body()[..]), (&ReplyTarget::Subscribers, &b"1"[..]));
        assert_eq!(
            one.headers().iter().collect::<Vec<_>>(),
            [("content-type", "application/json"), ("b", "c")]
        );
        assert_eq!((two.target(), two.destination()), (&ReplyTarget::User("bert".into()), "/queue/a"));
        assert_eq!(replies.iter().count(), replies.into_iter().count());
    }

    #[test]
    fn headers_go_before_those_of_the_payload() {
        let send =
            SendTo::new("/topic/a", Json(1)).header("content-type", "a").header("b", "1").header("b", "2");
        let reply = send.into_reply(ReplyTarget::Subscribers).unwrap();
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
        // One that has ended is of no other node.
        let ended = session(None);
        ended.close("over");
        let to_ended = reply().send.into_reply(ReplyTarget::AskingSession).unwrap();
        assert_eq!(to_ended.send(&world.messenger, &ended).await.unwrap(), Published::default());
        assert!(world.broker.published().is_empty());
        let not_served = SendTo::new("/app/a", "").into_reply(ReplyTarget::Subscribers).unwrap();
        assert!(not_served.send(&world.messenger, &session(None)).await.is_err());
    }
}
