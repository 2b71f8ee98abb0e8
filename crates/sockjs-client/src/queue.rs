//! The two queues of a session: messages in order, bounded by the memory that they take.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
};

use sockjs_core::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

/// What a message costs beside its bytes, so that many small ones are bounded as well.
const OVERHEAD: usize = 64;

/// Creates a queue whose messages together have as many bytes at the most, or are one longer message.
pub(crate) fn queue(bytes: usize) -> (Sender, Receiver) {
    let capacity = u32::try_from(bytes.min(Semaphore::MAX_PERMITS)).unwrap_or(u32::MAX).max(1);
    let room = Arc::new(Semaphore::new(capacity as usize));
    let (sender, receiver) = mpsc::unbounded_channel();
    let (left, seen) = watch::channel(0);
    let sender = Sender { room: room.clone(), capacity, items: sender, appended: Arc::default(), left: seen };
    (sender, Receiver { room, items: receiver, next: None, left })
}

type Item = (Message, OwnedSemaphorePermit);

#[derive(Debug, Clone)]
pub(crate) struct Sender {
    room: Arc<Semaphore>,
    capacity: u32,
    items: mpsc::UnboundedSender<Item>,
    /// How many messages were appended.
    appended: Arc<AtomicU64>,
    /// How many of them have left.
    left: watch::Receiver<u64>,
}

impl Sender {
    /// Waits for room and appends a message; gives it back if the receiver has closed.
    ///
    /// Cancel safe: dropped while it waits, nothing is appended. Those who wait are served in order.
    pub(crate) async fn send(&self, message: Message) -> Result<(), Message> {
        match self.room.clone().acquire_many_owned(self.cost(&message)).await {
            Ok(permit) => self.append(message, permit),
            Err(_) => Err(message),
        }
    }

    /// Appends a message if there is room now.
    pub(crate) fn try_send(&self, message: Message) -> Result<(), TrySendError> {
        match self.room.clone().try_acquire_many_owned(self.cost(&message)) {
            Ok(permit) => self.append(message, permit).map_err(TrySendError::Closed),
            Err(tokio::sync::TryAcquireError::NoPermits) => Err(TrySendError::Full(message)),
            Err(tokio::sync::TryAcquireError::Closed) => Err(TrySendError::Closed(message)),
        }
    }

    /// Returns once all messages appended before have left; an error if the receiver has gone before.
    pub(crate) async fn flush(&self) -> Result<(), Closed> {
        let appended = self.appended.load(Ordering::Acquire);
        let mut left = self.left.clone();
        left.wait_for(|&left| left >= appended).await.map(drop).map_err(|_| Closed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    fn cost(&self, message: &Message) -> u32 {
        u32::try_from(message.len() + OVERHEAD).unwrap_or(u32::MAX).min(self.capacity)
    }

    fn append(&self, message: Message, permit: OwnedSemaphorePermit) -> Result<(), Message> {
        // Counted first: whoever has appended behind this message, and waits, waits for it, too.
        self.appended.fetch_add(1, Ordering::AcqRel);
        self.items.send((message, permit)).map_err(|error| {
            self.appended.fetch_sub(1, Ordering::AcqRel);
            error.0.0
        })
    }
}

#[derive(Debug)]
pub(crate) enum TrySendError {
    Full(Message),
    Closed(Message),
}

/// The receiver has gone.
#[derive(Debug)]
pub(crate) struct Closed;

#[derive(Debug)]
pub(crate) struct Receiver {
    room: Arc<Semaphore>,
    items: mpsc::UnboundedReceiver<Item>,
    /// What was taken out, and did not fit into its batch.
    next: Option<Item>,
    left: watch::Sender<u64>,
}

/// Messages that leave together. Their room is free once this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    permit: Option<OwnedSemaphorePermit>,
}

impl Receiver {
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        self.items.poll_recv(cx).map(|item| item.map(|(message, _)| message))
    }

    pub(crate) fn try_next(&mut self) -> Option<Message> {
        self.items.try_recv().ok().map(|(message, _)| message)
    }

    /// Waits for a message, and takes all that has queued up: as many messages and bytes at the most, or one
    /// longer message. `None` once the queue is closed and empty.
    ///
    /// Cancel safe: nothing is taken before it returns.
    pub(crate) async fn batch(&mut self, max_messages: usize, max_bytes: usize) -> Option<Batch> {
        let mut batch = Batch::default();
        let mut bytes = 0;
        let mut item = match self.next.take() {
            Some(item) => item,
            None => self.items.recv().await?,
        };
        loop {
            let (message, permit) = item;
            bytes += message.len();
            let is_full = batch.messages.len() >= max_messages || bytes > max_bytes;
            if is_full && !batch.messages.is_empty() {
                self.next = Some((message, permit));
                break;
            }
            batch.messages.push(message);
            match &mut batch.permit {
                Some(whole) => whole.merge(permit),
                none => *none = Some(permit),
            }
            match self.items.try_recv() {
                Ok(next) => item = next,
                Err(_) => break,
            }
        }
        Some(batch)
    }

    /// Takes no more messages. Those that are queued can still be taken.
    pub(crate) fn close(&mut self) {
        self.room.close();
        self.items.close();
    }

    /// Says that so many messages have left.
    pub(crate) fn have_left(&self, messages: usize) {
        self.left.send_modify(|left| *left += messages as u64);
    }

