//! Streams of the server.
//!
//! Imports: appends, follow, nats, shared, store.

use std::sync::Arc;

use bytes::Bytes;
use sockjs_bus::{
    Batch, BoxFuture, Follow, Position, PublishError, Retention, StreamError, Streams, Subject,
};
use tokio::sync::oneshot;

use crate::{
    appends::Append,
    follow::Follower,
    nats::Nats,
    shared::{Room, refused},
    store::Store,
};

impl Streams for Nats {
    fn append(
        &self,
        stream: &Subject,
        payload: Bytes,
        retention: Retention,
    ) -> BoxFuture<'static, Result<Position, StreamError>> {
        let shared = &self.shared;
        let (done, outcome) = oneshot::channel();
        let taken = shared.admit(payload.len()).and_then(|()| {
            let room = Room::take(shared, &shared.appending, payload.len())?;
            let append = Append { stream: stream.clone(), payload, retention, done };
            self.appends.try_send(append).map_err(refused)?;
            room.keep();
            Ok(())
        });
        Box::pin(async move {
            taken.map_err(|error| match error {
                PublishError::Full => StreamError::Full,
                PublishError::TooLarge { max } => StreamError::TooLarge { max },
                _ => StreamError::Disconnected,
            })?;
            outcome.await.unwrap_or(Err(StreamError::Disconnected))
        })
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
        Box::new(Follower::new(&self.shared, &self.added, stream, after))
    }
}
