//! The streams of the bus in process.

use std::{
    collections::{HashMap, VecDeque},
    future::poll_fn,
    pin::pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    task::Poll,
    time::Duration,
};

use bytes::Bytes;
use tokio::{sync::watch, time::Instant};

use crate::{
    random,
    status::Status,
    streams::{Batch, BoxFuture, Entry, Follow, Position, Retention, StreamError, StreamId},
    subject::Subject,
};

/// All streams of a bus.
#[derive(Debug)]
pub(super) struct Logs(Mutex<State>);

#[derive(Debug)]
struct State {
    /// Of all streams; another one when they are lost.
    id: StreamId,
    /// Of all streams, so that the number of a stream that has been forgotten is not given again.
    last_number: u64,
    logs: HashMap<Subject, Log>,
    /// The greatest number in a stream that has been forgotten.
    forgotten: u64,
    /// How many streams there have to be before those are looked for that can be forgotten.
    sweep_at: usize,
    swept: Instant,
}

#[derive(Debug)]
struct Log {
    entries: VecDeque<Stored>,
    /// Of their payloads.
    bytes: usize,
    retention: Retention,
    /// When it was appended to or followed last.
    used: Instant,
    /// The greatest number that is not kept any more.
    dropped: u64,
    /// The number of the last entry, for those who follow.
    end: watch::Sender<u64>,
}

#[derive(Debug)]
struct Stored {
    number: u64,
    at: Instant,
    payload: Bytes,
}

const MIN_SWEEP: usize = 64;
/// Whatever is used no longer stays for so long, if others are used.
const SWEEP: Duration = Duration::from_secs(60);

impl Logs {
    pub(super) fn new() -> Self {
        Self(Mutex::new(State::new()))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn append(&self, stream: &Subject, payload: Bytes, retention: Retention) -> Position {
        let now = Instant::now();
        let (position, _dropped, _swept, end) = {
            let mut state = self.lock();
            state.last_number += 1;
            let number = state.last_number;
            let log = state.log(stream, now);
            log.retention = retention;
            log.bytes = log.bytes.saturating_add(payload.len());
            log.entries.push_back(Stored { number, at: now, payload });
            let dropped = log.expire(now);
            let end = log.end.clone();
            (Position { stream: state.id, number }, dropped, state.sweep(now), end)
        };
        end.send_if_modified(|end| {
            let is_later = position.number > *end;
            *end = position.number.max(*end);
            is_later
        });
        position
    }

    pub(super) fn read(&self, stream: &Subject, after: Position, max: usize) -> Result<Batch, StreamError> {
        let (batch, _dropped) = {
            let mut state = self.lock();
            let dropped = state.expire(stream);
            (state.read(stream, after, max), dropped)
        };
        batch
    }

    pub(super) fn last(&self, stream: &Subject, max: usize) -> Batch {
        let (batch, _dropped) = {
            let mut state = self.lock();
            let dropped = state.expire(stream);
            (state.last(stream, max), dropped)
        };
        batch
    }

    /// All entries are lost, as those of an engine that starts anew with nothing.
    #[cfg(any(test, feature = "test"))]
    pub(super) fn lose(&self) {
        let _lost = std::mem::replace(&mut *self.lock(), State::new());
    }

    /// Where a stream ends, now and at each change. It is closed when the streams are lost.
    fn watch(&self, stream: &Subject) -> watch::Receiver<u64> {
        let now = Instant::now();
        let (end, _swept) = {
            let mut state = self.lock();
            let end = state.log(stream, now).end.subscribe();
            (end, state.sweep(now))
        };
        end
    }

    /// Somebody follows a stream no longer.
    fn unfollow(&self, stream: &Subject) {
        if let Some(log) = self.lock().logs.get_mut(stream) {
            log.used = Instant::now();
        }
    }
}

impl State {
    fn new() -> Self {
        Self {
            id: StreamId(u64::from_be_bytes(random::bytes())),
            last_number: 0,
            logs: HashMap::new(),
            forgotten: 0,
            sweep_at: MIN_SWEEP,
            swept: Instant::now(),
        }
    }

