//! Streams of the server.
//!
//! Imports: appends, follow, nats, store.

use std::sync::Arc;

use bytes::Bytes;
use sockjs_bus::{
    Batch, BoxFuture, Follow, Position, PublishError, Retention, StreamError, Streams, Subject,
};
use tokio::{sync::oneshot, time::timeout};

use crate::{
    appends::Append,
    follow::Follower,
    nats::{Nats, Room, Shared, refused},
    store::{RawBatch, Store},
};

impl Shared {
    /// Reads from the store, as long as it is the same connection.
    pub(crate) async fn reading<T>(
        &self,
        read: impl AsyncFnOnce(&Store) -> Result<T, StreamError>,
    ) -> Result<(Store, T), StreamError> {
        let mut connection = self.client.subscribe();
        if connection.borrow_and_update().is_none() {
            return Err(StreamError::Disconnected);
        }
        let work = async {
            let store = self.store().await?;
            let read = read(&store).await?;
            Ok((store, read))
        };
        let outcome = tokio::select! {
            biased;
            outcome = timeout(self.options.connect_timeout * 4, work) => outcome.unwrap_or(Err(StreamError::Disconnected)),
            _ = connection.changed() => return Err(StreamError::Disconnected),
        };
        if outcome.is_err() {
            // It may be no more: the next one looks.
            self.forget_store().await;
        }
        outcome
    }

    pub(crate) async fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> Result<(Store, RawBatch), StreamError> {
        let once = || self.reading(async |store: &Store| store.read(stream, after, max).await);
        match once().await {
            // Perhaps of a store that is no more, and the position is of the new one.
            Err(StreamError::Gone) => once().await,
            other => other,
        }
    }
}

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
