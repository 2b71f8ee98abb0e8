//! Following a stream.
//!
//! With each entry the server publishes where it stands and where the one before it does.
//!
//! Imports: shared, store.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use sockjs_bus::{
    Position, StreamError, StreamId, Subject, SubscribeError,
    driver::{Feed, Heard, Item, Outcome, ready},
};
use tokio::sync::{mpsc, watch};

use crate::{
    shared::{Shared, Subscribed},
    store::{follow_subject, parse_place},
};

/// What the server publishes and has of a stream.
pub(crate) struct Entries {
    shared: Arc<Shared>,
    stream: Subject,
    subscribed: Subscribed,
    outcome: watch::Receiver<Outcome>,
    published: mpsc::Receiver<Bytes>,
}

/// Entries that may wait for one who follows, before he reads them.
const CAPACITY: usize = 256;

impl Entries {
    pub(crate) fn new(shared: &Arc<Shared>, stream: &Subject) -> Self {
        let (subscribed, published) = shared.subscribe(follow_subject(stream).into(), CAPACITY, None);
        Self {
            shared: Arc::clone(shared),
            stream: stream.clone(),
            outcome: subscribed.entry.outcome(),
            subscribed,
            published,
        }
    }
}

impl Feed for Entries {
    const BATCH: usize = 128;

    async fn begin(&mut self) -> Result<(), SubscribeError> {
        ready(&mut self.outcome).await?;
        // What has come before is among what is read.
        while self.published.try_recv().is_ok() {}
        self.subscribed.entry.has_overflowed();
        Ok(())
    }

    async fn hear(&mut self) -> Option<Heard> {
        let heard = tokio::select! {
            biased;
            _ = self.outcome.changed() => None,
            published = self.published.recv() => parse(&published?),
        };
        if self.subscribed.entry.has_overflowed() { None } else { heard }
    }

    async fn read(&self, after: Position, max: usize) -> Result<Vec<Item>, StreamError> {
        let batch = self.shared.read(&self.stream, after, max).await?;
        let item = |entry: sockjs_bus::Entry| Item {
            position: entry.position,
            payload: Some(entry.payload),
            age: entry.age,
        };
        Ok(batch.entries.into_iter().map(item).collect())
    }
}

fn parse(published: &Bytes) -> Option<Heard> {
    let mut parts = published.splitn(4, |&byte| byte == b' ');
    let stream = StreamId(std::str::from_utf8(parts.next()?).ok()?.parse().ok()?);
    let before = parse_place(parts.next()?)?;
    let position = Position { stream, number: parse_place(parts.next()?)? };
    let payload = published.slice_ref(parts.next()?);
    Some(Heard { before, item: Item { position, payload: Some(payload), age: Duration::ZERO } })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_parsed_or_ignored() {
        let heard = parse(&Bytes::from_static(b"7 1-0 2-1 a b  c")).unwrap();
        let position = Position { stream: StreamId(7), number: (2 << 20) + 1 };
        let item = Item { position, payload: Some("a b  c".into()), age: Duration::ZERO };
        assert_eq!(heard, Heard { before: 1 << 20, item });
        assert_eq!(parse(&Bytes::from_static(b"7 1-0 2-1 ")).unwrap().item.payload, Some(Bytes::new()));
        for text in ["", "7", "7 1-0 2-1", "7 1-0 2 x", "x 1-0 2-1 y", "-1 1-0 2-1 y", "7  2-1 y"] {
            assert_eq!(parse(&Bytes::copy_from_slice(text.as_bytes())), None, "{text}");
        }
    }
}
