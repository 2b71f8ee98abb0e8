//! Following a stream.
//!
//! With each entry the server publishes its number and that of the entry before it. So one who has seen all up to some
//! number knows whether the next one that comes is the next one of the stream, and reads the stream only where it is not:
//! at first, after a lost connection, and after a loss.
//!
//! Imports: registry, shared, store.

use std::{collections::VecDeque, sync::Arc, time::Duration};

use async_nats::{HeaderMap, Message, Subscriber};
use sockjs_bus::{BoxFuture, Entry, Follow, Position, StreamError, Subject, SubscribeError};
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, sleep, sleep_until},
};

use crate::{
    registry::{Outcome, next},
    shared::{Guard, Shared},
    store::{Raw, Store, is_mark},
};

/// One who follows a stream.
pub(crate) struct Follower {
    shared: Arc<Shared>,
    stream: Subject,
    _guard: Guard,
    outcome: watch::Receiver<Outcome>,
    /// What the server sends, of one connection after the other.
    fed: mpsc::UnboundedReceiver<Subscriber>,
    published: Option<Subscriber>,
    /// What has been given.
    after: Position,
    /// What comes next, without a hole.
    next: VecDeque<Raw>,
    /// Whether what is published from now on begins where `next` ends.
    is_current: bool,
    /// When the stream is read, though nothing says that something is missing.
    recheck: Instant,
    failed: Option<StreamError>,
}

/// Entries that are read at once.
const BATCH: usize = 256;
/// How often the stream is read without need: the last message before a silence may have been lost.
const RECHECK: Duration = Duration::from_secs(60);
/// The pause after a read that failed.
const PAUSE: Duration = Duration::from_millis(100);

impl Follower {
    pub(crate) fn new(
        shared: &Arc<Shared>,
        added: &mpsc::UnboundedSender<u64>,
        stream: &Subject,
        after: Position,
    ) -> Self {
        let subject = Store::published(&shared.options, after.stream, stream);
        let (id, entry, fed) = shared.registry.add(subject.into());
        _ = added.send(id);
        Self {
            shared: Arc::clone(shared),
            stream: stream.clone(),
            _guard: Guard { shared: Arc::clone(shared), id },
            outcome: entry.outcome.subscribe(),
            fed,
            published: None,
            after,
            next: VecDeque::new(),
            is_current: false,
            recheck: Instant::now() + RECHECK,
            failed: None,
        }
    }

    async fn advance(&mut self) -> Result<Entry, StreamError> {
        loop {
            if let Some(raw) = self.next.pop_front() {
                self.after.number = raw.number;
                if raw.is_mark {
                    continue;
                }
                return Ok(Entry { position: self.after, payload: raw.payload });
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
        while let Ok(new) = self.fed.try_recv() {
            self.published = Some(new);
        }
        match self.shared.read(&self.stream, self.after, BATCH).await {
            Ok((_, raw)) => {
                self.is_current = raw.entries.len() < BATCH;
                self.next = raw.entries.into();
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
            _ = self.outcome.changed() => self.is_current = false,
            new = self.fed.recv() => {
                self.published = new;
                self.is_current = false;
            }
            message = next(&mut self.published) => match parse(message) {
                // It has been read.
                Some(published) if published.raw.number <= self.after.number => {}
                Some(published) if published.before == self.after.number => self.next.push_back(published.raw),
                _ => self.is_current = false,
            },
            () = sleep_until(self.recheck) => self.is_current = false,
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
struct Published {
    before: u64,
    raw: Raw,
}

fn parse(message: Message) -> Option<Published> {
    let headers = message.headers?;
    let number = |headers: &HeaderMap, name| headers.get(name)?.as_str().parse().ok();
    Some(Published {
        before: number(&headers, "Nats-Last-Sequence")?,
        raw: Raw {
            number: number(&headers, "Nats-Sequence")?,
            payload: message.payload,
            is_mark: is_mark(&headers),
        },
    })
}
