//! The entries that wait.

use std::{
    collections::{BTreeMap, HashMap},
    ops,
    task::Waker,
};

use axum_sockjs::Message as Piece;
use bytestring::ByteString;
use tokio::time::Instant;

use super::policy::{End, Overflow};
use crate::subscription::MessageId;

/// What waits for a client, and how far that has got.
#[derive(Debug)]
pub(super) struct State {
    /// What waits, by its position.
    pub(super) entries: BTreeMap<u64, Entry>,
    /// The position of the next entry.
    pub(super) next: u64,
    pub(super) bytes: usize,
    /// Whether the session's task is writing an entry that it has taken.
    pub(super) is_writing: bool,
    /// When something was handed to the connection, or began to wait for it; `None` if nobody wants to know.
    pub(super) progress: Option<Instant>,
    /// Of the entries that are for the newest of their destination: their positions.
    pub(super) newest: HashMap<Newest, u64>,
    /// Before this position there is nothing that may be dropped.
    pub(super) oldest: u64,
    /// A queue's message was refused.
    pub(super) was_full: bool,
    pub(super) traffic: Traffic,
    /// The traffic up to now, where it has been counted.
    pub(super) counted: Traffic,
    pub(super) end: Option<End>,
    /// Of the tasks that wait for a change: nearly always the session's own alone.
    waiting: Vec<Waker>,
    /// Whether one of them waits for room.
    pub(super) room_awaited: bool,
}

/// How many messages a client was sent.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Traffic {
    /// Handed to the connection, or to wait for it.
    pub(crate) delivered: u64,
    /// Dropped, some of them after they had waited.
    pub(crate) dropped: u64,
}

impl ops::Add for Traffic {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        Self { delivered: self.delivered + other.delivered, dropped: self.dropped + other.dropped }
    }
}

impl ops::AddAssign for Traffic {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

/// A frame that waits.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) piece: Piece,
    pub(super) kind: Kind,
    pub(super) id: Option<MessageId>,
    /// With [`Overflow::KeepNewest`]: what it is the newest of.
    pub(super) key: Option<Newest>,
}

/// A subscription and a destination.
pub(super) type Newest = (u32, ByteString);

#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// `CONNECTED`, `RECEIPT`, `ERROR`.
    Control,
    /// A message of a topic, and what happens to it where there is no room.
    Topic(Overflow),
    Queue,
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            entries: BTreeMap::new(),
            next: 0,
            bytes: 0,
            is_writing: false,
            progress: None,
            newest: HashMap::new(),
            oldest: 0,
            was_full: false,
            traffic: Traffic::default(),
            counted: Traffic::default(),
            end: None,
            waiting: Vec::new(),
            room_awaited: false,
        }
    }

    pub(super) fn note_progress(&mut self) {
        if let Some(progress) = &mut self.progress {
            *progress = Instant::now();
        }
    }

    /// Has a task woken at the next change.
    pub(super) fn wait(&mut self, waker: &Waker) {
        if !self.waiting.iter().any(|waiting| waiting.will_wake(waker)) {
            self.waiting.push(waker.clone());
        }
    }

    /// Wakes all tasks that wait.
    pub(super) fn wake(&mut self) {
        self.room_awaited = false;
        self.waiting.drain(..).for_each(Waker::wake);
    }

    pub(super) fn is_reading_ended(&self) -> bool {
        matches!(self.end, Some(End::Closing | End::Overflow))
    }

    pub(super) fn take(&mut self) -> Option<Entry> {
        let (_, entry) = self.entries.pop_first()?;
        self.forget(&entry);
        self.is_writing = true;
        Some(entry)
    }

    /// Drops what waits, since nobody gets it.
    pub(super) fn clear(&mut self) {
        self.entries = BTreeMap::new();
        self.newest = HashMap::new();
        self.bytes = 0;
        self.is_writing = false;
    }

    pub(super) fn forget(&mut self, entry: &Entry) {
        if let Some(key) = &entry.key {
            self.newest.remove(key);
        }
    }

    /// Lets an entry wait, where none does.
    pub(super) fn insert(&mut self, position: u64, entry: Entry) {
        self.bytes += entry.piece.len();
        if let Some(key) = &entry.key {
            self.newest.insert(key.clone(), position);
        }
        self.entries.insert(position, entry);
    }

    fn drop_entry(&mut self, position: u64) {
        if let Some(entry) = self.entries.remove(&position) {
            self.bytes -= entry.piece.len();
            self.traffic.dropped += 1;
            self.forget(&entry);
        }
    }

    /// Drops the message that was the newest of its destination, and returns its position.
    pub(super) fn drop_older(&mut self, key: &Newest) -> Option<u64> {
        let position = self.newest.get(key).copied()?;
        self.drop_entry(position);
        Some(position)
    }

    /// Drops the oldest messages that may be dropped until as many bytes have room within `limit`, if they are enough.
    pub(super) fn make_room(&mut self, bytes: usize, limit: usize) -> bool {
        while self.bytes > 0 && self.bytes + bytes > limit {
            let mut waiting = self.entries.range(self.oldest..);
            let oldest = waiting.find(
                |(_, entry)| matches!(entry.kind, Kind::Topic(overflow) if overflow.may_drop_waiting()),
            );
            let Some(position) = oldest.map(|(position, _)| *position) else {
                self.oldest = self.next;
                return false;
            };
            self.oldest = position + 1;
            self.drop_entry(position);
        }
        true
    }
}
