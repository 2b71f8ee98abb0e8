//! Streams of the server.
//!
//! Imports: follow, nats, store.

use std::sync::Arc;

use bytes::Bytes;
use sockjs_bus::{
    Batch, BoxFuture, Follow, Position, Retention, StreamError, Streams, Subject, driver::Follower,
};

use crate::{follow::Entries, nats::Nats, store::Store};

impl Streams for Nats {
    fn append(
        &self,
        stream: &Subject,
        payload: Bytes,
        retention: Retention,
    ) -> BoxFuture<'static, Result<Position, StreamError>> {
        self.front.append(stream, payload, retention)
    }

    fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> BoxFuture<'static, Result<Batch, StreamError>> {
        let (shared, stream) = (Arc::clone(&self.shared), stream.clone());
        Box::pin(async move {
            // One more, in place of a mark.
            let (store, mut raw) =
                shared.read(&stream, after, max.saturating_add(usize::from(max > 0))).await?;
            raw.entries.retain(|entry| !entry.is_mark);
            raw.entries.truncate(max);
            Ok(store.batch(raw))
        })
    }

    fn last(&self, stream: &Subject, max: usize) -> BoxFuture<'static, Result<Batch, StreamError>> {
        let (shared, stream) = (Arc::clone(&self.shared), stream.clone());
        Box::pin(async move {
            let once = || shared.reading(async |store: &Store| store.last(&stream, max).await);
            let outcome = match once().await {
                Err(StreamError::Gone) => once().await,
                other => other,
            };
            match outcome {
                Ok((store, raw)) => Ok(store.batch(raw)),
                Err(StreamError::Gone) => Err(StreamError::Disconnected),
                Err(error) => Err(error),
            }
        })
    }

    fn follow(&self, stream: &Subject, after: Position) -> Box<dyn Follow> {
        let entries = Entries::new(&self.shared, &self.added, stream, after.stream);
        Box::new(Follower::new(entries, after))
    }
}
