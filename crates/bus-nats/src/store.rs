//! The JetStream stream that holds all streams.
//!
//! Its subjects have a random number in them, which is the streams' id: whoever appends or reads with the number of a
//! stream that is no more reaches none. A position is whole if its entry is there, since what is dropped of a subject is
//! dropped from its beginning. So that each position has an entry, a stream without entries gets an empty one, a mark,
//! when somebody asks where it ends.
//!
//! Imports: options.

use std::{
    sync::Arc,
    time::{Duration, SystemTime},
};

use async_nats::{
    Client, HeaderMap,
    jetstream::{
        self, Context, ErrorCode,
        consumer::{AckPolicy, Consumer, DeliverPolicy, pull},
        context::{CreateStreamErrorKind, GetStreamErrorKind},
        stream::{
            Config, DiscardPolicy, LastRawMessageErrorKind, RawMessageError, Republish, StorageType, Stream,
        },
    },
};
use bytes::Bytes;
use futures_util::StreamExt;
use sockjs_bus::{Batch, Entry, Position, StreamError, StreamId, Subject, driver::Item};

use crate::options::Options;

/// The header of a mark.
const MARK: &str = "Sockjs-Mark";
/// Entries that are asked for one after the other, before it is worth a consumer.
const FEW: usize = 4;
/// Entries that a consumer sends at once.
const FETCH: usize = 256;
/// How often something is tried again that others have changed meanwhile.
const ATTEMPTS: usize = 5;
/// So many entries more than are wanted are read rather than asked for a better place to begin.
const SLACK: u64 = 64;
/// How often a place is tried from which the last entries are read. Each halves what is left of 64 bits, at least.
const PROBES: usize = 80;

/// The JetStream stream of one life.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    pub(crate) id: StreamId,
    pub(crate) context: Context,
    stream: Stream,
    prefix: Arc<str>,
}

/// An entry or a mark.
#[derive(Debug, Clone)]
pub(crate) struct Raw {
    pub(crate) number: u64,
    pub(crate) payload: Bytes,
    pub(crate) is_mark: bool,
    /// When the server took it.
    at: SystemTime,
}

impl Raw {
    fn age(&self) -> Duration {
        self.at.elapsed().unwrap_or_default()
    }

    pub(crate) fn into_item(self, stream: StreamId) -> Item {
        let position = Position { stream, number: self.number };
        let age = self.age();
        Item { position, payload: (!self.is_mark).then_some(self.payload), age }
    }
}

/// What is read at once.
pub(crate) struct RawBatch {
    pub(crate) entries: Vec<Raw>,
    pub(crate) end: u64,
}

impl Store {
    pub(crate) async fn open(client: Client, options: &Options) -> Result<Self, StreamError> {
        let mut context = jetstream::new(client);
        context.set_timeout(options.connect_timeout);
        let name = &options.stream_name;
        for _ in 0..ATTEMPTS {
            match context.get_stream(name).await {
                Ok(stream) => return Self::of(context, stream, options),
                Err(error) => match error.kind() {
                    GetStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {}
                    GetStreamErrorKind::JetStream(error) => {
                        return Err(StreamError::Refused(Arc::new(error)));
                    }
                    _ => return Err(StreamError::Disconnected),
                },
            }
            if let Err(error) = context.create_stream(config(options)).await {
                match error.kind() {
                    // Another node was quicker.
                    CreateStreamErrorKind::JetStream(error)
                        if error.error_code() == ErrorCode::STREAM_NAME_EXIST => {}
                    CreateStreamErrorKind::JetStream(error) => {
                        return Err(StreamError::Refused(Arc::new(error)));
                    }
                    CreateStreamErrorKind::TimedOut => return Err(StreamError::Disconnected),
                    _ => return Err(StreamError::Refused(Arc::new(error))),
                }
            }
        }
        Err(StreamError::Disconnected)
    }

