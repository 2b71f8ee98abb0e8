//! The two queues of a session: messages in order, bounded by the memory that they take.

use std::{
    sync::Arc,
    task::{Context, Poll, ready},
};

use sockjs_core::Message;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

/// What a message costs beside its bytes, so that many small ones are bounded as well.
const OVERHEAD: usize = 64;

/// Creates a queue whose messages together have as many bytes at the most, or are one longer message.
pub(crate) fn queue(bytes: usize) -> (Sender, Receiver) {
    let capacity = u32::try_from(bytes).unwrap_or(u32::MAX).max(1);
    let room = Arc::new(Semaphore::new(capacity as usize));
    let (sender, receiver) = mpsc::unbounded_channel();
    let sender = Sender { room: room.clone(), capacity, items: sender };
    (sender, Receiver { room, items: receiver, next: None })
}

#[derive(Debug)]
enum Item {
    Message(Message, OwnedSemaphorePermit),
    /// Answered once all messages before it have left.
    Flush(oneshot::Sender<()>),
}

#[derive(Debug, Clone)]
pub(crate) struct Sender {
    room: Arc<Semaphore>,
    capacity: u32,
    items: mpsc::UnboundedSender<Item>,
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

    /// Returns once all messages appended before have left, or the receiver has closed.
    pub(crate) async fn flush(&self) -> Result<(), Closed> {
        let (sender, flushed) = oneshot::channel();
        self.items.send(Item::Flush(sender)).map_err(|_| Closed)?;
        flushed.await.map_err(|_| Closed)
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.items.is_closed()
    }

    fn cost(&self, message: &Message) -> u32 {
        u32::try_from(message.len() + OVERHEAD).unwrap_or(u32::MAX).min(self.capacity)
    }

    fn append(&self, message: Message, permit: OwnedSemaphorePermit) -> Result<(), Message> {
        self.items.send(Item::Message(message, permit)).map_err(|error| match error.0 {
            Item::Message(message, _) => message,
            Item::Flush(_) => Message::from(""),
        })
    }
}

#[derive(Debug)]
pub(crate) enum TrySendError {
    Full(Message),
    Closed(Message),
}

/// The receiver has closed.
#[derive(Debug)]
pub(crate) struct Closed;

#[derive(Debug)]
pub(crate) struct Receiver {
    room: Arc<Semaphore>,
    items: mpsc::UnboundedReceiver<Item>,
    /// What was taken out, and did not fit into its batch.
    next: Option<Item>,
}

/// Messages that leave together. Their room is free once this is dropped.
#[derive(Debug, Default)]
pub(crate) struct Batch {
    pub(crate) messages: Vec<Message>,
    permit: Option<OwnedSemaphorePermit>,
    flushes: Vec<oneshot::Sender<()>>,
}

impl Batch {
    /// Says that the messages have left.
    pub(crate) fn done(self) {
        // Who does not wait any more does not care.
        self.flushes.into_iter().for_each(|flush| _ = flush.send(()));
    }
}

impl Receiver {
    pub(crate) fn poll_next(&mut self, cx: &mut Context<'_>) -> Poll<Option<Message>> {
        loop {
            match ready!(self.items.poll_recv(cx)) {
                Some(Item::Message(message, _)) => return Poll::Ready(Some(message)),
                Some(Item::Flush(flush)) => _ = flush.send(()),
                None => return Poll::Ready(None),
            }
        }
    }

    pub(crate) fn try_next(&mut self) -> Option<Message> {
        loop {
            match self.items.try_recv().ok()? {
                Item::Message(message, _) => return Some(message),
                Item::Flush(flush) => _ = flush.send(()),
            }
        }
    }

    /// Waits for a message or a flush, and takes all that has queued up: as many messages and bytes at the most, or one
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
            match item {
                Item::Flush(flush) => batch.flushes.push(flush),
                Item::Message(message, permit) => {
                    bytes += message.len();
                    let is_full = batch.messages.len() >= max_messages || bytes > max_bytes;
                    if is_full && !batch.messages.is_empty() {
                        self.next = Some(Item::Message(message, permit));
                        break;
                    }
                    batch.messages.push(message);
                    match &mut batch.permit {
                        Some(whole) => whole.merge(permit),
                        none => *none = Some(permit),
                    }
                }
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

    /// Closes the queue and returns what is left in it, as a batch of any size.
    pub(crate) async fn into_rest(mut self) -> Batch {
        self.close();
        let mut rest = Batch::default();
        let mut keep = |item| match item {
            Item::Message(message, _) => rest.messages.push(message),
            Item::Flush(flush) => rest.flushes.push(flush),
        };
        self.next.take().into_iter().for_each(&mut keep);
        // Unlike `try_recv`, this waits for a message that another thread is just about to append.
        while let Some(item) = self.items.recv().await {
            keep(item);
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
        batch.done();
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
        let (sender, mut receiver) = queue(100);
        sender.send("a".into()).await.unwrap();
        let mut flush = pin!(sender.flush());
        assert!(flush.as_mut().now_or_never().is_none());
        let batch = receiver.batch(9, 100).await.unwrap();
        assert!(flush.as_mut().now_or_never().is_none());
        batch.done();
        flush.await.unwrap();
        let mut flush = pin!(sender.flush());
        assert!(flush.as_mut().now_or_never().is_none());
        drop(receiver.batch(9, 100).await);
        flush.await.unwrap_err();
    }

    #[tokio::test]
    async fn what_is_left_comes_back() {
        let (sender, receiver) = queue(2 * OVERHEAD);
        sender.send("a".into()).await.unwrap();
        let mut second = pin!(sender.send("b".into()));
        assert!(second.as_mut().now_or_never().is_none());
        assert_eq!(receiver.into_rest().await.messages, ["a"]);
        assert_eq!(second.await.unwrap_err(), "b");
        assert!(matches!(sender.try_send("c".into()), Err(TrySendError::Closed(message)) if message == "c"));
        sender.flush().await.unwrap_err();
        assert!(sender.is_closed());
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
            let rest = first + receiver.into_rest().await.messages.len();
            let accepted: usize = threads.into_iter().map(|thread| thread.join().unwrap()).sum();
            assert_eq!(rest, accepted);
        }
    }
}
