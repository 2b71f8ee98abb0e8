//! What waits until it is known who owns a queue.

use std::{collections::HashMap, mem, time::Instant};

use crate::broker::BrokerError;

/// What is to be done with a queue: the argument says since when the node owns it, or why not.
pub(super) type Op = Box<dyn FnOnce(Result<Instant, Denied>) + Send>;

/// Why something cannot be done with a queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Denied {
    /// Another node owns it.
    Elsewhere,
    /// The other nodes cannot be asked.
    Unknown,
    /// Too much waits already: the name of the limit.
    TooMuch(&'static str),
}

impl From<Denied> for BrokerError {
    fn from(denied: Denied) -> Self {
        match denied {
            Denied::Elsewhere => Self::QueueElsewhere,
            Denied::Unknown => Self::Unavailable("the other nodes cannot be asked who has the queue".into()),
            Denied::TooMuch(limit) => Self::LimitExceeded(limit),
        }
    }
}

/// What waits, by queue.
pub(super) struct Waiting {
    queues: HashMap<Box<str>, Ops>,
    count: usize,
    bytes: usize,
    max_count: usize,
    max_bytes: usize,
}

#[derive(Default)]
struct Ops {
    /// In order.
    ops: Vec<Op>,
    bytes: usize,
}

impl Waiting {
    pub(super) fn new(max_count: usize, max_bytes: usize) -> Self {
        Self { queues: HashMap::new(), count: 0, bytes: 0, max_count, max_bytes }
    }

    pub(super) fn contains(&self, queue: &str) -> bool {
        self.queues.contains_key(queue)
    }

    /// How many queues are waited for.
    pub(super) fn len(&self) -> usize {
        self.queues.len()
    }

    /// Whether an operation that takes so many bytes has room.
    pub(super) fn check(&self, bytes: usize) -> Result<(), Denied> {
        if self.count >= self.max_count {
            return Err(Denied::TooMuch("max_queue_messages"));
        }
        if self.bytes.saturating_add(bytes) > self.max_bytes {
            return Err(Denied::TooMuch("max_queue_bytes"));
        }
        Ok(())
    }

    pub(super) fn push(&mut self, queue: &str, bytes: usize, op: Op) {
        self.count += 1;
        self.bytes += bytes;
        if !self.queues.contains_key(queue) {
            self.queues.insert(queue.into(), Ops::default());
        }
        if let Some(ops) = self.queues.get_mut(queue) {
            ops.bytes += bytes;
            ops.ops.push(op);
        }
    }

    /// Takes what waits for a queue. If nothing does, the queue is not waited for any more.
    pub(super) fn take(&mut self, queue: &str) -> Vec<Op> {
        let Some(ops) = self.queues.get_mut(queue) else { return Vec::new() };
        let Ops { ops, bytes } = mem::take(ops);
        self.count -= ops.len();
        self.bytes -= bytes;
        if ops.is_empty() {
            self.queues.remove(queue);
        }
        ops
    }

    /// Takes what waits for a queue, which is not waited for any more.
    pub(super) fn take_all(&mut self, queue: &str) -> Vec<Op> {
        let ops = self.take(queue);
        self.queues.remove(queue);
        ops
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_waits_is_bounded_and_taken_in_order() {
        let mut waiting = Waiting::new(3, 100);
        for bytes in [50, 40] {
            waiting.check(bytes).unwrap();
            waiting.push("a", bytes, Box::new(|_| ()));
        }
        assert_eq!(waiting.check(11), Err(Denied::TooMuch("max_queue_bytes")));
        waiting.push("b", 10, Box::new(|_| ()));
        assert_eq!(waiting.check(0), Err(Denied::TooMuch("max_queue_messages")));
        assert_eq!(waiting.take("a").len(), 2);
        assert!(waiting.contains("a"), "someone may add to it until it is found empty");
        assert_eq!(waiting.take("a").len(), 0);
        assert_eq!((waiting.contains("a"), waiting.len()), (false, 1));
        assert_eq!((waiting.take_all("b").len(), waiting.len()), (1, 0));
        waiting.check(100).unwrap();
    }
}