    fn of(context: Context, stream: Stream, options: &Options) -> Result<Self, StreamError> {
        let subjects = &stream.cached_info().config.subjects;
        let id = subjects.first().and_then(|subject| {
            let rest = subject.strip_prefix(&options.stream_name)?.strip_prefix('.')?;
            rest.strip_suffix(".>")?.parse().ok()
        });
        let Some(id) = id else {
            let what = format!("the JetStream stream {} is not one of this driver", options.stream_name);
            return Err(StreamError::Refused(Arc::new(std::io::Error::other(what))));
        };
        let prefix = format!("{}.{id}.", options.stream_name).into();
        Ok(Self { id: StreamId(id), context, stream, prefix })
    }

    /// The subject of a stream.
    pub(crate) fn subject(&self, stream: &Subject) -> String {
        format!("{}{stream}", self.prefix)
    }

    /// What the server publishes entries to when it has them.
    pub(crate) fn published(options: &Options, id: StreamId, stream: &Subject) -> String {
        format!("{}-entries.{}.{stream}", options.stream_name, id.0)
    }

    /// The entry with a number, if it is there and of the stream.
    async fn has(&self, stream: &Subject, number: u64) -> Result<bool, StreamError> {
        if number == 0 {
            return Ok(false);
        }
        match self.stream.get_raw_message(number).await {
            Ok(message) => Ok(message.subject.as_str() == self.subject(stream)),
            Err(error) => not_found(&error).map(|()| false),
        }
    }

    /// The number of the newest entry.
    async fn newest(&self, stream: &Subject) -> Result<Option<u64>, StreamError> {
        match self.stream.get_last_raw_message_by_subject(&self.subject(stream)).await {
            Ok(message) => Ok(Some(message.sequence)),
            Err(error) => not_found(&error).map(|()| None),
        }
    }

    /// Reads what is behind a number, marks too.
    pub(crate) async fn read(
        &self,
        stream: &Subject,
        after: Position,
        max: usize,
    ) -> Result<RawBatch, StreamError> {
        if after.stream != self.id {
            return Err(StreamError::Gone);
        }
        let mut end = self.newest(stream).await?.ok_or(StreamError::Gone)?;
        let mut entries = Vec::new();
        if end > after.number && max > 0 {
            entries = self.behind(stream, after.number, max).await?;
        }
        // What is dropped is dropped from the beginning: if this one is there now, nothing behind it was dropped before.
        if !self.has(stream, after.number).await? {
            return Err(StreamError::Gone);
        }
        if let Some(last) = entries.last() {
            end = end.max(last.number);
        }
        Ok(RawBatch { entries, end })
    }

    /// What is there behind a number, perhaps with a hole.
    async fn behind(&self, stream: &Subject, mut number: u64, max: usize) -> Result<Vec<Raw>, StreamError> {
        let subject = self.subject(stream);
        let mut entries = Vec::new();
        while entries.len() < max.min(FEW) {
            match self.stream.get_first_raw_message_by_subject(&subject, number + 1).await {
                Ok(message) => {
                    number = message.sequence;
                    let is_mark = is_mark(&message.headers);
                    let at = message.time.into();
                    entries.push(Raw { number, payload: message.payload, is_mark, at });
                }
                Err(error) => {
                    not_found(&error)?;
                    return Ok(entries);
                }
            }
        }
        if entries.len() < max {
            let policy = DeliverPolicy::ByStartSequence { start_sequence: number + 1 };
            entries.extend(self.consume(&subject, policy, max - entries.len()).await?);
        }
        Ok(entries)
    }

    /// Reads with a consumer of its own.
    async fn consume(
        &self,
        subject: &str,
        policy: DeliverPolicy,
        max: usize,
    ) -> Result<Vec<Raw>, StreamError> {
        let consumer = self.consumer(subject, policy).await?;
        let entries = self.fetch(&consumer, max).await;
        self.delete(&consumer).await;
        entries
    }

