//! Following a stream.
//!
//! With each entry the server publishes its number and that of the entry before it.
//!
//! Imports: registry, shared, store.

use std::{sync::Arc, time::Duration};

use async_nats::{HeaderMap, Message, Subscriber};
use sockjs_bus::{
    Position, StreamError, StreamId, Subject, SubscribeError,
    driver::{Feed, Heard, Item, Outcome, ready},
};
use tokio::sync::{mpsc, watch};

use crate::{
    registry::next,
    shared::{Guard, Shared},
    store::{Store, is_mark},
};

/// What the server publishes and has of a stream.
pub(crate) struct Entries {
    shared: Arc<Shared>,
    stream: Subject,
    id: StreamId,
    _guard: Guard,
    outcome: watch::Receiver<Outcome>,
    /// What the server sends, of one connection after the other.
    fed: mpsc::UnboundedReceiver<Subscriber>,
    published: Option<Subscriber>,
}

impl Entries {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        added: &mpsc::UnboundedSender<u64>,
        stream: &Subject,
        id: StreamId,
    ) -> Self {
        let subject = Store::published(&shared.options, id, stream);
        let (number, entry, fed) = shared.registry.add(subject.into());
        _ = added.send(number);
        Self {
            shared: Arc::clone(shared),
            stream: stream.clone(),
            id,
            _guard: Guard { shared: Arc::clone(shared), id: number },
            outcome: entry.outcome.subscribe(),
            fed,
            published: None,
        }
    }
}

impl Feed for Entries {
    const BATCH: usize = 256;

    async fn begin(&mut self) -> Result<(), SubscribeError> {
        ready(&mut self.outcome).await?;
        while let Ok(new) = self.fed.try_recv() {
            self.published = Some(new);
        }
        Ok(())
    }

    async fn hear(&mut self) -> Option<Heard> {
        tokio::select! {
            biased;
            _ = self.outcome.changed() => None,
            new = self.fed.recv() => {
                self.published = new;
                None
            }
            message = next(&mut self.published) => parse(self.id, message),
        }
    }

    async fn read(&self, after: Position, max: usize) -> Result<Vec<Item>, StreamError> {
        let (store, raw) = self.shared.read(&self.stream, after, max).await?;
        Ok(raw.entries.into_iter().map(|raw| raw.into_item(store.id)).collect())
    }
}

fn parse(stream: StreamId, message: Message) -> Option<Heard> {
    let headers = message.headers?;
    let number = |headers: &HeaderMap, name| headers.get(name)?.as_str().parse().ok();
    let position = Position { stream, number: number(&headers, "Nats-Sequence")? };
    let payload = (!is_mark(&headers)).then_some(message.payload);
    let item = Item { position, payload, age: Duration::ZERO };
    Some(Heard { before: number(&headers, "Nats-Last-Sequence")?, item })
}
