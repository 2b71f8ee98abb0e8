//! Topics: destinations whose messages go to everyone who has subscribed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard},
};

use bytestring::ByteString;

use super::{
    pattern::Segment,
    topic::{Place, Topic},
    trie::Trie,
};
use crate::{
    broker::{BrokerError, Published},
    message::Message,
    outbox::Subscriber,
    subscription::Subscription,
};

/// What bounds the work of a publish.
#[derive(Debug, Clone, Copy)]
pub(super) struct TopicLimits {
    pub(super) patterns: usize,
    pub(super) pattern_bytes: usize,
    pub(super) segments: usize,
}

/// All topics that somebody has subscribed to.
#[derive(Debug)]
pub(super) struct Topics {
    separator: char,
    limits: TopicLimits,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    exact: HashMap<ByteString, Arc<Topic>>,
    patterns: Trie<Arc<Topic>>,
    /// How many patterns there are.
    pattern_count: usize,
}

/// A subscription's place in a topic.
#[derive(Debug)]
pub(super) struct Membership {
    topic: Arc<Topic>,
    place: Place,
    /// Whether it is to a pattern.
    pub(super) is_pattern: bool,
}

/// What a message goes to.
pub(super) struct Found {
    exact: Option<Arc<Topic>>,
    patterns: Vec<Arc<Topic>>,
}

impl Found {
    /// Whether a message goes to several topics, one after the other. To a single one messages go in order anyway.
    pub(super) fn is_several(&self) -> bool {
        usize::from(self.exact.is_some()) + self.patterns.len() > 1
    }

    /// Delivers a message to all of their subscriptions.
    pub(super) fn deliver(&self, message: &Message) -> Published {
        let mut published = Published::default();
        for topic in self.exact.iter().chain(&self.patterns) {
            let each = topic.publish(message);
            published.delivered += each.delivered;
            published.dropped += each.dropped;
        }
        published
    }
}

/// The segments of a pattern; `None` for a destination without wildcards.
pub(super) fn pattern(destination: &str, separator: char) -> Option<Vec<Segment>> {
    let segments: Vec<_> = destination.split(separator).map(Segment::new).collect();
    (!segments.iter().all(Segment::is_exact)).then_some(segments)
}

impl Topics {
    pub(super) fn new(separator: char, limits: TopicLimits) -> Self {
        Self { separator, limits, state: RwLock::default() }
    }

    fn read(&self) -> RwLockReadGuard<'_, State> {
        self.state.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, State> {
        self.state.write().unwrap_or_else(PoisonError::into_inner)
    }

    fn check(&self, destination: &str) -> Result<(), BrokerError> {
        // Separators are ASCII.
        let separators = destination.bytes().filter(|byte| *byte == self.separator as u8).count();
        if separators >= self.limits.segments {
            return Err(BrokerError::LimitExceeded("max_segments"));
        }
        Ok(())
    }

    /// Adds a subscription to what `destination` names or matches.
    pub(super) fn join(
        &self,
        destination: &str,
        subscriber: Subscriber,
        subscription: Arc<Subscription>,
    ) -> Result<Membership, BrokerError> {
        self.check(destination)?;
        let pattern = pattern(destination, self.separator);
        if pattern.is_some() && destination.len() > self.limits.pattern_bytes {
            return Err(BrokerError::LimitExceeded("max_pattern_bytes"));
        }
        if pattern.iter().flatten().any(Segment::is_costly) {
            return Err(BrokerError::InvalidDestination("a pattern has no ? between two * of a segment"));
        }
        let is_pattern = pattern.is_some();
        let find = |state: &State| match &pattern {
            Some(pattern) => state.patterns.get(pattern).cloned(),
            None => state.exact.get(destination).cloned(),
        };
        {
            // A topic is removed under the lock for writing, so one that is found here stays until it has this member.
            let state = self.read();
            if let Some(topic) = find(&state) {
                let place = topic.join(subscriber, subscription);
                return Ok(Membership { topic, place, is_pattern });
            }
        }
        let mut state = self.write();
        let new = || Arc::new(Topic::new(destination));
        // Another one may have added it in between.
        let topic = match (find(&state), &pattern) {
            (Some(topic), _) => topic,
            (None, Some(_)) if state.pattern_count >= self.limits.patterns => {
                return Err(BrokerError::LimitExceeded("max_patterns"));
            }
            (None, Some(pattern)) => {
                state.pattern_count += 1;
                state.patterns.get_or_insert_with(pattern, new).clone()
            }
            (None, None) => {
                let topic = new();
                state.exact.insert(topic.name_shared(), topic.clone());
                topic
            }
        };
        let place = topic.join(subscriber, subscription);
        Ok(Membership { topic, place, is_pattern })
    }

    pub(super) fn leave(&self, membership: &Membership) {
        membership.topic.leave(membership.place);
        if !membership.topic.is_empty() {
            return;
        }
        let mut state = self.write();
        match pattern(membership.topic.name(), self.separator) {
            Some(pattern) => {
                let mut is_removed = false;
                state.patterns.remove_if(&pattern, |topic| {
                    is_removed = topic.is_empty();
                    is_removed
                });
                state.pattern_count -= usize::from(is_removed);
            }
            None => {
                if state.exact.get(membership.topic.name()).is_some_and(|topic| topic.is_empty()) {
                    state.exact.remove(membership.topic.name());
                }
            }
        }
    }

    /// Finds all that `destination`, which is plain text, is for.
    pub(super) fn find(&self, destination: &str) -> Result<Found, BrokerError> {
        self.check(destination)?;
        let state = self.read();
        let exact = state.exact.get(destination).cloned();
        Ok(Found { exact, patterns: self.matching(&state, destination) })
    }

    /// Whether somebody has subscribed to exactly this.
    pub(super) fn has(&self, destination: &str) -> bool {
        self.read().exact.contains_key(destination)
    }

    /// Finds what is for exactly this.
    pub(super) fn find_exact(&self, destination: &str) -> Found {
        Found { exact: self.read().exact.get(destination).cloned(), patterns: Vec::new() }
    }

    /// Finds the patterns that `destination`, which is plain text, is for.
    pub(super) fn find_patterns(&self, destination: &str) -> Result<Found, BrokerError> {
        self.check(destination)?;
        Ok(Found { exact: None, patterns: self.matching(&self.read(), destination) })
    }

    fn matching(&self, state: &State, destination: &str) -> Vec<Arc<Topic>> {
        let mut patterns = Vec::new();
        if !state.patterns.is_empty() {
            let segments: Vec<_> = destination.split(self.separator).collect();
            state.patterns.matching(&segments, |topic| patterns.push(topic.clone()));
        }
        patterns
    }

    /// How many destinations and how many patterns somebody has subscribed to.
    pub(super) fn len(&self) -> (usize, usize) {
        let state = self.read();
        (state.exact.len(), state.pattern_count)
    }
}
