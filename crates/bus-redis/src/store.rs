//! What a stream is at the server, and reading it.
//!
//! Imports: scripts, shared.

use std::{
    sync::Arc,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use redis::{Cmd, RedisError, Value};
use sockjs_bus::{Batch, Entry, Position, StreamError, StreamId, Subject};

use crate::{scripts, shared::Shared};

/// How much longer than it was told a stream stays that nobody uses, so that whoever follows it has the time to use it.
pub(crate) const RENEWAL: Duration = Duration::from_secs(120);

/// What a stream is called at the server.
pub(crate) struct Names {
    pub(crate) stream: String,
    pub(crate) hash: String,
    pub(crate) channel: String,
}

impl Names {
    /// The braces keep the keys together in a cluster.
    pub(crate) fn new(prefix: &str, stream: &Subject) -> Self {
        Self {
            stream: format!("{prefix}{{{stream}}}:entries"),
            hash: format!("{prefix}{{{stream}}}:life"),
            channel: format!("{prefix}{}", follow_subject(stream)),
        }
    }
}

/// What those who follow a stream subscribe to: no [`Subject`], so that no other message comes there.
pub(crate) fn follow_subject(stream: &Subject) -> String {
    format!("{{{stream}}}:entries")
}

/// The numbers of milliseconds and of entries within one, as one number.
pub(crate) const fn number(ms: u64, entry: u64) -> Option<u64> {
    if ms < 1 << 44 && entry < 1 << 20 { Some(ms << 20 | entry) } else { None }
}

fn place(number: u64) -> String {
    format!("{}-{}", number >> 20, number & ((1 << 20) - 1))
}

/// A number from the text of a place.
pub(crate) fn parse_place(text: &[u8]) -> Option<u64> {
    let (ms, entry) = std::str::from_utf8(text).ok()?.split_once('-')?;
    number(ms.parse().ok()?, entry.parse().ok()?)
}

/// How old an entry is: its number begins with the time at which the server took it.
fn age(number: u64, now: SystemTime) -> Duration {
    let at = UNIX_EPOCH + Duration::from_millis(number >> 20);
    now.duration_since(at).unwrap_or_default()
}

pub(crate) fn position(life: &Value, place: &Value) -> Option<Position> {
    let (Value::BulkString(life), Value::BulkString(place)) = (life, place) else { return None };
    let stream = StreamId(std::str::from_utf8(life).ok()?.parse().ok()?);
    Some(Position { stream, number: parse_place(place)? })
}

/// A random number that no other life of a stream has.
pub(crate) fn new_id() -> u64 {
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    u64::from_be_bytes(bytes)
}

/// What an error of the library means.
pub(crate) fn failed(error: RedisError) -> StreamError {
    let is_away =
        matches!(error.code(), Some("LOADING" | "MASTERDOWN" | "CLUSTERDOWN" | "READONLY" | "TRYAGAIN"));
    if error.code().is_none() || is_away {
        StreamError::Disconnected
    } else {
        StreamError::Refused(Arc::new(error))
    }
}

impl Shared {
    /// Runs one of the scripts that read.
    async fn run(
        &self,
        script: &str,
        stream: &Subject,
        arguments: impl FnOnce(&mut Cmd),
    ) -> Result<Value, StreamError> {
        let mut connections = self.connections.subscribe();
        let current = connections.borrow_and_update().clone();
        let Some(mut current) = current else { return Err(StreamError::Disconnected) };
        let names = Names::new(&self.options.prefix, stream);
        let idle = milliseconds(self.options.idle_expiry);
        let mut command = redis::cmd("EVAL");
        command.arg(script).arg(2).arg(&names.stream).arg(&names.hash).arg(new_id()).arg(idle);
        arguments(&mut command);
        tokio::select! {
            biased;
            answer = command.query_async(&mut current.commands) => answer.map_err(failed),
            _ = connections.changed() => Err(StreamError::Disconnected),
        }
    }

    pub(crate) async fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> Result<Batch, StreamError> {
        let arguments = |command: &mut Cmd| {
            command.arg(after.stream.0).arg(place(after.number)).arg(count(max));
        };
        batch(self.run(scripts::READ, stream, arguments).await?)
    }

    pub(crate) async fn last(&self, stream: &Subject, max: usize) -> Result<Batch, StreamError> {
        let arguments = |command: &mut Cmd| {
            command.arg(count(max));
        };
        let mut batch = batch(self.run(scripts::LAST, stream, arguments).await?)?;
        batch.entries.reverse();
        Ok(batch)
    }
}

/// The server counts in signed numbers, and its scripts exactly up to more than this.
pub(crate) fn count(max: usize) -> u64 {
    u64::try_from(max).unwrap_or(u64::MAX).min(1 << 50)
}

pub(crate) fn milliseconds(time: Duration) -> u64 {
    u64::try_from(time.as_millis()).unwrap_or(u64::MAX).min(1 << 50)
}

/// What the scripts that read answer.
fn batch(answer: Value) -> Result<Batch, StreamError> {
    let unexpected = StreamError::Disconnected;
    let parts = match answer {
        Value::Nil => return Err(StreamError::Gone),
        Value::Array(parts) => parts,
        _ => return Err(unexpected),
    };
    let Ok([life, newest, Value::Array(entries)]) = <[Value; 3]>::try_from(parts) else {
        return Err(unexpected);
    };
    let end = position(&life, &newest).ok_or_else(|| unexpected.clone())?;
    let now = SystemTime::now();
    let entries: Option<_> = entries.into_iter().map(|value| entry(value, end.stream, now)).collect();
    Ok(Batch { entries: entries.ok_or(unexpected)?, end })
}

fn entry(value: Value, stream: StreamId, now: SystemTime) -> Option<Entry> {
    let Value::Array(parts) = value else { return None };
    let [Value::BulkString(place), Value::Array(fields)] = <[Value; 2]>::try_from(parts).ok()? else {
        return None;
    };
    let Some(Value::BulkString(payload)) = fields.into_iter().nth(1) else { return None };
    let number = parse_place(&place)?;
    Some(Entry { position: Position { stream, number }, payload: payload.into(), age: age(number, now) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_numbers_and_back() {
        for (text, expected) in [
            ("0-0", Some(0)),
            ("1-1", Some((1 << 20) + 1)),
            ("1700000000000-3", Some(1_700_000_000_000 << 20 | 3)),
        ] {
            assert_eq!(parse_place(text.as_bytes()), expected);
            assert_eq!(place(expected.unwrap()), text);
        }
        for text in ["", "1", "-", "1-", "x-1", "17592186044416-0", "1-1048576", "1-1-1"] {
            assert_eq!(parse_place(text.as_bytes()), None, "{text}");
        }
    }

    #[test]
    fn what_is_no_answer_is_no_panic() {
        for value in [
            Value::Int(1),
            Value::Array(vec![]),
            Value::Array(vec![Value::Nil, Value::Nil, Value::Array(vec![])]),
        ] {
            assert!(matches!(batch(value), Err(StreamError::Disconnected)));
        }
    }
}
