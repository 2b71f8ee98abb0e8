//! A part of a bus that belongs to one purpose, where what is lost is counted.
//!
//! Imports: bus, claims, node_id, recent, streams, subject.

use std::{
    hash::{DefaultHasher, Hash, Hasher},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering::Relaxed},
    },
};

use bytes::{BufMut, Bytes, BytesMut};
use data_encoding::BASE64URL_NOPAD;

use crate::{
    bus::{Bus, PublishError, Receiver, Subscription},
    claims::Claim,
    node_id::NodeId,
    recent::Recent,
    streams::{BoxFuture, Streams},
    subject::{InvalidSubject, Subject},
};

/// A namespace on a [`Bus`], in which one node publishes and subscribes: rooms have one, a broker another one.
///
/// Each message gets a header with the node that publishes it and its number among those that this node has published to
/// the subject. So whoever subscribes is told [who it is from](Delivery::from) and [how many are
/// missing](Delivery::missed) before it; what the node itself has published, and what is delivered a second time, is
/// dropped.
///
/// # What is counted
///
/// A hole is seen when the next message comes from the same node with the same subject: what is lost at the end is
/// not known before. What was published before a subscription began is not missed. Of a subject that a node did not
/// publish to while it did to 65,536 others, the numbers begin anew, and what was lost last is not counted.
#[derive(Debug)]
pub struct Port {
    /// It ends before the bus does.
    claim: Mutex<Option<Claim>>,
    bus: Arc<dyn Bus>,
    namespace: Subject,
    node: NodeId,
    /// In parts, since each is locked while the bus takes a message.
    sequences: [Mutex<Recent<Subject, Sequence>>; SHARDS],
    epochs: AtomicU64,
    /// Changes while all sequences are locked.
    is_closed: AtomicBool,
    counters: Arc<Counters>,
}

/// The numbers of one subject that a node publishes to, or that another one has seen of it.
#[derive(Debug, Clone, Copy)]
struct Sequence {
    /// Grows each time that the numbers begin anew.
    epoch: u64,
    /// The number of the last message; the first has 1.
    number: u64,
}

const SHARDS: usize = 16;
/// Subjects whose numbers are kept, in each shard. Fewer for tests, which have to go beyond.
const SUBJECTS: usize = if cfg!(test) { 64 } else { 4096 };
/// Nodes whose numbers a subscription keeps.
const NODES: usize = 1024;
/// The layout of the header and of what [`Port`]s of this version put behind it.
const VERSION: u8 = 1;
const HEADER: usize = 1 + 16 + 8 + 8;

/// A message that has come to a [`Port`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Delivery {
    /// The node that has published it.
    pub from: NodeId,
    /// How many messages of this node and subject are missing between the last one and this one.
    pub missed: u64,
    /// What was published.
    pub payload: Bytes,
}

/// What a [`Port`] has counted since it was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct PortStats {
    /// Messages that the bus has taken.
    pub published: u64,
    /// Messages that the bus has refused.
    pub refused: u64,
    /// Messages of other nodes.
    pub received: u64,
    /// Messages of other nodes that are missing between others.
    pub missed: u64,
    /// Messages that came again or too late, and were dropped.
    pub repeated: u64,
    /// Messages that no port has sent, and were dropped.
    pub invalid: u64,
}

#[derive(Debug, Default)]
struct Counters {
    published: AtomicU64,
    refused: AtomicU64,
    received: AtomicU64,
    missed: AtomicU64,
    repeated: AtomicU64,
    invalid: AtomicU64,
}

impl Port {
    /// The port with this namespace, such as `"chat.rooms"`, of a new node.
    ///
    /// Applications that share an engine have different namespaces, and all nodes of one the same.
    ///
    /// # Errors
    ///
    /// If the namespace is no [`Subject`].
    pub fn new(bus: Arc<dyn Bus>, namespace: &str) -> Result<Self, InvalidSubject> {
        Ok(Self {
            claim: Mutex::default(),
            bus,
            namespace: Subject::new(namespace)?,
            node: NodeId::random(),
            sequences: std::array::from_fn(|_| Mutex::new(Recent::new(SUBJECTS))),
            epochs: AtomicU64::new(1),
            is_closed: AtomicBool::new(false),
            counters: Arc::default(),
        })
    }

