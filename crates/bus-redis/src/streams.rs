//! Streams of the server.
//!
//! Imports: bus, follow.

use std::sync::Arc;

use bytes::Bytes;
use sockjs_bus::{
    Batch, BoxFuture, Follow, Position, Retention, StreamError, Streams, Subject, driver::Follower,
};

use crate::{bus::Redis, follow::Entries};

impl Streams for Redis {
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
        Box::pin(async move { shared.read(&stream, after, max).await })
    }

    fn last(&self, stream: &Subject, max: usize) -> BoxFuture<'static, Result<Batch, StreamError>> {
        let (shared, stream) = (Arc::clone(&self.shared), stream.clone());
        Box::pin(async move { shared.last(&stream, max).await })
    }

    fn follow(&self, stream: &Subject, after: Position) -> Box<dyn Follow> {
        Box::new(Follower::new(Entries::new(&self.shared, stream), after))
    }
}
