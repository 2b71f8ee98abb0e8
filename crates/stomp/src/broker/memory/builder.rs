//! The settings of a broker in memory.

use std::{fmt, sync::Arc};

use sockjs_bus::Bus;

use super::{
    dead_letter::{DeadLetter, Hook},
    nodes::settings::Settings,
    prefixes::Prefixes,
    queue::QueueLimits,
    topics::TopicLimits,
};

/// What becomes of a message that is sent to a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum QueueMode {
    /// Everyone who has subscribed gets it, as with a topic, and nothing is kept: the way of Spring's simple broker.
    #[default]
    Broadcast,
    /// One consumer gets it: the next in turn that has room. While there is none it is kept, in memory and within the
    /// limits.
    ///
    /// A queue is named exactly: a pattern cannot be subscribed to, and a name with wildcards cannot be sent to.
    Competing,
}

/// Builds a [`MemoryBroker`](super::MemoryBroker).
///
/// ```
/// use axum_stomp::broker::memory::{MemoryBroker, QueueMode};
///
/// let broker = MemoryBroker::builder()
///     .queue_mode(QueueMode::Competing)
///     .max_queue_messages(1_000)
///     .on_dead_letter(|dead| eprintln!("given up: {:?} of {}", dead.message(), dead.queue()))
///     .build();
/// assert_eq!(broker.stats().queues, 0);
/// ```
#[derive(Clone)]
#[must_use = "nothing is built yet"]
pub struct MemoryBrokerBuilder {
    pub(super) prefixes: Prefixes,
    pub(super) queue_mode: QueueMode,
    pub(super) topics: TopicLimits,
    pub(super) max_patterns_per_session: usize,
    pub(super) queue: QueueLimits,
    pub(super) max_queues: usize,
    pub(super) max_total_queue_bytes: usize,
    pub(super) on_dead_letter: Option<Hook>,
    pub(super) bus: Option<Arc<dyn Bus>>,
    pub(super) on_bus: Settings,
}

impl Default for MemoryBrokerBuilder {
    fn default() -> Self {
        Self {
            prefixes: Prefixes {
                separator: '/',
                topics: vec!["/topic".to_owned()],
                queues: vec!["/queue".to_owned()],
            },
            queue_mode: QueueMode::default(),
            topics: TopicLimits { patterns: 1000, pattern_bytes: 256, segments: 32 },
            max_patterns_per_session: 100,
            queue: QueueLimits { messages: 10_000, bytes: 16 << 20, deliveries: 20 },
            max_queues: 10_000,
            max_total_queue_bytes: 256 << 20,
            on_dead_letter: None,
            bus: None,
            on_bus: Settings::default(),
        }
    }
}

