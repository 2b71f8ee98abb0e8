//! What all queues keep together.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use crate::message::Message;

/// What is counted for a message beside its text, and for each of its headers: about what keeping it takes.
const PER_MESSAGE: usize = 400;
const PER_HEADER: usize = 64;

/// Counts what all queues keep, up to a bound.
#[derive(Debug)]
pub(super) struct Store {
    max_bytes: usize,
    messages: AtomicUsize,
    bytes: AtomicUsize,
}

/// What one message takes of the [`Store`], until this is dropped.
#[derive(Debug)]
pub(super) struct Share {
    store: Arc<Store>,
    bytes: usize,
}

impl Store {
    pub(super) fn new(max_bytes: usize) -> Self {
        Self { max_bytes, messages: AtomicUsize::new(0), bytes: AtomicUsize::new(0) }
    }

    /// How much a message takes.
    pub(super) fn size(message: &Message) -> usize {
        message.size() + PER_MESSAGE + PER_HEADER * message.headers().len()
    }

    /// Reserves room for a message; `None` if there is none.
    pub(super) fn reserve(self: &Arc<Self>, bytes: usize) -> Option<Share> {
        let add = |reserved: usize| reserved.checked_add(bytes).filter(|sum| *sum <= self.max_bytes);
        self.bytes.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add).ok()?;
        self.messages.fetch_add(1, Ordering::Relaxed);
        Some(Share { store: self.clone(), bytes })
    }

    /// How many messages there are, and their bytes.
    pub(super) fn len(&self) -> (usize, usize) {
        (self.messages.load(Ordering::Relaxed), self.bytes.load(Ordering::Relaxed))
    }
}

impl Share {
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        self.store.messages.fetch_sub(1, Ordering::Relaxed);
        self.store.bytes.fetch_sub(self.bytes, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use stomp_codec::Headers;

    use super::*;

    #[test]
    fn what_is_counted_is_about_what_is_needed() {
        // With its place in a tree that is half full, and the allocator's own.
        let needed = size_of::<Message>() + 2 * 64 + 64;
        assert!((needed..needed + 300).contains(&PER_MESSAGE), "{needed}");
        let message = Message::new("/queue/a", &Headers::from_iter([("a", "b")]), "body");
        assert_eq!(Store::size(&message), 8 + 4 + 4 + PER_MESSAGE + PER_HEADER);
    }

    #[test]
    fn room_is_given_back() {
        let store = Arc::new(Store::new(10));
        let share = store.reserve(6).unwrap();
        assert!(store.reserve(5).is_none() && store.reserve(usize::MAX).is_none());
        assert_eq!(store.len(), (1, 6));
        drop(share);
        assert_eq!(store.len(), (0, 0));
        assert!(store.reserve(10).is_some());
    }
}