    async fn consumer(
        &self,
        subject: &str,
        policy: DeliverPolicy,
    ) -> Result<Consumer<pull::Config>, StreamError> {
        let config = pull::Config {
            filter_subject: subject.to_owned(),
            deliver_policy: policy,
            ack_policy: AckPolicy::None,
            memory_storage: true,
            num_replicas: 1,
            inactive_threshold: Duration::from_secs(30),
            ..Default::default()
        };
        self.stream.create_consumer(config).await.map_err(|_| StreamError::Disconnected)
    }

    async fn delete(&self, consumer: &Consumer<pull::Config>) {
        // If this fails it goes by itself.
        _ = self.stream.delete_consumer(&consumer.cached_info().name).await;
    }

    /// Reads what a new consumer has.
    async fn fetch(&self, consumer: &Consumer<pull::Config>, max: usize) -> Result<Vec<Raw>, StreamError> {
        let pending = usize::try_from(pending(consumer)).unwrap_or(usize::MAX).min(max);
        let mut entries = Vec::new();
        while entries.len() < pending {
            let count = FETCH.min(pending - entries.len());
            // Beyond these nothing waits: there may be fewer, if some have been dropped.
            let fetched = consumer.fetch().max_messages(count).messages().await;
            let mut fetched = fetched.map_err(|_| StreamError::Disconnected)?;
            let before = entries.len();
            while let Some(message) = fetched.next().await {
                let message = message.map_err(|_| StreamError::Disconnected)?;
                let Ok(info) = message.info() else { continue };
                let (number, at) = (info.stream_sequence, info.published.into());
                let is_mark = message.headers.as_ref().is_some_and(is_mark);
                entries.push(Raw { number, payload: message.message.payload, is_mark, at });
            }
            if entries.len() == before {
                break;
            }
        }
        Ok(entries)
    }

    /// Reads the last entries, without marks.
    pub(crate) async fn last(&self, stream: &Subject, max: usize) -> Result<RawBatch, StreamError> {
        let subject = self.subject(stream);
        // One more, in place of a mark.
        let mut wanted = (max as u64).saturating_add(1);
        for _ in 0..ATTEMPTS {
            let Some(end) = self.newest(stream).await? else {
                self.mark(stream).await?;
                continue;
            };
            if max == 0 {
                return Ok(RawBatch { entries: Vec::new(), end });
            }
            let (consumer, is_whole) = self.before(&subject, end, wanted).await?;
            let entries = self.fetch(&consumer, usize::MAX).await;
            self.delete(&consumer).await;
            let mut entries = entries?;
            let Some(newest) = entries.last().map(|entry| entry.number) else { continue };
            entries.retain(|entry| !entry.is_mark);
            if entries.len() < max && !is_whole {
                wanted = wanted.saturating_mul(2);
                continue;
            }
            entries.drain(..entries.len().saturating_sub(max));
            // As in reading: if the first is still there, they are without a hole.
            match entries.first() {
                Some(first) if !self.has(stream, first.number).await? => {}
                _ => return Ok(RawBatch { entries, end: end.max(newest) }),
            }
        }
        Err(StreamError::Disconnected)
    }

    /// A consumer of the last entries of a subject: as many as are wanted, or up to about twice as many. And whether it has
    /// all there are.
    ///
    /// Numbers are those of all streams, so where to begin is not known. But a new consumer says how many entries it has,
    /// and none of them is sent before it is asked for.
    async fn before(
        &self,
        subject: &str,
        end: u64,
        wanted: u64,
    ) -> Result<(Consumer<pull::Config>, bool), StreamError> {
        let limit = wanted.saturating_mul(2).saturating_add(SLACK);
        let whole = self.consumer(subject, DeliverPolicy::All).await?;
        if pending(&whole) <= limit {
            return Ok((whole, true));
        }
        // How far before the end there are too few, and how far too many.
        let (mut few, mut many) = (0, None);
        let mut distance = wanted;
        for _ in 0..PROBES {
            let start = end.saturating_sub(distance).saturating_add(1);
            let policy = DeliverPolicy::ByStartSequence { start_sequence: start };
            let consumer = self.consumer(subject, policy).await?;
            let found = pending(&consumer);
            if (wanted..=limit).contains(&found) {
                self.delete(&whole).await;
                return Ok((consumer, false));
            }
            self.delete(&consumer).await;
            if found < wanted && start > 1 {
                few = distance;
            } else {
                many = Some(distance);
            }
            distance = match many {
                Some(many) => few + (many - few) / 2,
                // So far that there would be a few too many, if they stood evenly.
                None => {
                    distance.saturating_mul((wanted.saturating_mul(3) / 2 / found.max(1)).clamp(2, 1 << 16))
                }
            };
        }
        // Entries are dropped faster than they are counted.
        Ok((whole, true))
    }