impl MemoryBrokerBuilder {
    /// The prefixes of topics. Default: `/topic`.
    ///
    /// A destination has a prefix if it is the prefix, or goes on behind it with a slash or the
    /// [`separator`](Self::separator): `/topic/a` has the prefix `/topic`, and `/topical` has not.
    pub fn topic_prefixes<S: Into<String>>(mut self, prefixes: impl IntoIterator<Item = S>) -> Self {
        self.prefixes.topics = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// The prefixes of queues. Default: `/queue`.
    pub fn queue_prefixes<S: Into<String>>(mut self, prefixes: impl IntoIterator<Item = S>) -> Self {
        self.prefixes.queues = prefixes.into_iter().map(Into::into).collect();
        self
    }

    /// What becomes of a message that is sent to a queue. Default: [`QueueMode::Broadcast`].
    pub fn queue_mode(mut self, mode: QueueMode) -> Self {
        self.queue_mode = mode;
        self
    }

    /// What stands between the segments of destinations that patterns match: `/` or `.`. Default: `/`.
    ///
    /// With `.` a slash is a character like any other, as in Spring: `/topic/prices.*` matches `/topic/prices.gold`, and
    /// `/topic/*.**` matches all that has the prefix `/topic/`.
    pub fn separator(mut self, separator: char) -> Self {
        self.prefixes.separator = separator;
        self
    }

    /// How many different patterns may be subscribed to at the same time, by all sessions together. Default: 1,000.
    ///
    /// Those of users' destinations do not count, since each session has its own. One session cannot use up all:
    /// [`max_patterns_per_session`](Self::max_patterns_per_session).
    ///
    /// A message is compared with all of them at once, segment by segment. The time for that is at most that of reading
    /// its destination once for each pattern, and each pattern once; where patterns differ in whole segments only, it
    /// does not grow with their number.
    ///
    /// With a [bus](Self::bus), messages to topics are published once instead of twice if this is 0: on all nodes then.
    pub fn max_patterns(mut self, patterns: usize) -> Self {
        self.topics.patterns = patterns;
        self
    }

    /// How many subscriptions to patterns a session may have, those to its own destinations included. Default: 100.
    ///
    /// How many sessions a client may have is bounded by the endpoint:
    /// [`max_sessions_per_peer`](axum_sockjs::Options::max_sessions_per_peer).
    pub fn max_patterns_per_session(mut self, patterns: usize) -> Self {
        self.max_patterns_per_session = patterns;
        self
    }

    /// How long a pattern may be, in bytes. Default: 256.
    pub fn max_pattern_bytes(mut self, bytes: usize) -> Self {
        self.topics.pattern_bytes = bytes;
        self
    }

    /// How many segments the destination of a topic, or a pattern, may have. The empty one in front of a leading slash
    /// counts. Default: 32.
    pub fn max_segments(mut self, segments: usize) -> Self {
        self.topics.segments = segments;
        self
    }

    /// How many messages a queue keeps, with those that are not acknowledged. Default: 10,000.
    ///
    /// A message beyond that is refused with [`BrokerError::LimitExceeded`](crate::broker::BrokerError::LimitExceeded).
    pub fn max_queue_messages(mut self, messages: usize) -> Self {
        self.queue.messages = messages;
        self
    }

    /// How many bytes the messages of a queue take, with those that are not acknowledged. Default: 16 MiB.
    ///
    /// A message counts with its destination, headers and body, and what keeping it takes besides: 400 bytes, and 64 for
    /// each header. One beyond the limit is refused with
    /// [`BrokerError::LimitExceeded`](crate::broker::BrokerError::LimitExceeded).
    pub fn max_queue_bytes(mut self, bytes: usize) -> Self {
        self.queue.bytes = bytes;
        self
    }

    /// How many bytes the messages of all queues take together. Default: 256 MiB.
    pub fn max_total_queue_bytes(mut self, bytes: usize) -> Self {
        self.max_total_queue_bytes = bytes;
        self
    }

    /// How many queues there may be that have messages or consumers. Default: 10,000.
    pub fn max_queues(mut self, queues: usize) -> Self {
        self.max_queues = queues;
        self
    }

    /// How often a message of a queue is delivered to clients that have to acknowledge it, before it is given up.
    /// Default: 20; 0 is the same as 1.
    ///
    /// Each delivery counts whose message came back: by `NACK`, by the end of the subscription, or with the connection.
    pub fn max_deliveries(mut self, deliveries: u32) -> Self {
        self.queue.deliveries = deliveries.max(1);
        self
    }

    /// What to do with a message of a queue that is given up: it has been delivered too often, or a client has refused it
    /// with `requeue:false`. Default: nothing.
    ///
    /// The function is called by whoever refused the message, with no lock held, so it may publish. What it does should
    /// take no time. If it panics, that is logged.
    pub fn on_dead_letter(mut self, hook: impl Fn(&DeadLetter) + Send + Sync + 'static) -> Self {
        self.on_dead_letter = Some(Arc::new(hook));
        self
    }

    /// Whether anyone may subscribe to a pattern of topics.
    pub(super) fn has_patterns(&self) -> bool {
        self.topics.patterns > 0
    }
}

impl fmt::Debug for MemoryBrokerBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MemoryBrokerBuilder")
            .field("prefixes", &self.prefixes)
            .field("queue_mode", &self.queue_mode)
            .field("topics", &self.topics)
            .field("max_patterns_per_session", &self.max_patterns_per_session)
            .field("queue", &self.queue)
            .field("max_queues", &self.max_queues)
            .field("max_total_queue_bytes", &self.max_total_queue_bytes)
            .field("bus", &self.bus)
            .field("on_bus", &self.on_bus)
            .finish_non_exhaustive()
    }
}
