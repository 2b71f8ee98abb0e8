//! Streams of the server.
//!
//! Imports: appends, bus, follow, shared.

use std::sync::Arc;

use bytes::Bytes;
use sockjs_bus::{
    Batch, BoxFuture, Follow, Position, PublishError, Retention, StreamError, Streams, Subject,
};
use tokio::sync::oneshot;

use crate::{
    appends::Append,
    bus::Redis,
    follow::Follower,
    shared::{Room, refused},
};

impl Streams for Redis {
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
            taken.map_err(of_publish)?;
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
        Box::pin(async move { shared.read(&stream, after, max).await })
    }

    fn last(&self, stream: &Subject, max: usize) -> BoxFuture<'static, Result<Batch, StreamError>> {
        let (shared, stream) = (Arc::clone(&self.shared), stream.clone());
        Box::pin(async move { shared.last(&stream, max).await })
    }

    fn follow(&self, stream: &Subject, after: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(&self.shared, stream, after))
    }
}

fn of_publish(error: PublishError) -> StreamError {
    match error {
        PublishError::Full => StreamError::Full,
        PublishError::TooLarge { max } => StreamError::TooLarge { max },
        _ => StreamError::Disconnected,
    }
}
