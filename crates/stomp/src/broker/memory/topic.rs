//! The subscriptions of one destination or pattern.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytestring::ByteString;

use crate::{
    broker::Published,
    message::Message,
    outbox::{Delivered, Subscriber},
    subscription::Subscription,
};

/// The subscriptions of one destination or pattern.
///
/// Its lock is held while a message is delivered, which never waits: so all subscribers get the messages of a
/// destination in the same order.
#[derive(Debug)]
pub(super) struct Topic {
    name: ByteString,
    members: Mutex<Members>,
}

#[derive(Debug, Default)]
struct Members {
    /// Those that have left are empty places, to be taken by others.
    places: Vec<Option<Member>>,
    empty: Vec<usize>,
}

#[derive(Debug)]
struct Member {
    subscriber: Subscriber,
    subscription: Arc<Subscription>,
}

/// Where a member stands, to leave again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place(usize);

impl Topic {
    /// `name` is the destination or pattern.
    pub(super) fn new(name: &str) -> Self {
        // A copy: it may be a part of a large buffer.
        Self { name: name.into(), members: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn name_shared(&self) -> ByteString {
        self.name.clone()
    }

    fn lock(&self) -> MutexGuard<'_, Members> {
        self.members.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn join(&self, subscriber: Subscriber, subscription: Arc<Subscription>) -> Place {
        let mut members = self.lock();
        let member = Some(Member { subscriber, subscription });
        if let Some(place) = members.empty.pop() {
            members.places[place] = member;
            return Place(place);
        }
        members.places.push(member);
        Place(members.places.len() - 1)
    }

    pub(super) fn leave(&self, place: Place) {
        let mut members = self.lock();
        let left = members.places[place.0].take();
        if left.is_some() {
            members.empty.push(place.0);
        }
        if members.is_empty() {
            *members = Members::default();
        }
        // What is dropped may run code of others.
        drop(members);
        drop(left);
    }

    pub(super) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    pub(super) fn publish(&self, message: &Message) -> Published {
        let mut published = Published::default();
        for member in self.lock().places.iter().flatten() {
            published.count(member.subscriber.deliver(&member.subscription, message));
        }
        published
    }
}

impl Members {
    fn is_empty(&self) -> bool {
        self.empty.len() == self.places.len()
    }
}

impl Published {
    pub(super) fn count(&mut self, delivered: Delivered) {
        match delivered {
            Delivered::Sent(_) | Delivered::Queued(_) => self.delivered += 1,
            Delivered::Full => self.dropped += 1,
            Delivered::Gone => {}
        }
    }
}