    /// Claims the namespace on this bus, the very `Arc`, for this port: until it is dropped or [closed](Self::close), no
    /// other one of this process gets it. Returns whether it is the port's.
    ///
    /// Two applications in one process that share a bus and do not know of each other find out so. Ports that claim
    /// nothing are not hindered.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use sockjs_bus::{Bus, InProcess, Port};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let bus: Arc<dyn Bus> = Arc::new(InProcess::new().connect());
    /// let port = |namespace| Port::new(Arc::clone(&bus), namespace).unwrap();
    /// let chat = port("chat");
    /// assert!(chat.claim());
    /// assert!(port("games").claim() && !port("chat").claim());
    /// drop(chat);
    /// assert!(port("chat").claim());
    /// # }
    /// ```
    #[must_use = "it may be another one's"]
    pub fn claim(&self) -> bool {
        let mut claim = self.claim.lock().unwrap_or_else(PoisonError::into_inner);
        if claim.is_none() && !self.is_closed() {
            *claim = Claim::new(&self.bus, &self.namespace);
        }
        claim.is_some()
    }

    /// The node: the one that others see as the [sender](Delivery::from).
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.node
    }

    /// The bus below.
    #[must_use]
    pub fn bus(&self) -> &Arc<dyn Bus> {
        &self.bus
    }

    /// The subject or stream of this kind and key within the namespace. A key may have any bytes.
    ///
    /// # Errors
    ///
    /// If the kind is no [`Subject`], or the whole would be too long. A key of up to 300 bytes fits beside a namespace
    /// and kind of up to 100.
    ///
    /// ```
    /// use std::sync::Arc;
    /// use sockjs_bus::{InProcess, Port};
    ///
    /// # #[tokio::main(flavor = "current_thread")]
    /// # async fn main() {
    /// let port = Port::new(Arc::new(InProcess::new().connect()), "chat.rooms").unwrap();
    /// assert_eq!(port.subject("room", b"rust").unwrap().as_str(), "chat.rooms.room.kcnVzdA");
    /// # }
    /// ```
    pub fn subject(&self, kind: &str, key: &[u8]) -> Result<Subject, InvalidSubject> {
        let namespace = self.namespace.as_str();
        let len = namespace.len() + kind.len() + "..k".len() + BASE64URL_NOPAD.encode_len(key.len());
        let mut text = String::with_capacity(len);
        // The k: a token is not empty.
        for part in [namespace, ".", kind, ".k"] {
            text.push_str(part);
        }
        BASE64URL_NOPAD.encode_append(key, &mut text);
        Subject::new(&text)
    }

    /// The most bytes that a message may have: a little less than on the bus itself.
    #[must_use]
    pub fn max_payload(&self) -> usize {
        self.bus.max_payload().saturating_sub(HEADER)
    }

    /// Publishes a last message, as [`publish`](Self::publish), after which no more is published by any thread: each is
    /// refused with [`PublishError::Disconnected`]. Waits until [the bus has handed it over](Bus::flush). The others are
    /// still heard.
    ///
    /// Called again, it only waits.
    ///
    /// # Cancel safety
    ///
    /// The message is published by the call itself, and the future can be dropped.
    pub fn close(&self, subject: &Subject, parts: &[&[u8]]) -> BoxFuture<'_, ()> {
        let was_closed = {
            let _nothing_else = self.sequences.each_ref().map(|each| each.lock());
            self.is_closed.swap(true, Relaxed)
        };
        if !was_closed {
            // What is refused cannot be said.
            self.publish_anyway(subject, parts, true).ok();
            self.claim.lock().unwrap_or_else(PoisonError::into_inner).take();
        }
        self.bus.flush()
    }

    /// Whether [`close`](Self::close) has been called.
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.is_closed.load(Relaxed)
    }

    /// Publishes a message, which is these parts one behind the other, to the other nodes. It never waits.
    ///
    /// # Errors
    ///
    /// The message has not been sent. Such a message is not counted as missing at other nodes.
    pub fn publish(&self, subject: &Subject, parts: &[&[u8]]) -> Result<(), PublishError> {
        self.publish_anyway(subject, parts, false)
    }

    /// `is_last`: also if the port is closed.
    fn publish_anyway(&self, subject: &Subject, parts: &[&[u8]], is_last: bool) -> Result<(), PublishError> {
        let len = parts.iter().map(|part| part.len()).sum::<usize>();
        let mut payload = BytesMut::with_capacity(HEADER + len);
        payload.put_u8(VERSION);
        payload.put_slice(&self.node.to_bytes());
        payload.put_bytes(0, 16);
        parts.iter().for_each(|part| payload.put_slice(part));

        let mut hasher = DefaultHasher::new();
        subject.hash(&mut hasher);
        let shard = &self.sequences[hasher.finish() as usize % SHARDS];
        let result = {
            // The bus takes it under the lock, so that the order of the numbers is the order on the bus. It only puts
            // it into a queue.
            let mut sequences = shard.lock().unwrap_or_else(PoisonError::into_inner);
            let new = || Sequence { epoch: self.epochs.fetch_add(1, Relaxed), number: 0 };
            let last = sequences.get_or_insert_with(subject, new);
            payload[17..25].copy_from_slice(&last.epoch.to_be_bytes());
            payload[25..33].copy_from_slice(&(last.number + 1).to_be_bytes());
            let result = match self.is_closed.load(Relaxed) && !is_last {
                false => self.bus.publish(subject, payload.freeze()),
                true => Err(PublishError::Disconnected),
            };
            last.number += u64::from(result.is_ok());
            result
        };
        let counter = if result.is_ok() { &self.counters.published } else { &self.counters.refused };
        counter.fetch_add(1, Relaxed);
        result.map_err(|error| match error {
            PublishError::TooLarge { max } => PublishError::TooLarge { max: max.saturating_sub(HEADER) },
            PublishError::Disconnected | PublishError::Full => error,
        })
    }

    /// Subscribes to a subject: the receiver gets what the other nodes publish, as a [`Receiver`] does.
    pub fn subscribe(
        &self,
        subject: &Subject,
        receiver: impl Fn(Delivery) + Send + Sync + 'static,
    ) -> Subscription {
        let node = self.node;
        let counters = Arc::clone(&self.counters);
        let seen = Mutex::new(Recent::new(NODES));
        let take: Receiver = Arc::new(move |payload| {
            let Some(header) = Header::split(payload) else {
                counters.invalid.fetch_add(1, Relaxed);
                return;
            };
            if header.from == node {
                return;
            }
            let missed = {
                let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
                header.missed_since(seen.get_or_insert_with(&header.from, || header.before()))
            };
            let Some(missed) = missed else {
                counters.repeated.fetch_add(1, Relaxed);
                return;
            };
            counters.received.fetch_add(1, Relaxed);
            counters.missed.fetch_add(missed, Relaxed);
            receiver(Delivery { from: header.from, missed, payload: header.payload });
        });
        self.bus.subscribe(subject, take)
    }

    /// The streams of the bus, if it has them. Their names are [`subject`](Self::subject)s; their entries have no header.
    #[must_use]
    pub fn streams(&self) -> Option<&dyn Streams> {
        self.bus.streams()
    }

    /// What has been counted since the port was made.
    #[must_use]
    pub fn stats(&self) -> PortStats {
        PortStats {
            published: self.counters.published.load(Relaxed),
            refused: self.counters.refused.load(Relaxed),
            received: self.counters.received.load(Relaxed),
            missed: self.counters.missed.load(Relaxed),
            repeated: self.counters.repeated.load(Relaxed),
            invalid: self.counters.invalid.load(Relaxed),
        }
    }
}