    /// A stream that is used now.
    fn log(&mut self, stream: &Subject, now: Instant) -> &mut Log {
        let dropped = self.forgotten;
        let log = self.logs.entry(stream.clone()).or_insert_with(|| Log {
            entries: VecDeque::new(),
            bytes: 0,
            retention: Retention::entries(usize::MAX),
            used: now,
            dropped,
            end: watch::Sender::new(dropped),
        });
        log.used = now;
        log
    }

    fn expire(&mut self, stream: &Subject) -> Vec<Bytes> {
        self.logs.get_mut(stream).map(|log| log.expire(Instant::now())).unwrap_or_default()
    }

    /// Forgets the streams that have no entries any more, when there are twice as many as there were then, or after a
    /// while.
    fn sweep(&mut self, now: Instant) -> Vec<Bytes> {
        let mut dropped = Vec::new();
        if self.logs.len() < self.sweep_at && now.duration_since(self.swept) < SWEEP {
            return dropped;
        }
        self.swept = now;
        let forgotten = &mut self.forgotten;
        self.logs.retain(|_, log| {
            dropped.extend(log.expire(now));
            let is_used = !log.entries.is_empty() || log.end.receiver_count() > 0;
            if !is_used {
                *forgotten = log.dropped.max(*forgotten);
            }
            is_used
        });
        self.sweep_at = MIN_SWEEP.max(2 * self.logs.len());
        dropped
    }

    fn read(&self, stream: &Subject, after: Position, max: usize) -> Result<Batch, StreamError> {
        let log = self.logs.get(stream);
        let end = log.map_or(self.forgotten, Log::end);
        let first_whole = log.map_or(self.forgotten, |log| log.dropped);
        if after.stream != self.id || after.number < first_whole || after.number > end {
            return Err(StreamError::Gone);
        }
        let entries = log.map(|log| {
            let from = log.entries.partition_point(|stored| stored.number <= after.number);
            log.entries.iter().skip(from).take(max).map(|stored| self.entry(stored)).collect()
        });
        Ok(Batch { entries: entries.unwrap_or_default(), end: Position { stream: self.id, number: end } })
    }

    fn last(&self, stream: &Subject, max: usize) -> Batch {
        let log = self.logs.get(stream);
        let entries = log.map(|log| {
            let skipped = log.entries.len().saturating_sub(max);
            log.entries.iter().skip(skipped).map(|stored| self.entry(stored)).collect()
        });
        let number = log.map_or(self.forgotten, Log::end);
        Batch { entries: entries.unwrap_or_default(), end: Position { stream: self.id, number } }
    }

    fn entry(&self, stored: &Stored) -> Entry {
        Entry {
            position: Position { stream: self.id, number: stored.number },
            payload: stored.payload.clone(),
            age: stored.at.elapsed(),
        }
    }
}

impl Log {
    fn end(&self) -> u64 {
        self.entries.back().map_or(self.dropped, |stored| stored.number)
    }

    /// Drops what is kept no longer. Its bytes may have an owner of the application's, and are dropped after the lock.
    fn expire(&mut self, now: Instant) -> Vec<Bytes> {
        let mut dropped = Vec::new();
        let is_over = |since, max: Option<Duration>| max.is_some_and(|max| now.duration_since(since) >= max);
        let is_idle = self.end.receiver_count() == 0 && is_over(self.used, self.retention.idle);
        while let Some(first) = self.entries.front() {
            let is_too_much = self.entries.len() > self.retention.max_entries.max(1)
                || (self.bytes > self.retention.max_bytes && self.entries.len() > 1);
            if !is_idle && !is_too_much && !is_over(first.at, self.retention.max_age) {
                break;
            }
            self.dropped = first.number;
            self.bytes = self.bytes.saturating_sub(first.payload.len());
            dropped.extend(self.entries.pop_front().map(|stored| stored.payload));
        }
        dropped
    }
}

/// One who follows a stream.
pub(super) struct Follower {
    pub(super) logs: Arc<Logs>,
    pub(super) status: watch::Receiver<Status>,
    pub(super) stream: Subject,
    pub(super) after: Position,
    pub(super) failed: Option<StreamError>,
}

impl Follow for Follower {
    fn next(&mut self) -> BoxFuture<'_, Result<Entry, StreamError>> {
        Box::pin(async {
            let outcome = self.wait().await;
            match &outcome {
                Ok(entry) => self.after = entry.position,
                Err(error) => self.failed = Some(error.clone()),
            }
            outcome
        })
    }
}

