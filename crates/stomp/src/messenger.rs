//! Sending from anywhere.
//!
//! Imports: broker, message, outbox, outcome, payload.

use std::{error::Error, fmt, sync::Arc};

use axum::BoxError;
use bytestring::ByteString;

use crate::{
    broker::{Broker, BrokerError, Published, REPLY_PREFIX, Target},
    message::Message,
    outbox::SessionId,
    outcome::Outcome,
    payload::Payload,
};

/// Sends messages to destinations and users, from anywhere.
///
/// Clones send to the same clients. A handler may have it as an [argument](crate::FromMessage).
///
/// Each method has sent the message when it returns, in the order of the calls: what it returns is awaited by whoever
/// wants to know that the broker has accepted the message, and may be dropped. Nobody there is no error.
///
/// ```
/// # use axum::Json;
/// # use axum_stomp::{Messenger, Payload, SendError};
/// async fn tick(messenger: Messenger, price: u32) -> Result<(), SendError> {
///     messenger.send("/topic/prices", Json(price)).await?;
///     messenger.send_to_user("anna", "/queue/news", "sold".with_header("priority", "9")).await?;
///     Ok(())
/// }
/// ```
#[derive(Clone)]
pub struct Messenger {
    broker: Arc<dyn Broker>,
    user_prefix: ByteString,
}

impl Messenger {
    /// `user_prefix` has no slash at its end, such as `/user`.
    pub(crate) fn new(broker: Arc<dyn Broker>, user_prefix: ByteString) -> Self {
        Self { broker, user_prefix }
    }

    /// Sends to all who have subscribed to a destination of a broker, such as `/topic/prices`.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send(
        &self,
        destination: impl Into<ByteString>,
        payload: impl Payload,
    ) -> Outcome<Result<Published, SendError>> {
        let destination = destination.into();
        self.encode_and_publish(destination.clone(), Target::of_destination(destination), payload)
    }

    /// Sends to all sessions of a user that have subscribed to a destination of his: for `/queue/news` they have
    /// subscribed to `/user/queue/news`, which is the `destination` that they see.
    ///
    /// For a session without a user, its id is the name.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_to_user(
        &self,
        name: impl Into<ByteString>,
        destination: impl Into<ByteString>,
        payload: impl Payload,
    ) -> Outcome<Result<Published, SendError>> {
        let (name, destination) = (name.into(), destination.into());
        self.encode_and_publish(self.shown(&destination), Target::User { name, destination }, payload)
    }

    /// Sends to one session, if it has subscribed to that destination of its user: for `/queue/news` to
    /// `/user/queue/news`.
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn send_to_session(
        &self,
        id: SessionId,
        destination: impl Into<ByteString>,
        payload: impl Payload,
    ) -> Outcome<Result<Published, SendError>> {
        let destination = destination.into();
        self.encode_and_publish(self.shown(&destination), Target::Session { id, destination }, payload)
    }

    /// Sends a message that has been made before: one that many get need not be made for each.
    ///
    /// The `destination` that clients see is that of the message, whatever the target is.
    ///
    /// ```
    /// # use std::sync::Arc;
    /// # use axum_stomp::{Message, Messenger, broker::Target};
    /// # use stomp_codec::Headers;
    /// fn tell(messenger: &Messenger, names: Vec<String>) {
    ///     let message = Arc::new(Message::new("/user/queue/news", &Headers::new(), "sold"));
    ///     for name in names {
    ///         let target = Target::User { name: name.into(), destination: "/queue/news".into() };
    ///         messenger.publish(target, message.clone());
    ///     }
    /// }
    /// ```
    ///
    /// # Errors
    /// See [`SendError`].
    pub fn publish(
        &self,
        target: Target,
        message: impl Into<Arc<Message>>,
    ) -> Outcome<Result<Published, SendError>> {
        if let Err(error) = self.check(&target) {
            return Outcome::ready(Err(error));
        }
        self.broker.publish(target, message.into()).map(|result| result.map_err(SendError::Broker))
    }

    fn encode_and_publish(
        &self,
        shown: ByteString,
        target: Target,
        payload: impl Payload,
    ) -> Outcome<Result<Published, SendError>> {
        match payload.encode() {
            Ok(encoded) => self.publish(target, Message::new(shown, &encoded.headers, encoded.body)),
            Err(error) => Outcome::ready(Err(SendError::Payload(error))),
        }
    }

    /// What the subscribers of a user's destination see.
    pub(crate) fn shown(&self, destination: &str) -> ByteString {
        [&*self.user_prefix, destination].concat().into()
    }

    fn check(&self, target: &Target) -> Result<(), SendError> {
        match target {
            // Whoever asks for a reply names where it goes: it is to be a queue of his.
            Target::Temporary(name) if name.starts_with(REPLY_PREFIX) => Ok(()),
            Target::Destination(destination) if self.broker.has(destination) => Ok(()),
            Target::Destination(destination) | Target::Temporary(destination) => {
                Err(SendError::NotServed(destination.clone()))
            }
            Target::User { destination, .. } | Target::Session { destination, .. } => {
                let within = destination.strip_prefix(&*self.user_prefix);
                if !destination.starts_with('/') || within.is_some_and(|rest| rest.starts_with('/')) {
                    return Err(SendError::NotOfUser(destination.clone()));
                }
                Ok(())
            }
        }
    }
}

