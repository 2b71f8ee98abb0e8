//! Entries on their way to the server, in the order of the calls.
//!
//! Imports: shared, store.

use std::{collections::HashMap, sync::Arc};

use async_nats::jetstream::context::{PublishAckFuture, PublishErrorKind};
use bytes::Bytes;
use futures_util::{FutureExt, StreamExt, stream::FuturesUnordered};
use sockjs_bus::{
    Position, StreamError, Subject,
    driver::{Append, Queued},
};
use tokio::sync::{mpsc, watch};

use crate::{shared::Shared, store::Store};

/// Entries that are sent before the first is acknowledged.
const IN_FLIGHT: usize = 256;
/// Streams whose entries are counted, so that they are trimmed now and then.
const COUNTED: usize = 65_536;
/// The fewest entries between two times that a stream is trimmed.
const STEP: usize = 64;

pub(crate) async fn append(shared: Arc<Shared>, mut queue: mpsc::Receiver<Queued<Append>>) {
    let mut in_flight = FuturesUnordered::new();
    let mut counts: HashMap<Subject, usize> = HashMap::new();
    loop {
        let append = tokio::select! {
            Some(()) = in_flight.next(), if !in_flight.is_empty() => continue,
            append = queue.recv(), if in_flight.len() < IN_FLIGHT => append,
        };
        let Some(Queued { item: Append { stream, payload, retention, done }, room }) = append else { return };
        // Whether it fits is known before, so that the order of calls is the order in which they are sent.
        let mut connection = shared.client.subscribe();
        connection.borrow_and_update();
        let sent = tokio::select! {
            biased;
            sent = send(&shared, &stream, payload) => sent,
            _ = connection.changed() => Err(StreamError::Disconnected),
        };
        match sent {
            Ok((store, acknowledged)) => {
                let trim = is_due(&mut counts, &stream, retention.max_entries.max(1));
                let shared = Arc::clone(&shared);
                let one = async move {
                    let result = tokio::select! {
                        biased;
                        result = acknowledge(&shared, &store, acknowledged) => result,
                        _ = lost(&mut connection) => Err(StreamError::Disconnected),
                    };
                    drop(room);
                    let is_appended = result.is_ok();
                    _ = done.send(result);
                    if let (Some(keep), true) = (trim, is_appended) {
                        store.trim(&stream, keep).await;
                    }
                };
                in_flight.push(one.boxed());
            }
            Err(error) => _ = done.send(Err(error)),
        }
    }
}

async fn lost(connection: &mut watch::Receiver<Option<async_nats::Client>>) {
    _ = connection.changed().await;
}

async fn send(
    shared: &Shared,
    stream: &Subject,
    payload: Bytes,
) -> Result<(Store, PublishAckFuture), StreamError> {
    let store = shared.store().await?;
    let sent = store.context.publish(store.subject(stream), payload).await;
    Ok((store, sent.map_err(|_| StreamError::Disconnected)?))
}

async fn acknowledge(
    shared: &Shared,
    store: &Store,
    acknowledged: PublishAckFuture,
) -> Result<Position, StreamError> {
    match acknowledged.await {
        Ok(acknowledged) => Ok(store.position(acknowledged.sequence)),
        Err(error) => {
            // The store may be no more.
            shared.forget_store().await;
            Err(match error.kind() {
                PublishErrorKind::StreamNotFound
                | PublishErrorKind::TimedOut
                | PublishErrorKind::BrokenPipe => StreamError::Disconnected,
                _ => StreamError::Refused(Arc::new(error)),
            })
        }
    }
}

/// How many entries are to be kept, if it is time to drop the others.
fn is_due(counts: &mut HashMap<Subject, usize>, stream: &Subject, keep: usize) -> Option<usize> {
    if counts.len() >= COUNTED && !counts.contains_key(stream) {
        counts.clear();
    }
    // At its first entry, so that one who starts anew does not wait.
    let count = counts.entry(stream.clone()).or_insert(usize::MAX);
    *count = count.saturating_add(1);
    if *count < STEP.max(keep / 4) {
        return None;
    }
    *count = 0;
    Some(keep)
}
