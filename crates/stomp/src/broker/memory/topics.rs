//! Topics: destinations whose messages go to everyone who has subscribed.

use std::{
    collections::HashMap,
    sync::{Arc, PoisonError, RwLock},
};

use bytestring::ByteString;

use super::{
    pattern::Segment,
    topic::{Place, Topic},
    trie::Trie,
};
use crate::{broker::Published, message::Message, outbox::Subscriber, subscription::Subscription};

/// All topics that somebody has subscribed to.
#[derive(Debug)]
pub(super) struct Topics {
    separator: char,
    state: RwLock<State>,
}

#[derive(Debug, Default)]
struct State {
    exact: HashMap<ByteString, Arc<Topic>>,
    patterns: Trie<Arc<Topic>>,
}

/// A subscription's place in a topic.
#[derive(Debug)]
pub(super) struct Membership {
    destination: ByteString,
    topic: Arc<Topic>,
    place: Place,
}

impl Topics {
    pub(super) fn new(separator: char) -> Self {
        Self { separator, state: RwLock::default() }
    }

    /// The segments of a pattern; `None` for a destination without wildcards.
    fn pattern(&self, destination: &str) -> Option<Vec<Segment>> {
        let segments: Vec<_> = destination.split(self.separator).map(Segment::new).collect();
        (!segments.iter().all(Segment::is_exact)).then_some(segments)
    }

    pub(super) fn join(&self, subscriber: Subscriber, subscription: Arc<Subscription>) -> Membership {
        let destination = ByteString::from(subscription.destination());
        let pattern = self.pattern(&destination);
        // A topic is removed under the lock for writing, so one that is found here stays until it has this member.
        let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
        if let (None, Some(topic)) = (&pattern, state.exact.get(&destination)) {
            let (topic, place) = (topic.clone(), topic.join(subscriber, subscription));
            return Membership { destination, topic, place };
        }
        drop(state);
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        let topic = match pattern {
            Some(pattern) => state.patterns.get_or_insert_with(&pattern, Arc::default),
            None => state.exact.entry(destination.clone()).or_default(),
        };
        let topic = topic.clone();
        let place = topic.join(subscriber, subscription);
        Membership { destination, topic, place }
    }

    pub(super) fn leave(&self, membership: &Membership) {
        membership.topic.leave(membership.place);
        if !membership.topic.is_empty() {
            return;
        }
        let mut state = self.state.write().unwrap_or_else(PoisonError::into_inner);
        match self.pattern(&membership.destination) {
            Some(pattern) => state.patterns.remove_if(&pattern, |topic| topic.is_empty()),
            None => {
                if state.exact.get(&membership.destination).is_some_and(|topic| topic.is_empty()) {
                    state.exact.remove(&membership.destination);
                }
            }
        }
    }

    pub(super) fn publish(&self, message: &Message) -> Published {
        let mut topics = Vec::new();
        {
            let state = self.state.read().unwrap_or_else(PoisonError::into_inner);
            topics.extend(state.exact.get(message.destination()).cloned());
            if !state.patterns.is_empty() {
                let segments: Vec<_> = message.destination().split(self.separator).collect();
                state.patterns.matching(&segments, |topic| topics.push(topic.clone()));
            }
        }
        let mut published = Published::default();
        for topic in topics {
            let each = topic.publish(message);
            published.delivered += each.delivered;
            published.dropped += each.dropped;
        }
        published
    }
}
