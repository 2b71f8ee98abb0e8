//! Entries on their way to the server, in the order of the calls.
//!
//! Imports: scripts, shared, store.

use std::sync::Arc;

use futures_util::{StreamExt, poll, stream::FuturesUnordered};
use redis::Value;
use sockjs_bus::{
    Position, StreamError,
    driver::{Append, Queued},
};
use tokio::{sync::mpsc, task::unconstrained};

use crate::{
    scripts,
    shared::Shared,
    store::{Names, RENEWAL, count, failed, milliseconds, new_id, position},
};

/// Commands that are sent before the first is answered. Fewer than the 50 that the library's queue has room for: one that
/// has to wait for room could be overtaken by the next.
const IN_FLIGHT: usize = 32;

pub(crate) async fn append(shared: Arc<Shared>, mut queue: mpsc::Receiver<Queued<Append>>) {
    let mut in_flight = FuturesUnordered::new();
    loop {
        let append = tokio::select! {
            // Those that have been given room are to use it before the next one asks.
            biased;
            Some(()) = in_flight.next(), if !in_flight.is_empty() => continue,
            append = queue.recv(), if in_flight.len() < IN_FLIGHT => append,
        };
        let Some(append) = append else { return };
        // At its first turn it takes its place in the library's queue, which is first in, first out. It must have it before
        // the next one, so it is not to be put off for others that want the thread.
        let mut one = Box::pin(unconstrained(send(&shared, append)));
        if poll!(&mut one).is_pending() {
            in_flight.push(one);
        }
    }
}

async fn send(shared: &Shared, append: Queued<Append>) {
    let Queued { item: Append { stream, payload, retention, done }, room } = append;
    let mut connections = shared.connections.subscribe();
    let current = connections.borrow_and_update().clone();
    let result = match current {
        Some(mut current) => {
            let names = Names::new(&shared.options.prefix, &stream);
            let age = retention.max_age.map_or(0, |age| milliseconds(age).max(1));
            let expiry = match retention.idle {
                Some(idle) => milliseconds(idle.saturating_add(RENEWAL)),
                None if age == 0 => 0,
                None => milliseconds(shared.options.idle_expiry).max(age * 2),
            };
            let max_bytes = match retention.max_bytes {
                usize::MAX => 0,
                bytes => count(bytes.max(1)),
            };
            let mut command = redis::cmd("EVAL");
            command.arg(scripts::APPEND).arg(2).arg(&names.stream).arg(&names.hash);
            command.arg(new_id()).arg(&payload[..]).arg(retention.max_entries.max(1)).arg(age);
            command.arg(expiry).arg(&names.channel).arg(max_bytes);
            drop(payload);
            tokio::select! {
                biased;
                answer = command.query_async::<Value>(&mut current.commands) => {
                    answer.map_err(failed).and_then(|answer| answered(&answer))
                }
                // It would wait for a server that is away.
                _ = connections.changed() => Err(StreamError::Disconnected),
            }
        }
        None => Err(StreamError::Disconnected),
    };
    drop(room);
    _ = done.send(result);
}

fn answered(answer: &Value) -> Result<Position, StreamError> {
    let Value::Array(parts) = answer else { return Err(StreamError::Disconnected) };
    let [life, entry] = &parts[..] else { return Err(StreamError::Disconnected) };
    position(life, entry).ok_or(StreamError::Disconnected)
}
