//! Following a stream.
//!
//! With each entry the server publishes where it stands and where the one before it does. So one who has seen all up to
//! some place knows whether the next one that comes is the next one of the stream, and reads the stream only where it is
//! not: at first, after a lost connection, and after a loss.
//!
//! Imports: registry, shared, store.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use sockjs_bus::{BoxFuture, Entry, Follow, Position, StreamError, StreamId, Subject, SubscribeError};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    registry::Outcome,
    shared::{Shared, Subscribed},
    store::{follow_subject, parse_place},
};

/// One who follows a stream.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    stream: Subject,
    subscribed: Subscribed,
    outcome: watch::Receiver<Outcome>,
    published: mpsc::Receiver<Bytes>,
    /// What has been given.
    after: Position,
    /// What comes next, without a hole.
    next: VecDeque<Entry>,
    /// Whether what is published from now on begins where `next` ends.
    is_current: bool,
    /// When the stream is read, though nothing says that something is missing.
    recheck: Instant,
    failed: Option<StreamError>,
}

/// Entries that may wait for one who follows, before he reads them.
const CAPACITY: usize = 256;
/// Entries that are read at once.
const BATCH: usize = 128;
/// How often the stream is read without need: the last message before a silence may have been lost.
const RECHECK: Duration = Duration::from_secs(60);
/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

impl Follower {
    pub(crate) fn new(shared: &Arc<Shared>, stream: &Subject, after: Position) -> Self {
        let (subscribed, published) = shared.subscribe(follow_subject(stream).into(), CAPACITY, None);
        Self {
            shared: Arc::clone(shared),
            stream: stream.clone(),
            outcome: subscribed.entry.outcome(),
            subscribed,
            published,
            after,
            next: VecDeque::new(),
            is_current: false,
            recheck: Instant::now() + RECHECK,
            failed: None,
        }
    }

    async fn advance(&mut self) -> Result<Entry, StreamError> {
        loop {
            if let Some(entry) = self.next.pop_front() {
                self.after = entry.position;
                return Ok(entry);
            }
            if self.is_current {
                self.wait().await;
            } else {
                self.read().await?;
            }
        }
    }

    /// Reads what is behind the last one that was given.
    async fn read(&mut self) -> Result<(), StreamError> {
        let outcome = match self.outcome.wait_for(Option::is_some).await {
            Ok(outcome) => outcome.clone(),
            Err(_) => None,
        };
        match outcome {
            Some(Ok(())) => {}
            Some(Err(SubscribeError::Refused(reason))) => {
                return Err(StreamError::Refused(Arc::new(std::io::Error::other(reason.to_string()))));
            }
            // The bus has been dropped.
            _ => return Err(StreamError::Disconnected),
        }
        // What has come before is among what is read.
        while self.published.try_recv().is_ok() {}
        self.subscribed.entry.has_overflowed();
        match self.shared.read(&self.stream, self.after, BATCH).await {
            Ok(batch) => {
                self.is_current = batch.entries.len() < BATCH;
                self.next = batch.entries.into();
                self.recheck = Instant::now() + RECHECK;
                Ok(())
            }
            Err(StreamError::Disconnected) => {
                // The outcome shows it soon, if the connection is lost.
                sleep(PAUSE).await;
                Ok(())
            }
            Err(error) => Err(error),
        }
    }

    /// Waits for the next entry, or for a reason to read.
    async fn wait(&mut self) {
        tokio::select! {
            biased;
            changed = self.outcome.changed() => {
                _ = changed;
                self.is_current = false;
            }
            published = self.published.recv() => match published.as_ref().and_then(parse) {
                Some(published) if published.entry.position.stream != self.after.stream => self.is_current = false,
                // It has been read.
                Some(published) if published.entry.position.number <= self.after.number => {}
                Some(published) if published.before == self.after.number => {
                    self.next.push_back(published.entry);
                }
                _ => self.is_current = false,
            },
            () = sleep_until(self.recheck) => self.is_current = false,
        }
        if self.subscribed.entry.has_overflowed() {
            self.is_current = false;
        }
    }
}

impl Follow for Follower {
    fn next(&mut self) -> BoxFuture<'_, Result<Entry, StreamError>> {
        Box::pin(async {
            if let Some(failed) = &self.failed {
                return Err(failed.clone());
            }
            let outcome = self.advance().await;
            if let Err(error) = &outcome {
                self.failed = Some(error.clone());
            }
            outcome
        })
    }
}

/// What the server publishes with an entry.
#[derive(Debug, PartialEq)]
struct Published {
    before: u64,
    entry: Entry,
}

fn parse(published: &Bytes) -> Option<Published> {
    let mut parts = published.splitn(4, |&byte| byte == b' ');
    let life = std::str::from_utf8(parts.next()?).ok()?.parse().ok()?;
    let before = parse_place(parts.next()?)?;
    let number = parse_place(parts.next()?)?;
    let payload = published.slice_ref(parts.next()?);
    Some(Published {
        before,
        entry: Entry { position: Position { stream: StreamId(life), number }, payload },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_published_is_parsed_or_ignored() {
        let published = parse(&Bytes::from_static(b"7 1-0 2-1 a b  c")).unwrap();
        assert_eq!((published.before, published.entry.position.number), (1 << 20, (2 << 20) + 1));
        assert_eq!(
            (published.entry.position.stream, &published.entry.payload[..]),
            (StreamId(7), &b"a b  c"[..])
        );
        assert_eq!(parse(&Bytes::from_static(b"7 1-0 2-1 ")).unwrap().entry.payload, "");
        for text in ["", "7", "7 1-0 2-1", "7 1-0 2 x", "x 1-0 2-1 y", "-1 1-0 2-1 y", "7  2-1 y"] {
            assert_eq!(parse(&Bytes::copy_from_slice(text.as_bytes())), None, "{text}");
        }
    }
}