    async fn mark(&self, stream: &Subject) -> Result<(), StreamError> {
        let mut headers = HeaderMap::new();
        headers.insert(MARK, "1");
        let published = self.context.publish_with_headers(self.subject(stream), headers, Bytes::new()).await;
        let acknowledged = published.map_err(|_| StreamError::Disconnected)?.await;
        acknowledged.map(drop).map_err(|_| StreamError::Disconnected)
    }

    /// Drops all entries but the last ones.
    pub(crate) async fn trim(&self, stream: &Subject, keep: usize) {
        // The one before them makes the position behind which all of them are. If this fails, the next time does it.
        _ = self.stream.purge().filter(self.subject(stream)).keep(keep as u64 + 1).await;
    }

    pub(crate) fn position(&self, number: u64) -> Position {
        Position { stream: self.id, number }
    }

    pub(crate) fn batch(&self, raw: RawBatch) -> Batch {
        let entries = raw.entries.into_iter().filter(|entry| !entry.is_mark);
        let entries = entries
            .map(|entry| Entry {
                position: self.position(entry.number),
                age: entry.age(),
                payload: entry.payload,
            })
            .collect();
        Batch { entries, end: self.position(raw.end) }
    }
}

/// Whether an error says that there is no such entry.
fn not_found(error: &RawMessageError) -> Result<(), StreamError> {
    match error.kind() {
        LastRawMessageErrorKind::NoMessageFound => Ok(()),
        LastRawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::NO_MESSAGE_FOUND => {
            Ok(())
        }
        LastRawMessageErrorKind::JetStream(error) if error.error_code() == ErrorCode::STREAM_NOT_FOUND => {
            Err(StreamError::Gone)
        }
        LastRawMessageErrorKind::JetStream(error) => Err(StreamError::Refused(Arc::new(error))),
        _ => Err(StreamError::Disconnected),
    }
}

/// How many entries a new consumer has.
fn pending(consumer: &Consumer<pull::Config>) -> u64 {
    consumer.cached_info().num_pending
}

/// Whether a message is a mark.
pub(crate) fn is_mark(headers: &HeaderMap) -> bool {
    headers.get(MARK).is_some()
}

fn config(options: &Options) -> Config {
    let name = &options.stream_name;
    let mut bytes = [0; 8];
    getrandom::fill(&mut bytes).expect("the operating system gives random bytes");
    let id = u64::from_be_bytes(bytes);
    Config {
        name: name.clone(),
        description: Some("streams of sockjs-bus".to_owned()),
        subjects: vec![format!("{name}.{id}.>")],
        max_messages: -1,
        max_messages_per_subject: i64::try_from(options.stream_max_entries).unwrap_or(i64::MAX),
        max_bytes: i64::try_from(options.stream_max_bytes).unwrap_or(i64::MAX),
        max_age: options.stream_max_age,
        discard: DiscardPolicy::Old,
        storage: StorageType::File,
        num_replicas: options.stream_replicas,
        // A message is appended once: nothing is to be kept for finding it again.
        duplicate_window: Duration::from_millis(100),
        republish: Some(Republish {
            source: format!("{name}.{id}.>"),
            destination: format!("{name}-entries.{id}.>"),
            headers_only: false,
        }),
        ..Default::default()
    }
}
