//! What waits for a connection, bounded in numbers and in bytes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering::Relaxed},
};

use tokio::sync::mpsc;

use crate::bus::PublishError;

/// Something that has waited.
#[derive(Debug)]
pub struct Queued<T> {
    /// It.
    pub item: T,
    /// What it takes of the queue's bytes, until this is dropped: when it has been sent, or is lost.
    pub room: Room,
}

/// Bytes of a queue, which are given back when this is dropped.
#[derive(Debug)]
pub struct Room {
    taken: Arc<AtomicUsize>,
    bytes: usize,
}

impl Drop for Room {
    fn drop(&mut self) {
        self.taken.fetch_sub(self.bytes, Relaxed);
    }
}

/// Where callers put something.
#[derive(Debug)]
pub(super) struct Sender<T> {
    queue: mpsc::Sender<Queued<T>>,
    taken: Arc<AtomicUsize>,
    max_bytes: usize,
}

pub(super) fn queue<T>(max_items: usize, max_bytes: usize) -> (Sender<T>, mpsc::Receiver<Queued<T>>) {
    let (queue, receiver) = mpsc::channel(max_items);
    (Sender { queue, taken: Arc::default(), max_bytes }, receiver)
}

impl<T> Sender<T> {
    fn room(&self, bytes: usize) -> (Room, usize) {
        let before = self.taken.fetch_add(bytes, Relaxed);
        (Room { taken: Arc::clone(&self.taken), bytes }, before)
    }

    pub(super) fn try_send(&self, item: T, bytes: usize) -> Result<(), PublishError> {
        let (room, before) = self.room(bytes);
        // The largest message fits into a queue that is empty.
        if before > 0 && before.saturating_add(bytes) > self.max_bytes {
            return Err(PublishError::Full);
        }
        self.queue.try_send(Queued { item, room }).map_err(|error| match error {
            mpsc::error::TrySendError::Full(_) => PublishError::Full,
            mpsc::error::TrySendError::Closed(_) => PublishError::Disconnected,
        })
    }

    /// Waits for its turn with something that has no bytes. Answers whether there is still someone who takes it.
    pub(super) async fn send(&self, item: T) -> bool {
        let (room, _) = self.room(0);
        self.queue.send(Queued { item, room }).await.is_ok()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_queue_is_full_by_numbers_or_by_bytes() {
        let (sender, mut receiver) = queue(3, 10);
        assert_eq!(sender.try_send("larger than all", 11), Ok(()));
        assert_eq!(sender.try_send("behind it", 1), Err(PublishError::Full));
        let first = receiver.try_recv().unwrap();
        assert_eq!(sender.try_send("behind it", 1), Err(PublishError::Full), "it is still being sent");
        drop(first);
        assert_eq!(["a", "b", "c"].map(|item| sender.try_send(item, 3)), [Ok(()); 3]);
        assert_eq!(sender.try_send("d", 1), Err(PublishError::Full), "of numbers");
        drop(receiver.try_recv());
        assert_eq!(sender.try_send("d", 5), Err(PublishError::Full), "of bytes");
        assert_eq!(sender.try_send("d", 4), Ok(()));
        drop(receiver);
        assert_eq!(sender.taken.load(Relaxed), 0, "what nobody takes takes no room");
        assert_eq!(sender.try_send("e", 1), Err(PublishError::Disconnected));
        assert_eq!(sender.taken.load(Relaxed), 0);
    }
}