impl fmt::Debug for Messenger {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Messenger").finish_non_exhaustive()
    }
}

/// Why a message has not been sent.
#[derive(Debug)]
#[non_exhaustive]
pub enum SendError {
    /// The payload cannot be serialised.
    Payload(BoxError),
    /// No broker serves this destination.
    NotServed(ByteString),
    /// The destination of a user's is to be given without the prefix: `/queue/news`, and not `/user/queue/news`.
    NotOfUser(ByteString),
    /// The broker has refused it, or cannot be reached.
    Broker(BrokerError),
}

impl fmt::Display for SendError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Payload(_) => f.write_str("the payload cannot be serialised"),
            Self::NotServed(destination) => write!(
                f,
                "no broker serves {destination:?}: to send to a user, call `send_to_user`; handlers are no destinations"
            ),
            Self::NotOfUser(destination) => write!(
                f,
                "{destination:?} is not a user's destination without the prefix, such as \"/queue/news\""
            ),
            Self::Broker(_) => f.write_str("the broker has not accepted the message"),
        }
    }
}

impl Error for SendError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Payload(error) => Some(&**error),
            Self::Broker(error) => Some(error),
            Self::NotServed(_) | Self::NotOfUser(_) => None,
        }
    }
}

#[cfg(test)]
pub(crate) mod test {
    use std::sync::Mutex;

    use super::*;
    use crate::{broker::Connection, outbox::Subscriber};

    /// A broker of `/topic/…` that notes what is published, and answers later if a test asks for it.
    #[derive(Debug, Default)]
    pub(crate) struct FakeBroker {
        pub(super) published: Mutex<Vec<(Target, Arc<Message>)>>,
        pub(crate) is_late: bool,
        pub(crate) is_down: bool,
    }

    impl FakeBroker {
        /// What has been published since the last call.
        pub(crate) fn published(&self) -> Vec<(Target, Arc<Message>)> {
            self.published.lock().unwrap().drain(..).collect()
        }
    }

    impl Broker for FakeBroker {
        fn has(&self, destination: &str) -> bool {
            destination.starts_with("/topic/")
        }

        fn connect(&self, _: Subscriber) -> Outcome<Result<Box<dyn Connection>, BrokerError>> {
            unreachable!("only messages are sent")
        }