    /// Closes the queue and returns what is left in it.
    pub(crate) async fn rest(&mut self) -> Vec<Message> {
        self.close();
        let mut rest: Vec<_> = self.next.take().into_iter().map(|(message, _)| message).collect();
        // Unlike `try_recv`, this waits for a message that another thread is just about to append.
        while let Some((message, _)) = self.items.recv().await {
            rest.push(message);
        }
        rest
    }
}

impl Drop for Receiver {
    /// Whoever waits for room is told.
    fn drop(&mut self) {
        self.close();
    }
}

#[cfg(test)]
mod tests {
    use std::pin::pin;

    use futures_util::FutureExt as _;

    use super::*;

    fn texts(batch: Option<Batch>) -> Vec<String> {
        let messages = batch.map(|batch| batch.messages).unwrap_or_default();
        messages.iter().map(|message| message.as_str().unwrap_or_default().to_owned()).collect()
    }

    #[tokio::test]
    async fn a_batch_takes_all_that_fits() {
        let (sender, mut receiver) = queue(1 << 20);
        for text in ["a", "b", "c", "dddd", "eeeeeeee", "f"] {
            sender.send(text.into()).await.unwrap();
        }
        assert_eq!(texts(receiver.batch(2, 100).await), ["a", "b"]);
        assert_eq!(texts(receiver.batch(100, 5).await), ["c", "dddd"]);
        assert_eq!(texts(receiver.batch(100, 5).await), ["eeeeeeee"], "a longer message goes alone");
        drop(sender);
        assert_eq!(texts(receiver.batch(100, 5).await), ["f"]);
        assert!(receiver.batch(100, 5).await.is_none());
    }

    #[tokio::test]
    async fn room_is_bytes_and_comes_back_with_the_batch() {
        let (sender, mut receiver) = queue(2 * (OVERHEAD + 1));
        sender.send("a".into()).await.unwrap();
        sender.send("b".into()).await.unwrap();
        assert!(matches!(sender.try_send("c".into()), Err(TrySendError::Full(message)) if message == "c"));
        let mut third = pin!(sender.send("c".into()));
        assert!(third.as_mut().now_or_never().is_none());
        let batch = receiver.batch(1, 100).await.unwrap();
        assert!(third.as_mut().now_or_never().is_none(), "the batch is under way");
        drop(batch);
        third.await.unwrap();
        // A message larger than the queue waits until it is empty.
        let large = "x".repeat(1000);
        let mut fourth = pin!(sender.send(large.as_str().into()));
        assert!(fourth.as_mut().now_or_never().is_none());
        assert_eq!(texts(receiver.batch(9, 100).await), ["b", "c"]);
        fourth.await.unwrap();
        assert_eq!(texts(receiver.batch(9, 100).await), [large]);
    }

    #[tokio::test]
    async fn a_flush_is_behind_all_before_it() {
        let (sender, mut receiver) = queue(1000);
        sender.flush().await.unwrap();
        sender.send("a".into()).await.unwrap();
        sender.send("b".into()).await.unwrap();
        let mut flush = pin!(sender.flush());
        assert!(flush.as_mut().now_or_never().is_none());
        sender.send("c".into()).await.unwrap();
        drop(receiver.batch(9, 100).await);
        assert!(flush.as_mut().now_or_never().is_none(), "the batch is under way");
        receiver.have_left(1);
        assert!(flush.as_mut().now_or_never().is_none());
        receiver.have_left(1);
        flush.await.unwrap();
        let mut flush = pin!(sender.flush());
        assert!(flush.as_mut().now_or_never().is_none());
        drop(receiver);
        flush.await.unwrap_err();
    }

    /// An application may ask again and again, as a branch of a loop.
    #[tokio::test]
    async fn a_flush_that_is_not_waited_for_leaves_nothing() {
        let (sender, receiver) = queue(1000);
        sender.send("a".into()).await.unwrap();
        for _ in 0..1000 {
            assert!(sender.flush().now_or_never().is_none());
        }
        assert_eq!(receiver.items.len(), 1);
    }

    #[tokio::test]
    async fn what_is_left_comes_back() {
        let (sender, mut receiver) = queue(2 * OVERHEAD);
        sender.send("a".into()).await.unwrap();
        let mut second = pin!(sender.send("b".into()));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(receiver.rest().await, ["a"]);
        assert_eq!(second.await.unwrap_err(), "b");
        assert!(matches!(sender.try_send("c".into()), Err(TrySendError::Closed(message)) if message == "c"));
        assert!(sender.is_closed());
        drop(receiver);
        sender.flush().await.unwrap_err();
    }

    /// Of threads that send while the queue closes, each knows what became of its messages.
    #[tokio::test]
    async fn no_message_is_lost_between_the_queue_and_what_is_left() {
        for _ in 0..300 {
            let (sender, mut receiver) = queue(1 << 20);
            let threads: Vec<_> = (0..4)
                .map(|_| {
                    let sender = sender.clone();
                    std::thread::spawn(move || {
                        (0..1000).take_while(|_| sender.try_send("x".into()).is_ok()).count()
                    })
                })
                .collect();
            // They are at it.
            let first = texts(receiver.batch(100, 100).await).len();
            let rest = first + receiver.rest().await.len();
            let accepted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(rest, accepted);
        }
    }
}
