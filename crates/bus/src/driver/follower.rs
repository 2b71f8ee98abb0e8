//! Following a stream whose entries are published as well.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::{Instant, sleep, timeout_at};

use crate::{
    bus::SubscribeError,
    streams::{BoxFuture, Entry, Follow, Position, StreamError},
};

/// Entries of one stream, by both ways in which an engine gives them: published when they are appended, each with the
/// number of the one before it, and stored.
pub trait Feed: Send {
    /// How many entries are read at once.
    const BATCH: usize;

    /// Waits until each entry that is appended from then on is heard, unless it is lost. What was heard before may be
    /// forgotten.
    ///
    /// The future can be dropped.
    fn begin(&mut self) -> impl Future<Output = Result<(), SubscribeError>> + Send;

    /// The next entry that is published, or `None` if one may have been lost.
    ///
    /// The future can be dropped: nothing is lost by that.
    fn hear(&mut self) -> impl Future<Output = Option<Heard>> + Send;

    /// Reads so many entries behind a position.
    ///
    /// The future can be dropped.
    fn read(
        &self,
        after: Position,
        max: usize,
    ) -> impl Future<Output = Result<Vec<Item>, StreamError>> + Send;
}

/// An entry, or a place where the driver itself has put something that nobody is given.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// Where it stands.
    pub position: Position,
    /// What was appended, if it is an entry.
    pub payload: Option<Bytes>,
    /// How long ago that was.
    pub age: Duration,
}

/// What was published when something was appended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heard {
    /// The number of what stands before it.
    pub before: u64,
    /// It.
    pub item: Item,
}

/// One who follows a stream.
///
/// One who has seen all up to some number knows whether the next entry that is published is the next one of the stream.
/// So the stream is read only where it is not: at first, after a lost connection, and after a loss.
#[derive(Debug)]
pub struct Follower<F> {
    feed: F,
    /// What has been given.
    after: Position,
    /// What comes next, without a hole.
    next: VecDeque<Item>,
    /// Whether what is heard from now on begins where `next` ends.
    is_current: bool,
    /// When the stream is read, though nothing says that something is missing.
    recheck: Instant,
    failed: Option<StreamError>,
}

/// How often the stream is read without need: the last message before a silence may have been lost.
const RECHECK: Duration = Duration::from_secs(60);
/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

impl<F: Feed> Follower<F> {
    /// Begins behind this position.
    #[must_use]
    pub fn new(feed: F, after: Position) -> Self {
        let recheck = Instant::now() + RECHECK;
        Self { feed, after, next: VecDeque::new(), is_current: false, recheck, failed: None }
    }

    async fn advance(&mut self) -> Result<Entry, StreamError> {
        loop {
            if let Some(Item { position, payload, age }) = self.next.pop_front() {
                self.after = position;
                if let Some(payload) = payload {
                    return Ok(Entry { position, payload, age });
                }
            } else if self.is_current {
                self.hear().await;
            } else {
                self.read().await?;
            }
        }
    }

    /// Reads what is behind the last one that was given.
    async fn read(&mut self) -> Result<(), StreamError> {
        match self.feed.begin().await {
            Ok(()) => {}
            Err(SubscribeError::Refused(reason)) => {
                return Err(StreamError::Refused(Arc::new(std::io::Error::other(reason.to_string()))));
            }
            // The bus has been dropped.
            Err(SubscribeError::Closed) => return Err(StreamError::Disconnected),
        }
        match self.feed.read(self.after, F::BATCH).await {
            Ok(items) => {
                self.is_current = items.len() < F::BATCH;
                self.next = items.into();
                self.recheck = Instant::now() + RECHECK;
            }
            // The feed knows it soon, if the connection is lost.
            Err(StreamError::Disconnected) => sleep(PAUSE).await,
            Err(error) => return Err(error),
        }
        Ok(())
    }

    /// Waits for the next entry, or for a reason to read.
    async fn hear(&mut self) {
        match timeout_at(self.recheck, self.feed.hear()).await.ok().flatten() {
            Some(Heard { before, item }) if item.position.stream == self.after.stream => {
                if before == self.after.number {
                    self.next.push_back(item);
                } else if item.position.number > self.after.number {
                    self.is_current = false;
                }
            }
            _ => self.is_current = false,
        }
    }
}

impl<F: Feed> Follow for Follower<F> {
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
