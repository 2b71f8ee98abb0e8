//! What is on its way to one node.

use std::{
    cmp::Ordering,
    collections::{BinaryHeap, HashMap},
};

use bytes::Bytes;
use tokio::time::Instant;

use crate::subject::Subject;

/// The messages to one node, in the order in which they are due.
#[derive(Debug, Default)]
pub(super) struct Queue {
    heap: BinaryHeap<Queued>,
    /// When the last message from a node with a subject is due, if that is later than when it was published.
    delayed: HashMap<(u64, Subject), Instant>,
    next_serial: u64,
}

#[derive(Debug)]
struct Queued {
    due: Instant,
    serial: u64,
    subject: Subject,
    payload: Bytes,
}

impl Queue {
    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Adds a message that is due at some time, but not before those from the same node with the same subject.
    pub(super) fn push(&mut self, from: u64, subject: &Subject, payload: Bytes, now: Instant, due: Instant) {
        let mut due = due;
        if due > now || !self.delayed.is_empty() {
            let last = self.delayed.entry((from, subject.clone())).or_insert(due);
            due = due.max(*last);
            *last = due;
        }
        self.heap.push(Queued { due, serial: self.next_serial, subject: subject.clone(), payload });
        self.next_serial += 1;
    }

    /// The next message, if it is due.
    pub(super) fn pop(&mut self, now: Instant) -> Option<(Subject, Bytes)> {
        if self.next_due()? > now {
            return None;
        }
        let queued = self.heap.pop()?;
        if self.heap.is_empty() {
            self.delayed.clear();
        }
        Some((queued.subject, queued.payload))
    }

    pub(super) fn next_due(&self) -> Option<Instant> {
        self.heap.peek().map(|queued| queued.due)
    }
}

/// The greatest is the one that is due first.
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.due, other.serial).cmp(&(self.due, self.serial))
    }
}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}