        fn publish(&self, target: Target, message: Arc<Message>) -> Outcome<Result<Published, BrokerError>> {
            if self.is_down {
                return Outcome::ready(Err(BrokerError::Unavailable("down".into())));
            }
            self.published.lock().unwrap().push((target, message));
            let published = Published { delivered: 1, ..Published::default() };
            if self.is_late {
                Outcome::later(async move { Ok(published) })
            } else {
                Outcome::ready(Ok(published))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::Json;
    use stomp_codec::Headers;

    use super::{test::FakeBroker, *};

    fn messenger(broker: FakeBroker) -> (Messenger, Arc<FakeBroker>) {
        let broker = Arc::new(broker);
        (Messenger::new(broker.clone(), "/user".into()), broker)
    }

    #[tokio::test]
    async fn messages_are_sent_when_the_method_returns() {
        for is_late in [false, true] {
            let (messenger, broker) = messenger(FakeBroker { is_late, ..FakeBroker::default() });
            let outcome = messenger.send("/topic/a", Json([1, 2]));
            let published = broker.published();
            assert_eq!(published[0].0, Target::Destination("/topic/a".into()));
            let message = &published[0].1;
            assert_eq!((message.destination(), &message.body()[..]), ("/topic/a", &b"[1,2]"[..]));
            assert_eq!(message.headers().get("content-type"), Some("application/json"));
            assert_eq!(outcome.now().is_ok(), !is_late);
            assert_eq!(messenger.send("/topic/a", "b").await.unwrap().delivered, 1);
        }
    }

    #[tokio::test]
    async fn users_see_the_prefix_and_the_broker_does_not() {
        let (messenger, broker) = messenger(FakeBroker::default());
        let id = SessionId::random();
        messenger.send_to_user("anna", "/queue/x", "a".with_header("k", "v")).await.unwrap();
        messenger.send_to_session(id, "/queue/x", "b").await.unwrap();
        let published = broker.published();
        let destination = ByteString::from_static("/queue/x");
        assert_eq!(
            published.iter().map(|(target, _)| target).collect::<Vec<_>>(),
            [
                &Target::User { name: "anna".into(), destination: destination.clone() },
                &Target::Session { id, destination },
            ],
        );
        assert!(published.iter().all(|(_, message)| message.destination() == "/user/queue/x"));
        assert_eq!(published[0].1.headers().get("k"), Some("v"));
    }

    #[tokio::test]
    async fn what_cannot_be_sent_is_said() {
        struct Never;

        impl Payload for Never {
            fn encode(self) -> Result<crate::payload::Encoded, BoxError> {
                Err("never".into())
            }
        }

        let (messenger, broker) = messenger(FakeBroker::default());
        let text = |result: Result<Published, SendError>| {
            let error = result.unwrap_err();
            let source = error.source().map(ToString::to_string).unwrap_or_default();
            format!("{error}|{source}")
        };
        assert_eq!(text(messenger.send("/topic/a", Never).await), "the payload cannot be serialised|never");
        let not_served = text(messenger.send("/user/a/queue/x", "").await);
        assert!(not_served.starts_with("no broker serves \"/user/a/queue/x\""), "{not_served}");
        for destination in ["/user/queue/x", "queue/x", ""] {
            let text = text(messenger.send_to_user("a", destination, "").await);
            assert!(text.contains("without the prefix"), "{text}");
        }
        assert!(messenger.send_to_user("a", "/users/x", "").await.is_ok());
        // Whoever asks for a reply names where it goes.
        for destination in ["/topic/a", "/queue/a", ""] {
            let raw = Message::new(destination, &Headers::new(), "");
            let text = text(messenger.publish(Target::Temporary(destination.into()), raw).await);
            assert!(text.starts_with("no broker serves"), "{text}");
        }
        let raw = Message::new("/a", &Headers::new(), "");
        assert!(messenger.publish(Target::Destination("/a".into()), raw).await.is_err());
        assert_eq!(broker.published().len(), 1);
        let (messenger, _) = self::messenger(FakeBroker { is_down: true, ..FakeBroker::default() });
        let down = text(messenger.send("/topic/a", "").await);
        assert_eq!(down, "the broker has not accepted the message|the broker cannot be reached");
    }
}
