//! The end of a driver at which it is called.

use std::sync::Arc;

use bytes::Bytes;
use tokio::sync::{mpsc, oneshot};

use super::{
    queue::{Queued, Sender, queue},
    state::State,
};
use crate::{
    bus::PublishError,
    streams::{BoxFuture, Position, Retention, StreamError},
    subject::Subject,
};

/// Where callers put messages and entries, which wait there for the driver's tasks.
#[derive(Debug)]
pub struct Front {
    state: Arc<State>,
    outgoing: Sender<Outgoing>,
    appends: Sender<Append>,
}

/// Where the driver's tasks take them.
#[derive(Debug)]
pub struct Back {
    /// Messages, in the order of the calls.
    pub outgoing: mpsc::Receiver<Queued<Outgoing>>,
    /// Entries, in the order of the calls.
    pub appends: mpsc::Receiver<Queued<Append>>,
}

/// What waits to be published.
#[derive(Debug)]
pub enum Outgoing {
    /// A message.
    Message {
        /// What it is about.
        subject: Subject,
        /// Its bytes.
        payload: Bytes,
    },
    /// Somebody wants to know that all before it has been handed over, or is lost.
    Flush(oneshot::Sender<()>),
}

/// An entry that waits to be appended.
#[derive(Debug)]
pub struct Append {
    /// The stream.
    pub stream: Subject,
    /// Its bytes.
    pub payload: Bytes,
    /// How long the entries of the stream are kept.
    pub retention: Retention,
    /// Where the engine's answer goes; without one, the connection is lost.
    pub done: oneshot::Sender<Result<Position, StreamError>>,
}

impl Front {
    /// Both ends of queues for so many messages and bytes, and apart from them for as many entries and bytes.
    #[must_use]
    pub fn new(state: Arc<State>, max_messages: usize, max_bytes: usize) -> (Self, Back) {
        let (outgoing, messages) = queue(max_messages, max_bytes);
        let (appends, entries) = queue(max_messages, max_bytes);
        (Self { state, outgoing, appends }, Back { outgoing: messages, appends: entries })
    }

    /// Takes a message, or refuses it, and counts that: see [`Bus::publish`](crate::Bus::publish).
    ///
    /// # Errors
    ///
    /// It is refused.
    pub fn publish(&self, subject: &Subject, payload: Bytes) -> Result<(), PublishError> {
        let len = payload.len();
        let result = self.state.admit(len).and_then(|()| {
            self.outgoing.try_send(Outgoing::Message { subject: subject.clone(), payload }, len)
        });
        self.state.counters.published(result);
        result
    }

    /// Waits until all messages that were taken have been handed over, or are lost.
    ///
    /// # Cancel safety
    ///
    /// The future can be dropped.
    pub async fn flush(&self) {
        let (done, is_done) = oneshot::channel();
        if self.outgoing.send(Outgoing::Flush(done)).await {
            is_done.await.ok();
        }
    }

    /// Takes an entry, or refuses it: see [`Streams::append`](crate::Streams::append).
    ///
    /// # Errors
    ///
    /// It is refused, or the engine does not have it.
    ///
    /// # Cancel safety
    ///
    /// The call itself takes it, and the future can be dropped.
    pub fn append(
        &self,
        stream: &Subject,
        payload: Bytes,
        retention: Retention,
    ) -> BoxFuture<'static, Result<Position, StreamError>> {
        let (done, outcome) = oneshot::channel();
        let len = payload.len();
        let taken = self.state.admit(len).and_then(|()| {
            self.appends.try_send(Append { stream: stream.clone(), payload, retention, done }, len)
        });
        Box::pin(async move {
            taken?;
            outcome.await.unwrap_or(Err(StreamError::Disconnected))
        })
    }
}