/// A message of any port, taken apart.
struct Header {
    from: NodeId,
    sequence: Sequence,
    payload: Bytes,
}

impl Header {
    /// `None` if no port has sent it.
    fn split(mut payload: Bytes) -> Option<Self> {
        let (header, _) = payload.split_first_chunk::<HEADER>()?;
        let (version, rest) = header.split_first()?;
        let (from, rest) = rest.split_first_chunk::<16>()?;
        let (epoch, rest) = rest.split_first_chunk::<8>()?;
        let (number, _) = rest.split_first_chunk::<8>()?;
        let sequence = Sequence { epoch: u64::from_be_bytes(*epoch), number: u64::from_be_bytes(*number) };
        if *version != VERSION || sequence.number == 0 {
            return None;
        }
        let from = NodeId::from_bytes(*from);
        Some(Self { from, sequence, payload: payload.split_off(HEADER) })
    }

    /// What had been seen, if nothing is missing before this one.
    fn before(&self) -> Sequence {
        Sequence { number: self.sequence.number - 1, ..self.sequence }
    }

    /// How many are missing between the last one that was seen and this one, which is the last one from then on.
    /// `None` if this one has been seen, or comes too late.
    fn missed_since(&self, seen: &mut Sequence) -> Option<u64> {
        let now = self.sequence;
        if (now.epoch, now.number) <= (seen.epoch, seen.number) {
            return None;
        }
        let before = if now.epoch == seen.epoch { seen.number } else { 0 };
        *seen = now;
        Some(now.number - before - 1)
    }
}

#[cfg(test)]
mod tests;
