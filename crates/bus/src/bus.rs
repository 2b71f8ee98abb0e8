//! What a driver does: bytes to the other nodes, and from them.
//!
//! Imports: connect_error, status, streams, subject.

use std::{
    any::Any,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

use bytes::Bytes;
use tokio::sync::watch;

use crate::{
    connect_error::ConnectError,
    status::{Stats, Status},
    streams::{BoxFuture, StreamError, Streams},
    subject::Subject,
};

/// What gets the messages of a subscription.
///
/// A driver calls it for one message after the other, under no lock of its own. It must not wait: while it runs, what
/// comes after it waits, and beyond a bound is lost. It may publish, subscribe and end subscriptions.
pub type Receiver = Arc<dyn Fn(Bytes) + Send + Sync>;

/// One node's connection to a bus that all nodes share: a driver for an engine such as NATS or Redis, or the
/// [one in process](crate::InProcess).
///
/// # What a driver guarantees
///
/// - **At most once.** A message may be lost: while a connection is away, and where a receiver is too slow. It is not
///   delivered twice.
/// - **Order** for each publisher and subject. Messages of several publishers, or with several subjects, may overtake
///   each other.
/// - A message that is taken for publishing reaches each subscription that was [ready](Subscription::ready) before,
///   unless it is lost. Whether a node gets what it publishes itself is left open; a [`Port`](crate::Port) drops it.
/// - It connects again by itself, without an end, and then the subscriptions are there again.
/// - Memory is bounded: what waits to be sent is refused beyond a bound, and what waits for a receiver is lost and
///   counted.
///
/// The module `kit` has the tests of all this.
///
/// # What a driver leaves to others
///
/// It neither numbers messages nor looks into them: a [`Port`](crate::Port) counts what is lost.
pub trait Bus: fmt::Debug + Send + Sync + 'static {
    /// Publishes a message, without waiting: it is taken to be sent, or refused.
    ///
    /// The driver puts it into a bounded queue, and calls nothing of the caller's meanwhile.
    ///
    /// # Errors
    ///
    /// The message has not been sent to anyone, and will not be.
    fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError>;

    /// Waits until the engine has each message that was taken for publishing before, or that message is lost. A bus may be
    /// dropped then, or the process end.
    ///
    /// It may wait for as long as the driver waits for an engine that does not answer: whoever calls it sets a limit.
    /// Entries of [streams](Self::streams) are awaited by what appending returns.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped: no message is lost by that.
    fn flush(&self) -> BoxFuture<'_, ()>;

    /// Subscribes to a subject. Dropping the [`Subscription`] ends it.
    ///
    /// Subscriptions to the same subject are each on their own: each gets every message.
    fn subscribe(&self, subject: &Subject, receiver: Receiver) -> Subscription;

    /// Whether the bus reaches the other nodes, now and at each change.
    fn status(&self) -> watch::Receiver<Status>;

    /// The reason why the last attempt to connect has failed, if it has: what to show an operator while the bus is
    /// reconnecting, which it does for all reasons alike, since wrong credentials may be put right at the engine.
    fn failure(&self) -> Option<ConnectError> {
        None
    }

    /// What has been counted since the bus was made.
    fn stats(&self) -> Stats;

    /// The most bytes that a message may have.
    fn max_payload(&self) -> usize;

    /// The streams of the engine, if it has them.
    fn streams(&self) -> Option<&dyn Streams> {
        None
    }
}

/// A subscription to a subject, which ends when this is dropped.
///
/// A receiver is not called any more then, but for a call that is already running on another thread.
#[must_use = "dropping it ends the subscription"]
pub struct Subscription {
    /// `None` once it has been answered. Never locked: what is in a mutex can be shared among threads.
    ready: Mutex<Option<BoxFuture<'static, Result<(), SubscribeError>>>>,
    outcome: Result<(), SubscribeError>,
    _guard: Box<dyn Any + Send + Sync>,
}

impl Subscription {
    /// For drivers: a subscription that exists as long as `guard` does, and receives from when `ready` completes.
    pub fn new(
        ready: impl Future<Output = Result<(), SubscribeError>> + Send + 'static,
        guard: impl Send + Sync + 'static,
    ) -> Self {
        Self { ready: Mutex::new(Some(Box::pin(ready))), outcome: Ok(()), _guard: Box::new(guard) }
    }

    /// Waits until the subscription is there: each message that any node publishes from then on reaches it, unless it
    /// is lost. Messages may reach it earlier.
    ///
    /// While the bus is disconnected, it waits. The answer is kept: later calls give the same at once.
    ///
    /// # Errors
    ///
    /// If the engine refuses the subscription.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped and asked for anew.
    pub async fn ready(&mut self) -> Result<(), SubscribeError> {
        let ready = self.ready.get_mut().unwrap_or_else(PoisonError::into_inner);
        if let Some(future) = ready {
            self.outcome = future.await;
            *ready = None;
        }
        self.outcome.clone()
    }
}

impl fmt::Debug for Subscription {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Subscription").finish_non_exhaustive()
    }
}

/// The reason why a message was not taken for publishing.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PublishError {
    /// The bus is disconnected: [`Bus::status`] says when it is back.
    Disconnected,
    /// Too many messages wait to be sent.
    Full,
    /// The message is larger than the bus takes.
    TooLarge {
        /// The most bytes that it may have.
        max: usize,
    },
}

impl fmt::Display for PublishError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Disconnected => f.write_str("the bus is disconnected"),
            Self::Full => f.write_str("too many messages wait for the bus"),
            Self::TooLarge { max } => write!(f, "a message larger than the {max} bytes that the bus takes"),
        }
    }
}

impl std::error::Error for PublishError {}

impl From<PublishError> for StreamError {
    fn from(error: PublishError) -> Self {
        match error {
            PublishError::Disconnected => Self::Disconnected,
            PublishError::Full => Self::Full,
            PublishError::TooLarge { max } => Self::TooLarge { max },
        }
    }
}

/// The reason why there is no subscription.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum SubscribeError {
    /// The bus has been closed.
    Closed,
    /// The engine refuses it, for example to this user: its words.
    Refused(Arc<str>),
}

impl fmt::Display for SubscribeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Closed => f.write_str("the bus is closed"),
            Self::Refused(reason) => write!(f, "the bus refuses the subscription: {reason}"),
        }
    }
}

impl std::error::Error for SubscribeError {}