impl Drop for Follower {
    fn drop(&mut self) {
        self.logs.unfollow(&self.stream);
    }
}

impl Follower {
    async fn wait(&mut self) -> Result<Entry, StreamError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        loop {
            // The connection may have ended: then the last status stays.
            if self.status.wait_for(|status| !matches!(status, Status::Reconnecting { .. })).await.is_err()
                || *self.status.borrow() == Status::Closed
            {
                return Err(StreamError::Disconnected);
            }
            let mut end = self.logs.watch(&self.stream);
            end.mark_unchanged();
            let batch = self.logs.read(&self.stream, self.after, 1)?;
            if let Some(entry) = batch.entries.into_iter().next() {
                return Ok(entry);
            }
            // An entry that came since then is seen as well: the watch is older than the reading.
            let mut status = self.status.clone();
            status.mark_unchanged();
            either(end.changed(), status.changed()).await;
        }
    }
}

/// Completes when one of two futures does.
async fn either(one: impl Future, other: impl Future) {
    let (mut one, mut other) = (pin!(one), pin!(other));
    poll_fn(|cx| {
        let is_ready = one.as_mut().poll(cx).is_ready() || other.as_mut().poll(cx).is_ready();
        if is_ready { Poll::Ready(()) } else { Poll::Pending }
    })
    .await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        bus::Bus,
        in_process::hub::InProcess,
        streams::{StreamError::Gone, Streams},
    };

    const MINUTE: Retention = Retention { max_age: Some(Duration::from_secs(60)), ..Retention::entries(3) };
    const IDLE: Retention = Retention { idle: Some(Duration::from_secs(300)), ..Retention::entries(100) };

    fn name(text: &str) -> Subject {
        Subject::new(text).unwrap()
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.entries.iter().map(|entry| entry.position.number).collect()
    }

    #[tokio::test(start_paused = true)]
    async fn entries_go_by_number_and_by_age() {
        let logs = Logs::new();
        let stream = name("a");
        let start = logs.last(&stream, 9).end;
        for _ in 0..2 {
            logs.append(&stream, Bytes::new(), MINUTE);
            tokio::time::advance(Duration::from_secs(20)).await;
        }
        logs.append(&stream, Bytes::new(), MINUTE);
        assert_eq!(numbers(&logs.read(&stream, start, 9).unwrap()), [1, 2, 3]);
        logs.append(&stream, Bytes::new(), MINUTE);
        assert_eq!(numbers(&logs.last(&stream, 9)), [2, 3, 4], "no more than three");
        assert!(matches!(logs.read(&stream, start, 9), Err(Gone)));
        tokio::time::advance(Duration::from_secs(40)).await;
        assert_eq!(numbers(&logs.last(&stream, 9)), [3, 4], "no older than a minute");
        let at = |number| Position { number, ..start };
        assert!(matches!(logs.read(&stream, at(1), 9), Err(Gone)));
        assert_eq!(numbers(&logs.read(&stream, at(2), 9).unwrap()), [3, 4]);
        tokio::time::advance(Duration::from_secs(60)).await;
        assert_eq!(logs.read(&stream, at(4), 9).unwrap(), Batch { entries: Vec::new(), end: at(4) });
        assert!(matches!(logs.read(&stream, at(5), 9), Err(Gone)), "a position that was never given");
    }

    #[tokio::test(start_paused = true)]
    async fn entries_go_by_their_bytes_but_for_the_newest() {
        let logs = Logs::new();
        let stream = name("a");
        let retention = Retention { max_bytes: 10, ..Retention::entries(100) };
        for len in [4, 3, 3, 1] {
            logs.append(&stream, vec![0; len].into(), retention);
        }
        assert_eq!(numbers(&logs.last(&stream, 9)), [2, 3, 4]);
        logs.append(&stream, vec![0; 99].into(), retention);
        assert_eq!(numbers(&logs.last(&stream, 9)), [5]);
        logs.append(&stream, vec![0; 10].into(), retention);
        assert_eq!(numbers(&logs.last(&stream, 9)), [6]);
        assert_eq!(logs.lock().logs[&stream].bytes, 10);
    }

    #[tokio::test(start_paused = true)]
    async fn an_idle_stream_goes_unless_somebody_follows_it() {
        let logs = Arc::new(Logs::new());
        let (idle, followed) = (name("idle"), name("followed"));
        let first = logs.append(&idle, Bytes::new(), IDLE);
        let after = logs.append(&followed, Bytes::new(), IDLE);
        let (_connected, status) = watch::channel(Status::Connected);
        let follow =
            Follower { logs: Arc::clone(&logs), status, stream: followed.clone(), after, failed: None };
        let following = tokio::spawn(async move {
            let mut follow = follow;
            follow.next().await
        });
        tokio::time::sleep(Duration::from_secs(299)).await;
        assert_eq!(numbers(&logs.last(&idle, 9)), [1]);
        tokio::time::advance(Duration::from_secs(1)).await;
        // Any other one that is used.
        logs.append(&name("other"), Bytes::new(), IDLE);
        assert!(!logs.lock().logs.contains_key(&idle), "it takes no room");
        assert_eq!(numbers(&logs.last(&idle, 9)), [0; 0]);
        assert!(matches!(logs.read(&idle, Position { number: 0, ..first }, 9), Err(Gone)));
        assert_eq!(numbers(&logs.last(&followed, 9)), [2]);
        following.abort();
        assert!(following.await.unwrap_err().is_cancelled());
        tokio::time::advance(Duration::from_secs(299)).await;
        assert_eq!(numbers(&logs.last(&followed, 9)), [2], "the time counts from then");
        tokio::time::advance(Duration::from_secs(1)).await;
        assert_eq!(numbers(&logs.last(&followed, 9)), [0; 0]);
    }

    #[tokio::test(start_paused = true)]
    async fn streams_that_were_only_followed_are_forgotten() {
        let logs = Logs::new();
        for number in 0..1000 {
            drop(logs.watch(&name(&number.to_string())));
        }
        let kept = logs.lock().logs.len();
        assert!(kept <= MIN_SWEEP, "{kept} streams are kept");
    }

    #[tokio::test(start_paused = true)]
    async fn streams_without_entries_are_forgotten_and_their_numbers_are_not_given_again() {
        let logs = Logs::new();
        let first = logs.append(&name("first"), Bytes::new(), MINUTE);
        for round in 0..10 {
            for number in 0..1000 {
                logs.append(&name(&format!("{round}-{number}")), Bytes::new(), MINUTE);
            }
            tokio::time::advance(Duration::from_secs(61)).await;
        }
        let kept = logs.lock().logs.len();
        assert!(kept < 4000, "{kept} streams are kept");
        assert!(matches!(logs.read(&name("first"), first, 9), Err(Gone)));
        let again = logs.append(&name("first"), Bytes::new(), MINUTE);
        assert!(again.number > first.number);
        assert!(matches!(logs.read(&name("first"), first, 9), Err(Gone)));
        assert_eq!(numbers(&logs.last(&name("first"), 9)), [again.number]);
    }

    #[tokio::test]
    async fn a_lost_store_is_another_life_and_ends_those_who_follow() {
        let bus = InProcess::new();
        let connection = bus.connect();
        let streams = connection.streams().unwrap();
        let stream = name("a");
        let start = streams.last(&stream, 0).await.unwrap().end;
        let mut follow = streams.follow(&stream, start);
        let old = streams.append(&stream, "1".into(), MINUTE).await.unwrap();
        assert_eq!(follow.next().await.unwrap().position, old);
        let waiting = tokio::spawn(async move { follow.next().await });
        tokio::task::yield_now().await;
        bus.lose_streams();
        assert!(matches!(waiting.await.unwrap(), Err(Gone)));
        let new = streams.append(&stream, "2".into(), MINUTE).await.unwrap();
        assert!(old.stream != new.stream && old.number == new.number);
        assert!(matches!(streams.read(&stream, old, 9).await, Err(Gone)));
    }

    #[tokio::test]
    async fn one_who_follows_ends_with_the_connection() {
        let connection = InProcess::new().connect();
        let stream = name("a");
        let end = connection.last(&stream, 0).await.unwrap().end;
        let mut follow = connection.follow(&stream, end);
        let waiting = tokio::spawn(async move { follow.next().await });
        tokio::task::yield_now().await;
        drop(connection);
        assert!(matches!(waiting.await.unwrap(), Err(StreamError::Disconnected)));
    }
}
